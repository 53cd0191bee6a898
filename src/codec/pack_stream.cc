// Whole files through a pack's codec. A stream with token frames shows its length only when it is decoded, so the
// frames are collected first, each refused in time if it is too much, and put into one matrix at the end.
#include "codec/pack_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/file.h"

namespace sluice {
namespace {

class FrameCollector {
 public:
  FrameCollector(uint64_t width, uint64_t max_elements) : width_(width), max_elements_(max_elements) {}

  // Before the frame is decoded.
  Status Announce(const Frame& frame) {
    if (batch_ != 0 && frame.batch != batch_) {
      return Corrupt(
          fmt::format("frame at byte {}: {} rows, {} in the frames before", frame.offset, frame.batch, batch_));
    }
    batch_ = frame.batch;
    tokens_ += frame.tokens;
    if (tokens_ > max_elements_ / width_ / batch_) {
      return InvalidArgument(
          fmt::format("the stream holds more than {} elements, the most that was allowed", max_elements_));
    }
    return OkStatus();
  }

  void Add(Matrix<float> frame) { frames_.push_back(std::move(frame)); }

  Result<HiddenStates> Finish(DType source) {
    if (batch_ == 0) return Corrupt("the stream holds no frames");
    HiddenStates hidden;
    hidden.source = source;
    hidden.batch = batch_;
    hidden.tokens = tokens_;
    hidden.rank = batch_ == 1 ? 2 : 3;
    hidden.values = Matrix<float>(batch_ * tokens_, width_);
    uint64_t begin = 0;
    for (const Matrix<float>& frame : frames_) {
      PutFrame(frame, begin, hidden);
      begin += frame.rows() / batch_;
    }
    return hidden;
  }

 private:
  uint64_t width_;
  uint64_t max_elements_;
  uint64_t batch_ = 0;
  uint64_t tokens_ = 0;
  std::vector<Matrix<float>> frames_;
};

/// The ids of tokens [begin, begin + count) of every row.
std::vector<int32_t> CutIds(std::span<const int32_t> ids, uint64_t batch, uint64_t begin, uint64_t count) {
  std::vector<int32_t> cut;
  if (ids.empty()) return cut;
  const uint64_t length = ids.size() / batch;
  for (uint64_t row = 0; row < batch; ++row) {
    const auto part = ids.subspan(row * length + begin, count);
    cut.insert(cut.end(), part.begin(), part.end());
  }
  return cut;
}

/// The other way: frames of ids become rows.
std::vector<int32_t> JoinIds(const std::vector<std::vector<int32_t>>& frames, uint64_t batch) {
  std::vector<int32_t> all;
  for (uint64_t row = 0; row < batch; ++row) {
    for (const std::vector<int32_t>& frame : frames) {
      const auto length = static_cast<ptrdiff_t>(frame.size() / batch);
      const auto from = frame.begin() + static_cast<ptrdiff_t>(row) * length;
      all.insert(all.end(), from, from + length);
    }
  }
  return all;
}

Status SetRate(FrameEncoder& encoder, const PackRate& rate) {
  if (rate.bits_per_token > 0) {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<int> points, AllowedPoints(rate.verdicts));
    return encoder.SetTarget(rate.bits_per_token, points);
  }
  SLUICE_RETURN_IF_ERROR(encoder.SetPoint(rate.point));
  return VerdictOn(rate.verdicts, rate.point);
}

}  // namespace

Status EncodeHidden(const PackCodec& codec, const HiddenStates& hidden, uint32_t chunk_tokens, StreamWriter& writer,
                    const PackRate& rate, std::span<const int32_t> ids) {
  if (!ids.empty() && ids.size() != hidden.batch * hidden.tokens) {
    return InvalidArgument(fmt::format("{} ids for {} tokens", ids.size(), hidden.batch * hidden.tokens));
  }
  if (hidden.values.cols() != codec.pack().info().width) {
    return InvalidArgument(
        fmt::format("hidden states of width {}, the pack's is {}", hidden.values.cols(), codec.pack().info().width));
  }
  constexpr uint32_t kTargetChunk = 64;
  const uint32_t most = rate.bits_per_token > 0 ? std::min(chunk_tokens, kTargetChunk) : chunk_tokens;
  SLUICE_ASSIGN_OR_RETURN(const uint64_t chunk, FrameTokens(hidden, most));
  const std::unique_ptr<FrameEncoder> encoder = codec.NewEncoder();
  SLUICE_RETURN_IF_ERROR(SetRate(*encoder, rate));
  for (uint64_t begin = 0; begin < hidden.tokens; begin += chunk) {
    const uint64_t count = std::min(chunk, hidden.tokens - begin);
    const Matrix<float> frame = CutFrame(hidden, begin, count);
    SLUICE_RETURN_IF_ERROR(encoder->SetTokens(CutIds(ids, hidden.batch, begin, count)));
    const Status pushed = encoder->Push(frame.View(), static_cast<uint32_t>(hidden.batch), writer);
    if (!pushed.ok()) return pushed.WithContext(fmt::format("chunk at token {}", begin));
  }
  return OkStatus();
}

Result<HiddenStates> DecodeHidden(const PackCodec& codec, std::span<const uint8_t> stream, uint64_t max_elements,
                                  const PointVerdicts& verdicts, StreamIds* ids) {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(stream));
  SLUICE_RETURN_IF_ERROR(codec.CheckHeader(reader.header()));
  FrameCollector collector(reader.header().width, max_elements);
  const std::unique_ptr<FrameDecoder> decoder = codec.NewDecoder();
  const bool carried = (reader.header().flags & kIdsInStream) != 0;
  const bool known = ids != nullptr && !carried;
  std::vector<std::vector<int32_t>> id_frames;
  uint64_t begin = 0, batch = 1;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) break;
    SLUICE_RETURN_IF_ERROR(collector.Announce(*frame));
    if (known) {
      if (ids->ids.size() / frame->batch < begin + frame->tokens) {
        return InvalidArgument(fmt::format("{} ids, the stream holds more tokens", ids->ids.size()));
      }
      SLUICE_RETURN_IF_ERROR(decoder->SetTokens(CutIds(ids->ids, frame->batch, begin, frame->tokens)));
    }
    SLUICE_ASSIGN_OR_RETURN(Matrix<float> values, decoder->Pull(*frame, reader));
    const Status allowed = VerdictOn(verdicts, decoder->point());
    if (!allowed.ok()) return allowed.WithContext(fmt::format("frame at byte {}", frame->offset));
    begin += frame->tokens;
    id_frames.emplace_back(decoder->tokens().begin(), decoder->tokens().end());
    batch = frame->batch;
    collector.Add(std::move(values));
  }
  if (ids != nullptr && carried) *ids = {JoinIds(id_frames, batch), true};
  return collector.Finish(reader.header().source);
}

Result<HiddenStreamStats> EncodeHiddenFile(const PackCodec& codec, const std::filesystem::path& in,
                                           std::string_view tensor, const std::filesystem::path& out,
                                           uint32_t chunk_tokens, const PackRate& rate, const StreamIds& ids) {
  SLUICE_ASSIGN_OR_RETURN(const HiddenStates hidden, LoadHidden(in, tensor));
  if (ids.carried) SLUICE_RETURN_IF_ERROR(codec.CheckSendsIds());
  const uint16_t flags = ids.carried ? kIdsInStream : 0;
  SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToFile(codec.Header(hidden.source, flags), out));
  SLUICE_RETURN_IF_ERROR(EncodeHidden(codec, hidden, chunk_tokens, writer, rate, ids.ids));
  SLUICE_RETURN_IF_ERROR(writer.Finish());
  return StatsOf(hidden, writer.bytes_written());
}

Result<HiddenStreamStats> DecodeHiddenFile(const PackCodec& codec, const std::filesystem::path& in,
                                           const std::filesystem::path& out, std::optional<DType> dtype,
                                           uint64_t max_elements, const PointVerdicts& verdicts, StreamIds* ids) {
  SLUICE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(in));
  const Result<HiddenStates> hidden = DecodeHidden(codec, file.bytes(), max_elements, verdicts, ids);
  if (!hidden.ok()) return hidden.status().WithContext(in.string());
  SLUICE_RETURN_IF_ERROR(SaveHidden(out, *hidden, dtype.value_or(hidden->source)));
  return StatsOf(*hidden, file.bytes().size());
}

}  // namespace sluice
