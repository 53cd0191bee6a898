// The receiving end keeps the bytes that no frame has used yet. A token frame that is cut off has been announced before
// its codec finds out; so the reader's place is kept before each frame, and it
// returns there when the frame is not whole.
#include "api/stream_ends.h"

#include <fmt/format.h>

namespace sluice {
namespace {

// A frame that has its length is whole when it is decoded: where it ends early it is damaged, and more bytes cannot
// help. Only frames of one token end where their last element does.
Status OfFrame(FrameType type, const Status& status) {
  return type == FrameType::kToken ? status : AsCorrupt(status, StatusCode::kTruncated);
}

}  // namespace

StreamEncoder::StreamEncoder(const AnyCodec& codec, StreamWriter writer, uint32_t width, DType source)
    : codec_(&codec), writer_(std::in_place, std::move(writer)), width_(width), source_(source) {
  if (codec.pack() != nullptr) encoder_ = codec.pack()->NewEncoder();
}

Result<StreamEncoder> StreamEncoder::Make(const AnyCodec& codec, uint32_t width, DType source) {
  if (codec.width() != 0 && codec.width() != width) {
    return InvalidArgument(fmt::format("width {}, the pack's is {}", width, codec.width()));
  }
  SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(codec.Header(width, source, 0)));
  return StreamEncoder(codec, std::move(writer), width, source);
}

Result<std::span<const uint8_t>> StreamEncoder::Push(const HiddenStates& hidden) {
  if (hidden.values.cols() != width_) {
    return InvalidArgument(fmt::format("hidden states of width {}, the stream's is {}", hidden.values.cols(), width_));
  }
  if (hidden.batch > kMaxFrameBatch || hidden.values.rows() > kMaxFrameTokens) {
    return InvalidArgument(fmt::format("{} rows of {} tokens, more than a frame holds", hidden.batch, hidden.tokens));
  }
  if (encoder_) {
    SLUICE_RETURN_IF_ERROR(encoder_->Push(hidden.values.View(), static_cast<uint32_t>(hidden.batch), *writer_));
  } else {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> payload, codec_->plain()->Encode(hidden.values.View()));
    SLUICE_RETURN_IF_ERROR(
        writer_->AddStored(static_cast<uint32_t>(hidden.batch), static_cast<uint32_t>(hidden.tokens), payload));
  }
  out_ = writer_->Take();
  return std::span<const uint8_t>(out_);
}

Result<std::span<const uint8_t>> StreamEncoder::Finish() {
  SLUICE_RETURN_IF_ERROR(writer_->Finish());
  out_ = writer_->Take();
  return std::span<const uint8_t>(out_);
}

Status StreamEncoder::SetPoint(int point) {
  if (encoder_) return encoder_->SetPoint(point);
  return point == 0 ? OkStatus() : InvalidArgument(fmt::format("operating point {} of a plain codec", point));
}

Status StreamEncoder::SetTarget(double bits_per_token) {
  if (encoder_) return encoder_->SetTarget(bits_per_token);
  return InvalidArgument("a target rate for a plain codec");
}

Status StreamEncoder::SetTokens(std::span<const int32_t> ids) {
  return encoder_ ? encoder_->SetTokens(ids) : OkStatus();
}
Status StreamEncoder::SendTokens() {
  if (codec_->pack() == nullptr) return InvalidArgument("ids in the stream: a plain codec needs none");
  SLUICE_RETURN_IF_ERROR(codec_->pack()->CheckSendsIds());
  if (writer_->tokens_written() > 0) return InvalidArgument("ids in the stream: it has frames already");
  SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(codec_->Header(width_, source_, kIdsInStream)));
  writer_.emplace(std::move(writer));
  return OkStatus();
}
Status StreamEncoder::Trim(size_t tokens) { return encoder_ ? encoder_->Trim(tokens) : OkStatus(); }
std::unique_ptr<CodecCheckpoint> StreamEncoder::Checkpoint() const {
  return encoder_ ? encoder_->Checkpoint() : std::make_unique<CodecCheckpoint>();
}
Status StreamEncoder::Restore(const CodecCheckpoint& checkpoint) {
  return encoder_ ? encoder_->Restore(checkpoint) : OkStatus();
}

StreamDecoder::StreamDecoder(const AnyCodec& codec) : codec_(&codec) {
  if (codec.pack() != nullptr) decoder_ = codec.pack()->NewDecoder();
}

void StreamDecoder::Feed(std::span<const uint8_t> bytes) {
  if (reader_) buffer_.erase(buffer_.begin(), buffer_.end() - static_cast<ptrdiff_t>(reader_->unread()));
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  if (reader_) reader_->Continue(buffer_);
}

void StreamDecoder::LimitElements(uint64_t most) {
  most_elements_ = most;
  if (reader_) reader_->LimitElements(most);
}

Status StreamDecoder::Open() {
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(buffer_));
  SLUICE_RETURN_IF_ERROR(codec_->CheckHeader(reader.header()));
  reader_.emplace(std::move(reader));
  reader_->LimitElements(most_elements_);
  return OkStatus();
}

Status StreamDecoder::ReadNext() {
  if (!reader_) SLUICE_RETURN_IF_ERROR(Open());
  SLUICE_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader_->Next());
  if (!frame) {
    frame_ = HiddenStates();
    return OkStatus();
  }
  if (decoder_) {
    SLUICE_RETURN_IF_ERROR(OfFrame(frame->type, decoder_->PullInto(*frame, *reader_, frame_.values)));
  } else {
    auto values =
        codec_->plain()->Decode(frame->sections[0], uint64_t{frame->batch} * frame->tokens, reader_->header().width);
    SLUICE_RETURN_IF_ERROR(OfFrame(frame->type, values.status()));
    frame_.values = std::move(*values);
  }
  frame_.batch = frame->batch;
  frame_.tokens = frame->tokens;
  frame_.source = reader_->header().source;
  return OkStatus();
}

Result<const HiddenStates*> StreamDecoder::Pull() {
  SLUICE_RETURN_IF_ERROR(failed_);
  std::optional<StreamReader::Place> place;
  if (reader_) place = reader_->Remember();
  const Status status = ReadNext();
  if (status.ok()) return &frame_;
  if (status.code() != StatusCode::kTruncated) {
    failed_ = status;
  } else if (reader_ && place) {
    reader_->Return(*place);
  } else {
    reader_.reset();
  }
  return status;
}

Status StreamDecoder::SetTokens(std::span<const int32_t> ids) {
  SLUICE_RETURN_IF_ERROR(failed_);
  return decoder_ ? decoder_->SetTokens(ids) : OkStatus();
}
Status StreamDecoder::Trim(size_t tokens) {
  SLUICE_RETURN_IF_ERROR(failed_);
  return decoder_ ? decoder_->Trim(tokens) : OkStatus();
}
std::unique_ptr<CodecCheckpoint> StreamDecoder::Checkpoint() const {
  return decoder_ ? decoder_->Checkpoint() : std::make_unique<CodecCheckpoint>();
}
Status StreamDecoder::Restore(const CodecCheckpoint& checkpoint) {
  SLUICE_RETURN_IF_ERROR(failed_);
  return decoder_ ? decoder_->Restore(checkpoint) : OkStatus();
}

}  // namespace sluice
