#include "study/torch/tensor_codec.h"

#include <fmt/format.h>

#include "backbone/torch_setup.h"
#include "base/bytes.h"
#include "codec/hidden_codec.h"
#include "format/pack.h"
#include "neural/codec_files.h"
#include "neural/codec_shape.h"
#include "neural/context_coder.h"
#include "neural/learned_coder.h"
#include "plain/plain_codec.h"
#include "study/torch/pack_tensor_codec.h"
#include "train/codec_training.h"

namespace sluice {
namespace {

Status Differs(const std::string& what, const std::string& expected, const std::string& got) {
  return Mismatch(fmt::format("{}: this side has {}, the stream was made with {}", what, expected, got));
}

std::string IdText(uint64_t id) { return fmt::format("{:016x}", id); }

Status AcceptsCommon(const StreamHeader& ours, const StreamHeader& theirs) {
  if (theirs.kind != ours.kind)
    return Differs("codec family", ours.kind == CodecKind::kPlain ? "a plain codec" : "a learned codec", "the other");
  if (theirs.codec_id != ours.codec_id) return Differs("codec", IdText(ours.codec_id), IdText(theirs.codec_id));
  if (theirs.model_id != ours.model_id) return Differs("model", IdText(ours.model_id), IdText(theirs.model_id));
  if (theirs.cut != ours.cut) return Differs("cut", std::to_string(ours.cut), std::to_string(theirs.cut));
  if (theirs.width != ours.width) return Differs("width", std::to_string(ours.width), std::to_string(theirs.width));
  return OkStatus();
}

StreamHeader HeaderFor(const CutContext& context) {
  StreamHeader header;
  header.flags = kFreshFrames;
  header.model_id = ShortId(context.model);
  header.cut = static_cast<uint16_t>(context.cut);
  header.width = static_cast<uint32_t>(context.width);
  return header;
}

class PlainTensorCodec final : public TensorCodec {
 public:
  PlainTensorCodec(std::unique_ptr<HiddenCodec> codec, const CutContext& context)
      : codec_(std::move(codec)), context_(context) {}

  std::string name() const override { return codec_->name(); }
  bool learned() const override { return false; }
  int64_t cut() const override { return context_.cut; }
  int64_t longest_chunk() const override { return static_cast<int64_t>(kMaxFrameTokens); }

  StreamHeader Header() const override {
    StreamHeader header = HeaderFor(context_);
    header.kind = CodecKind::kPlain;
    header.codec_id = PlainCodecId(*codec_);
    return header;
  }

  Status Encode(const torch::Tensor& x, StreamWriter& writer, ChunkBits*) override {
    const auto rows = x.contiguous();
    const auto count = static_cast<size_t>(x.size(0) * x.size(1));
    SLUICE_ASSIGN_OR_RETURN(const auto payload,
                            codec_->Encode({rows.data_ptr<float>(), count, static_cast<size_t>(x.size(2))}));
    return writer.AddStored(static_cast<uint32_t>(x.size(0)), static_cast<uint32_t>(x.size(1)), payload);
  }

  Result<torch::Tensor> Decode(const Frame& frame, StreamReader& /*reader*/) override {
    if (frame.type != FrameType::kStored) return Corrupt("a plain codec's stream holds a learned codec's frame");
    const auto width = static_cast<size_t>(context_.width);
    SLUICE_ASSIGN_OR_RETURN(const Matrix<float> rows,
                            codec_->Decode(frame.sections.front(), size_t{frame.batch} * frame.tokens, width));
    return torch::tensor(std::vector<float>(rows.data(), rows.data() + rows.rows() * rows.cols()))
        .reshape({frame.batch, frame.tokens, context_.width});
  }

  Status Accepts(const StreamHeader& header) const override { return AcceptsCommon(Header(), header); }

 private:
  std::unique_ptr<HiddenCodec> codec_;
  CutContext context_;
};

class LearnedTensorCodec final : public TensorCodec {
 public:
  LearnedTensorCodec(LearnedCoder coder, std::string name, const CutContext& context)
      : coder_(std::move(coder)), name_(std::move(name)), context_(context) {}

  std::string name() const override { return name_; }
  bool learned() const override { return true; }
  int64_t cut() const override { return context_.cut; }
  int64_t longest_chunk() const override { return coder_.stored().codec->config().context; }
  double multiply_adds_per_token() const override { return MultiplyAddsPerToken(coder_.stored().codec->config()); }

  StreamHeader Header() const override {
    const CodecConfig& config = coder_.stored().codec->config();
    StreamHeader header = HeaderFor(context_);
    header.kind = CodecKind::kFloat;
    if (config.residual) header.flags |= kResidual;
    header.codec_id = ShortId(coder_.stored().digest);
    header.precision_bits = static_cast<uint8_t>(config.precision_bits);
    header.threads = static_cast<uint8_t>(std::min(at::get_num_threads(), 255));
    header.profile = Checksum32(AsBytes(TorchBuildProfile()));
    return header;
  }

  Status Encode(const torch::Tensor& x, StreamWriter& writer, ChunkBits* bits) override {
    SLUICE_ASSIGN_OR_RETURN(CodedChunk chunk, coder_.Encode(x, bits != nullptr));
    const std::span<const uint8_t> section = chunk.payload;
    SLUICE_RETURN_IF_ERROR(writer.AddChunk(static_cast<uint32_t>(x.size(0)), static_cast<uint32_t>(x.size(1)),
                                           {&section, 1}, {chunk.hyper, chunk.latent}));
    if (bits != nullptr) {
      *bits = {chunk.estimated_hyper_bits + chunk.estimated_latent_bits, chunk.hyper_bits, chunk.latent_bits,
               std::move(chunk.channel_bits), std::move(chunk.latent)};
    }
    return OkStatus();
  }

  Result<torch::Tensor> Decode(const Frame& frame, StreamReader& /*reader*/) override {
    if (frame.type != FrameType::kChunk || frame.sections.size() != 1) {
      return Corrupt("a learned codec's stream holds a frame that is not one of its chunks");
    }
    if (frame.tokens > longest_chunk()) {
      return Corrupt(fmt::format("a frame of {} tokens, the codec codes at most {}", frame.tokens, longest_chunk()));
    }
    SLUICE_ASSIGN_OR_RETURN(DecodedChunk chunk, coder_.Decode(frame.sections.front(), frame.batch, frame.tokens));
    SLUICE_RETURN_IF_ERROR(frame.Verify({chunk.hyper, chunk.latent}));
    return std::move(chunk.hidden);
  }

  // Threads are not compared: a decoder runs with as many as the stream says.
  Status Accepts(const StreamHeader& header) const override {
    const StreamHeader ours = Header();
    SLUICE_RETURN_IF_ERROR(AcceptsCommon(ours, header));
    if (header.profile != ours.profile) {
      return Mismatch(fmt::format(
          "float build: this side is '{}', the stream was made by another build, and a float codec decodes only on the "
          "build that encoded it",
          TorchBuildProfile()));
    }
    return OkStatus();
  }

 private:
  LearnedCoder coder_;
  std::string name_;
  CutContext context_;
};

// The codec that is deployed, with its integers run by plain loops.
class ContextTensorCodec final : public TensorCodec {
 public:
  ContextTensorCodec(ContextCoder coder, const CutContext& context) : coder_(std::move(coder)), context_(context) {}

  std::string name() const override { return config().preset; }
  bool learned() const override { return true; }
  int64_t cut() const override { return context_.cut; }
  int64_t longest_chunk() const override { return static_cast<int64_t>(kMaxFrameTokens); }
  double multiply_adds_per_token() const override { return ContextMultiplyAdds(config()); }

  StreamHeader Header() const override {
    StreamHeader header = HeaderFor(context_);
    header.kind = CodecKind::kInteger;
    if (config().ids == ContextIds::kTokens) header.flags |= kSideTokens;
    header.codec_id = ShortId(coder_.stored().digest);
    header.precision_bits = static_cast<uint8_t>(config().precision_bits);
    return header;
  }

  void SetTokens(const torch::Tensor& tokens) override { tokens_ = tokens; }
  Status SetPoint(int point) override {
    if (point < 0 || point >= config().points) {
      return InvalidArgument(fmt::format("operating point {}: expected 0 to {}", point, config().points - 1));
    }
    point_ = point;
    return OkStatus();
  }

  Status Encode(const torch::Tensor& x, StreamWriter& writer, ChunkBits* bits) override {
    SLUICE_ASSIGN_OR_RETURN(ContextChunk chunk, coder_.Encode(x, tokens_, point_, bits != nullptr));
    const std::span<const uint8_t> section = chunk.payload;
    SLUICE_RETURN_IF_ERROR(writer.AddChunk(static_cast<uint32_t>(x.size(0)), static_cast<uint32_t>(x.size(1)),
                                           {&section, 1}, {chunk.ids, chunk.latent}));
    if (bits != nullptr) {
      *bits = {chunk.estimated_bits, chunk.id_bits, chunk.latent_bits, std::move(chunk.channel_bits),
               std::move(chunk.latent)};
    }
    return OkStatus();
  }

  Result<torch::Tensor> Decode(const Frame& frame, StreamReader& /*reader*/) override {
    if (frame.type != FrameType::kChunk || frame.sections.size() != 1) {
      return Corrupt("a learned codec's stream holds a frame that is not one of its chunks");
    }
    ContextChunk chunk;
    SLUICE_ASSIGN_OR_RETURN(torch::Tensor hidden,
                            coder_.Decode(frame.sections.front(), frame.batch, frame.tokens, tokens_, chunk));
    SLUICE_RETURN_IF_ERROR(frame.Verify({chunk.ids, chunk.latent}));
    return hidden;
  }

  Status Accepts(const StreamHeader& header) const override { return AcceptsCommon(Header(), header); }

 private:
  const ContextConfig& config() const { return coder_.stored().network.config; }

  ContextCoder coder_;
  CutContext context_;
  torch::Tensor tokens_;
  int point_ = 0;
};

}  // namespace

Status CheckOrigin(const TrainedFor& origin, const CutContext& context) {
  const auto fail = [](const char* what, const std::string& codec, const std::string& model) {
    return Mismatch(fmt::format("codec was trained for {} {}, but is used with {}", what, codec, model));
  };
  if (origin.model != Sha256Digest{} && origin.model != context.model) {
    return fail("model", ToHex(origin.model).substr(0, 16), ToHex(context.model).substr(0, 16));
  }
  if (context.cut >= 0 && origin.cut != context.cut) {
    return fail("cut", std::to_string(origin.cut), std::to_string(context.cut));
  }
  if (origin.width != context.width) {
    return fail("width", std::to_string(origin.width), std::to_string(context.width));
  }
  return OkStatus();
}

Status TensorCodec::SendTokens() { return InvalidArgument("ids in the stream: not with codec " + name()); }

Status TensorCodec::SetPoint(int point) {
  return point == 0 ? OkStatus() : InvalidArgument(fmt::format("operating point {}: {} has one only", point, name()));
}

Result<std::unique_ptr<TensorCodec>> OpenTensorCodec(const std::string& spec, const CutContext& given) {
  CutContext context = given;
  if (IsContextFolder(spec)) {
    SLUICE_ASSIGN_OR_RETURN(StoredContext stored, LoadContext(spec));
    const TrainedFor origin{stored.origin.model, stored.origin.cut, stored.network.config.width};
    SLUICE_RETURN_IF_ERROR(CheckOrigin(origin, context));
    context.cut = stored.origin.cut;
    SLUICE_ASSIGN_OR_RETURN(ContextCoder coder, ContextCoder::Create(std::move(stored)));
    return std::unique_ptr<TensorCodec>(new ContextTensorCodec(std::move(coder), context));
  }
  if (IsCodecFolder(spec)) {
    SLUICE_ASSIGN_OR_RETURN(StoredCodec stored, LoadCodec(spec));
    const TrainedFor origin{stored.origin.model, stored.origin.cut, stored.codec->config().width};
    SLUICE_RETURN_IF_ERROR(CheckOrigin(origin, context));
    context.cut = stored.origin.cut;
    std::string name = stored.codec->config().preset;
    SLUICE_ASSIGN_OR_RETURN(LearnedCoder coder, LearnedCoder::Create(std::move(stored)));
    return std::unique_ptr<TensorCodec>(new LearnedTensorCodec(std::move(coder), std::move(name), context));
  }
  if (IsPackFile(spec)) return OpenPackTensorCodec(spec, context);
  if (std::filesystem::exists(spec)) {
    return InvalidArgument(
        fmt::format("{}: neither a trained codec (no codec.json), a pack, nor the name of a codec", spec));
  }
  SLUICE_ASSIGN_OR_RETURN(context.cut, ChooseCut(context.cut, context.layers));
  SLUICE_ASSIGN_OR_RETURN(auto codec, MakePlainCodec(spec));
  return std::unique_ptr<TensorCodec>(new PlainTensorCodec(std::move(codec), context));
}

}  // namespace sluice
