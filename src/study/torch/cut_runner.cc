// Every step is a stream of its own, so that a codec without memory between frames serves it too.
#include "study/torch/cut_runner.h"

#include "backbone/torch_setup.h"

namespace sluice {

CutRunner::CutRunner(std::shared_ptr<Backbone> backbone, TensorCodec* codec)
    : backbone_(std::move(backbone)), cache_(backbone_->config(), 1), codec_(codec) {}

torch::Tensor CutRunner::Next(const torch::Tensor& tokens) {
  torch::NoGradGuard no_grad;
  const int64_t layers = backbone_->config().layers;
  if (codec_ == nullptr) return LastLogits(backbone_->Head(tokens, layers, &cache_));
  const auto hidden = backbone_->Head(tokens, codec_->cut(), &cache_);
  codec_->SetTokens(tokens);
  StreamWriter writer = ValueOrThrow(StreamWriter::ToMemory(codec_->Header()));
  const uint64_t header_bytes = writer.bytes_written();
  ThrowIfError(codec_->Encode(hidden, writer, nullptr));
  const std::vector<uint8_t> bytes = writer.Take();
  wire_bytes_ += bytes.size() - (wire_bytes_ == 0 ? 0 : header_bytes);
  StreamReader reader = ValueOrThrow(StreamReader::FromBytes(bytes));
  const auto frame = ValueOrThrow(reader.Next());
  const auto decoded = ValueOrThrow(codec_->Decode(frame.value(), reader));
  return LastLogits(backbone_->Layers(decoded, codec_->cut(), layers, &cache_));
}

torch::Tensor CutRunner::LastLogits(const torch::Tensor& hidden) {
  return backbone_->Unembed(hidden.slice(1, hidden.size(1) - 1));
}

}  // namespace sluice
