// A pass encodes all chunks and decodes them again, each half under its own clock; reading frames out of the stream is
// not the codec's work and stays outside. The first pass warms caches and is not counted.
#include "study/torch/codec_timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/clock.h"
#include "base/interrupt.h"

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
  std::vector<double> encode, decode;
  ChunkTiming timing{.tokens = chunk};
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
    if (pass == 0) continue;
    const auto count = static_cast<double>(chunks * chunk);
    encode.push_back(encode_time / count);
    decode.push_back(decode_time / count);
    timing.bits_per_token = 8.0 * static_cast<double>(stream.size()) / count;
  }
  timing.encode_us = Median(std::move(encode));
  timing.decode_us = Median(std::move(decode));
  return timing;
}

}  // namespace sluice
