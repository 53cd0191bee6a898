// A pass encodes all chunks and decodes them again, each half under its own clock; reading frames out of the stream is
// not the codec's work and stays outside. Rivals take their turn in every pass, on the integers that the codec codes.
// The first pass warms caches and is not counted.
#include "study/torch/codec_timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/clock.h"
#include "base/interrupt.h"
#include "plain/integer_baseline.h"

namespace sluice {
namespace {

constexpr int kPasses = 5;
constexpr int64_t kMostChunks = 256;

double MicrosecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + kPasses / 2, values.end());
  return values[kPasses / 2];
}

// A compressor over all chunks of integers, pass after pass.
class Rival {
 public:
  explicit Rival(std::unique_ptr<IntegerCodec> codec) : codec_(std::move(codec)) {}

  Status Pass(std::span<const Matrix<int32_t>> chunks, bool counted) {
    RoundTrip all;
    for (const Matrix<int32_t>& chunk : chunks) {
      SLUICE_RETURN_IF_ERROR(codec_->Prepare(chunk.View()));
      SLUICE_ASSIGN_OR_RETURN(const RoundTrip trip, TimeRoundTrip(*codec_, chunk.View()));
      all.bytes += trip.bytes;
      all.encode_seconds += trip.encode_seconds;
      all.decode_seconds += trip.decode_seconds;
    }
    if (!counted) return OkStatus();
    encode_us_.push_back(1e6 * all.encode_seconds);
    decode_us_.push_back(1e6 * all.decode_seconds);
    bytes_ = all.bytes;
    return OkStatus();
  }

  RivalTiming Timing(double tokens) const {
    return {codec_->name(), codec_->packing(), 8.0 * static_cast<double>(bytes_) / tokens, Median(encode_us_) / tokens,
            Median(decode_us_) / tokens};
  }

 private:
  std::unique_ptr<IntegerCodec> codec_;
  std::vector<double> encode_us_, decode_us_;
  uint64_t bytes_ = 0;
};

Result<std::vector<Rival>> MakeRivals() {
  std::vector<Rival> rivals;
  for (const GeneralCompressor& general : kUsualRivals) {
    SLUICE_ASSIGN_OR_RETURN(auto packings, MakeBothPackings(general));
    for (auto& codec : packings) rivals.emplace_back(std::move(codec));
  }
  return rivals;
}

// The latents of each part, row-major; nothing of a codec that does not show them. Data: parts [B, T, d].
Result<std::vector<Matrix<int32_t>>> IntegersOf(TensorCodec& codec, const std::vector<torch::Tensor>& parts,
                                                const std::vector<torch::Tensor>& ids) {
  std::vector<Matrix<int32_t>> chunks;
  SLUICE_ASSIGN_OR_RETURN(StreamWriter scratch, StreamWriter::ToMemory(codec.Header()));
  for (size_t i = 0; i < parts.size(); ++i) {
    ChunkBits bits;
    codec.SetTokens(ids[i]);
    SLUICE_RETURN_IF_ERROR(codec.Encode(parts[i], scratch, &bits));
    if (bits.integers.empty()) return std::vector<Matrix<int32_t>>();
    const auto width = static_cast<size_t>(parts[i].size(2));
    chunks.emplace_back(bits.integers.size() / width, width);
    std::copy(bits.integers.begin(), bits.integers.end(), chunks.back().data());
  }
  return chunks;
}

}  // namespace

Result<ChunkTiming> TimeChunks(TensorCodec& codec, const torch::Tensor& hidden, const torch::Tensor& ids,
                               int64_t tokens) {
  torch::NoGradGuard no_grad;
  const int64_t row = std::min(tokens, codec.longest_chunk()), rows = tokens / row, chunk = row * rows;
  const int64_t chunks = std::min(kMostChunks, hidden.size(0) / std::max<int64_t>(1, chunk));
  if (chunk < 1 || chunks < 1) {
    return InvalidArgument(fmt::format("chunks of {} tokens: there are {} tokens to time", tokens, hidden.size(0)));
  }
  std::vector<torch::Tensor> parts, part_ids;
  for (int64_t i = 0; i < chunks; ++i) {
    part_ids.push_back(ids.slice(0, i * chunk, (i + 1) * chunk).reshape({rows, row}).contiguous());
    parts.push_back(hidden.slice(0, i * chunk, (i + 1) * chunk).reshape({rows, row, hidden.size(1)}).contiguous());
  }
  SLUICE_ASSIGN_OR_RETURN(const auto integers, IntegersOf(codec, parts, part_ids));
  std::vector<Rival> rivals;
  if (!integers.empty()) {
    SLUICE_ASSIGN_OR_RETURN(rivals, MakeRivals());
  }
  std::vector<double> encode, decode;
  ChunkTiming timing;
  timing.tokens = chunk;
  for (int pass = 0; pass <= kPasses; ++pass) {
    if (InterruptRequested()) return Interrupted("stopped while timing");
    SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(codec.Header()));
    const auto encode_start = Clock::now();
    for (size_t i = 0; i < parts.size(); ++i) {
      codec.SetTokens(part_ids[i]);
      SLUICE_RETURN_IF_ERROR(codec.Encode(parts[i], writer, nullptr));
    }
    const double encode_time = MicrosecondsSince(encode_start);
    SLUICE_RETURN_IF_ERROR(writer.Finish());
    const std::vector<uint8_t> stream = writer.Take();
    SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(stream));
    double decode_time = 0;
    for (int64_t i = 0; i < chunks; ++i) {
      SLUICE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
      if (!frame.has_value()) return Internal("the stream holds fewer frames than were written");
      codec.SetTokens(part_ids[static_cast<size_t>(i)]);
      const auto decode_start = Clock::now();
      SLUICE_RETURN_IF_ERROR(codec.Decode(*frame, reader).status());
      decode_time += MicrosecondsSince(decode_start);
    }
    for (Rival& rival : rivals) SLUICE_RETURN_IF_ERROR(rival.Pass(integers, pass > 0));
    if (pass == 0) continue;
    const auto count = static_cast<double>(chunks * chunk);
    encode.push_back(encode_time / count);
    decode.push_back(decode_time / count);
    timing.bits_per_token = 8.0 * static_cast<double>(stream.size()) / count;
  }
  timing.encode_us = Median(std::move(encode));
  timing.decode_us = Median(std::move(decode));
  for (const Rival& rival : rivals) timing.rivals.push_back(rival.Timing(static_cast<double>(chunks * chunk)));
  return timing;
}

}  // namespace sluice
