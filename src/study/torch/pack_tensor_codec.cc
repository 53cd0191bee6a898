// The codec itself knows no tensors: rows go to it and come back as matrices, which share the tensor's memory on the
// way in and are copied once on the way out.
#include "study/torch/pack_tensor_codec.h"

#include <cstring>

#include "codec/pack_codec.h"

namespace sluice {
namespace {

class PackTensorCodec final : public TensorCodec {
 public:
  explicit PackTensorCodec(std::unique_ptr<PackCodec> codec)
      : codec_(std::move(codec)), encoder_(codec_->NewEncoder()), decoder_(codec_->NewDecoder()) {}

  std::string name() const override { return codec_->pack().info().codec; }
  bool learned() const override { return false; }
  int64_t cut() const override { return codec_->pack().info().cut; }
  int64_t longest_chunk() const override { return static_cast<int64_t>(kMaxFrameTokens); }
  double multiply_adds_per_token() const override {
    const CodecCost cost = codec_->MultiplyAdds();
    return static_cast<double>(cost.encode + cost.decode);
  }
  StreamHeader Header() const override {
    return codec_->Header(DType::kF32, kFreshFrames | (send_tokens_ ? kIdsInStream : 0));
  }

  void SetTokens(const torch::Tensor& tokens) override { tokens_ = tokens; }
  Status SendTokens() override {
    SLUICE_RETURN_IF_ERROR(codec_->CheckSendsIds());
    send_tokens_ = true;
    return OkStatus();
  }
  Status SetPoint(int point) override { return encoder_->SetPoint(point); }

  Status Encode(const torch::Tensor& x, StreamWriter& writer, ChunkBits*) override {
    const auto rows = x.contiguous();
    SLUICE_RETURN_IF_ERROR(encoder_->SetTokens(Known(x.size(0), x.size(1))));
    const auto count = static_cast<size_t>(x.size(0) * x.size(1));
    return encoder_->Push({rows.data_ptr<float>(), count, static_cast<size_t>(x.size(2))},
                          static_cast<uint32_t>(x.size(0)), writer);
  }

  Result<torch::Tensor> Decode(const Frame& frame, StreamReader& reader) override {
    SLUICE_RETURN_IF_ERROR(decoder_->SetTokens(Known(frame.batch, frame.tokens)));
    SLUICE_ASSIGN_OR_RETURN(const Matrix<float> rows, decoder_->Pull(frame, reader));
    const auto hidden = torch::empty({frame.batch, frame.tokens, static_cast<int64_t>(rows.cols())});
    std::memcpy(hidden.data_ptr<float>(), rows.data(), rows.rows() * rows.cols() * sizeof(float));
    return hidden;
  }

  int point() const override { return decoder_->point(); }

  Status Accepts(const StreamHeader& header) const override { return codec_->CheckHeader(header); }

 private:
  // The ids of a frame, or none where they are of another.
  std::span<const int32_t> Known(int64_t batch, int64_t tokens) {
    if (!tokens_.defined() || tokens_.numel() != batch * tokens) return {};
    whole_ = tokens_.to(torch::kInt32).contiguous();
    return {whole_.data_ptr<int32_t>(), static_cast<size_t>(whole_.numel())};
  }

  torch::Tensor tokens_, whole_;
  bool send_tokens_ = false;
  std::unique_ptr<PackCodec> codec_;
  std::unique_ptr<FrameEncoder> encoder_;
  std::unique_ptr<FrameDecoder> decoder_;
};

}  // namespace

Result<std::unique_ptr<TensorCodec>> OpenPackTensorCodec(const std::string& path, const CutContext& context) {
  SLUICE_ASSIGN_OR_RETURN(auto codec, PackCodec::Open(path));
  const PackInfo& info = codec->pack().info();
  const TrainedFor origin{.model = info.model_hash, .cut = info.cut, .width = info.width};
  SLUICE_RETURN_IF_ERROR(CheckOrigin(origin, context).WithContext(path));
  return std::unique_ptr<TensorCodec>(new PackTensorCodec(std::move(codec)));
}

}  // namespace sluice
