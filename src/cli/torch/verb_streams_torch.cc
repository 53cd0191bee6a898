#include <fmt/format.h>
#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "backbone/backbone.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "cli/stream_options.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"
#include "format/hidden_file.h"
#include "format/pack.h"
#include "neural/codec_files.h"
#include "plain/plain_codec.h"
#include "study/torch/tensor_codec.h"
#include "study/torch/text_stream.h"

namespace sluice {
namespace {

// The model's side of a cut: its identity and shape without any weights.
Result<CutContext> ContextOf(const std::filesystem::path& model, int64_t cut) {
  SLUICE_ASSIGN_OR_RETURN(const BackboneConfig config, BackboneConfig::Load(model));
  CutContext context{.layers = config.layers, .width = config.width, .cut = cut};
  SLUICE_ASSIGN_OR_RETURN(context.model, ModelIdentity(model));
  return context;
}

// Without a model a trained codec stands for the model it was trained for.
Result<CutContext> ContextOfCodec(const std::string& codec) {
  if (IsPackFile(codec)) {
    SLUICE_ASSIGN_OR_RETURN(const Pack pack, Pack::Open(codec));
    const PackInfo& info = pack.info();
    return CutContext{.model = info.model_hash, .layers = info.cut, .width = info.width, .cut = info.cut};
  }
  SLUICE_ASSIGN_OR_RETURN(const StoredCodec stored, LoadCodec(codec));
  return CutContext{.model = stored.origin.model,
                    .layers = stored.origin.cut,
                    .width = stored.codec->config().width,
                    .cut = stored.origin.cut};
}

nlohmann::ordered_json StreamResult(const std::filesystem::path& path, const TensorCodec& codec, uint64_t tokens,
                                    uint64_t bytes) {
  return {{"file", path.string()}, {"codec", codec.name()},
          {"cut", codec.cut()},    {"tokens", tokens},
          {"bytes", bytes},        {"bits_per_token", 8.0 * static_cast<double>(bytes) / static_cast<double>(tokens)}};
}

Status EncodeText(const EncodeOptions& options, Verb& verb) {
  if (options.model.empty()) return InvalidArgument("--text needs --model DIR");
  SLUICE_ASSIGN_OR_RETURN(const CutContext context, ContextOf(options.model, options.cut));
  SLUICE_ASSIGN_OR_RETURN(const auto codec, OpenTensorCodec(options.codec, context));
  if (options.send_ids) SLUICE_RETURN_IF_ERROR(codec->SendTokens());
  SLUICE_ASSIGN_OR_RETURN(const auto backbone, LoadBackbone(options.model, {0, codec->cut()}, {.embeddings = true}));
  const TextSource source{options.text, options.drop_blank_lines, options.context, 0};
  SLUICE_ASSIGN_OR_RETURN(const TextWindows windows, TextWindows::Load(options.model, backbone->config(), source));
  SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToFile(codec->Header(), options.out));
  SLUICE_RETURN_IF_ERROR(windows.Visit(options.batch, "encode", [&](const torch::Tensor& tokens) -> Status {
    torch::NoGradGuard no_grad;
    codec->SetTokens(tokens);
    return codec->Encode(backbone->Head(tokens, codec->cut()), writer, nullptr);
  }));
  SLUICE_RETURN_IF_ERROR(writer.Finish());
  const auto result = StreamResult(options.out, *codec, writer.tokens_written(), writer.bytes_written());
  verb.Print(result, fmt::format("{}: {} tokens, {} bytes, {:.2f} bits per token ({}, cut {})\n", options.out.string(),
                                 writer.tokens_written(), writer.bytes_written(),
                                 result["bits_per_token"].get<double>(), codec->name(), codec->cut()));
  return OkStatus();
}

Status EncodeHiddenStates(const EncodeOptions& options, Verb& verb) {
  SLUICE_ASSIGN_OR_RETURN(const CutContext context, options.model.empty() ? ContextOfCodec(options.codec)
                                                                          : ContextOf(options.model, options.cut));
  if (options.bits_per_token > 0 || options.send_ids || !options.ids.empty()) {
    return InvalidArgument(options.codec + ": a target rate and token ids of --hidden need a pack (sluice export)");
  }
  SLUICE_ASSIGN_OR_RETURN(const auto codec, OpenTensorCodec(options.codec, context));
  SLUICE_RETURN_IF_ERROR(codec->SetPoint(options.point));
  SLUICE_ASSIGN_OR_RETURN(const HiddenStates hidden, LoadHidden(options.hidden, options.tensor));
  if (hidden.values.cols() != static_cast<size_t>(context.width)) {
    return Mismatch(
        fmt::format("{}: width {}, the codec's is {}", options.hidden.string(), hidden.values.cols(), context.width));
  }
  StreamHeader header = codec->Header();
  header.source = hidden.source;
  SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToFile(header, options.out));
  const auto all =
      torch::from_blob(const_cast<float*>(hidden.values.data()),
                       {static_cast<int64_t>(hidden.batch), static_cast<int64_t>(hidden.tokens), context.width});
  ProgressBar bar("encode", hidden.tokens);
  const int64_t step = std::min(options.chunk, codec->longest_chunk());
  for (int64_t t = 0; t < all.size(1); t += step) {
    if (InterruptRequested()) return Interrupted(fmt::format("stopped at token {}", t));
    const auto chunk = all.slice(1, t, std::min(all.size(1), t + step)).contiguous();
    SLUICE_RETURN_IF_ERROR(codec->Encode(chunk, writer, nullptr).WithContext(fmt::format("chunk at token {}", t)));
    bar.Update(static_cast<uint64_t>(t + chunk.size(1)));
  }
  SLUICE_RETURN_IF_ERROR(writer.Finish());
  const auto result = StreamResult(options.out, *codec, writer.tokens_written(), writer.bytes_written());
  verb.Print(result,
             fmt::format("{}: {} tokens, {} bytes, {:.2f} bits per token\n", options.out.string(),
                         writer.tokens_written(), writer.bytes_written(), result["bits_per_token"].get<double>()));
  return OkStatus();
}

struct FrameShape {
  int64_t rows = 0, tokens = 0;
};

// Decodes a stream frame by frame for whoever wants the hidden states: the scorer, the file, or both.
class StreamDecoder {
 public:
  static Result<StreamDecoder> Open(const DecodeOptions& options) {
    SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::Open(options.in));
    const StreamHeader header = reader.header();
    const bool plain = header.kind == CodecKind::kPlain;
    if (!plain && options.codec.empty()) {
      return InvalidArgument(
          fmt::format("{}: made by a trained codec; give its folder with --codec", options.in.string()));
    }
    CutContext context{.layers = header.cut, .width = header.width, .cut = header.cut};
    if (!options.model.empty()) {
      SLUICE_ASSIGN_OR_RETURN(context, ContextOf(options.model, header.cut));
    } else if (!plain) {
      SLUICE_ASSIGN_OR_RETURN(context, ContextOfCodec(options.codec));
    }
    // A float codec must run with the threads that encoded; the stream says how many.
    SLUICE_RETURN_IF_ERROR(InitTorch(std::max<int>(1, header.threads)));
    const std::string spec = plain ? PlainCodecName(header.codec_id) : options.codec;
    SLUICE_ASSIGN_OR_RETURN(auto codec, OpenTensorCodec(spec, context));
    SLUICE_RETURN_IF_ERROR(codec->Accepts(header).WithContext(options.in.string()));
    SLUICE_ASSIGN_OR_RETURN(PointVerdicts verdicts, JudgeRequirement(options.require, options.codec));
    return StreamDecoder(std::move(reader), std::move(codec), std::move(verdicts), options.in.string());
  }

  TensorCodec& codec() { return *codec_; }
  uint64_t tokens() const { return reader_.tokens(); }
  DType source() const { return reader_.header().source; }

  // Rows and tokens of the frame that Next decodes; none after the last one.
  Result<std::optional<FrameShape>> NextShape() {
    if (!frame_) {
      auto read = reader_.Next();
      if (!read.ok()) return read.status().WithContext(name_);
      frame_ = std::move(*read);
    }
    if (!frame_) return std::optional<FrameShape>();
    return std::optional<FrameShape>({frame_->batch, frame_->tokens});
  }

  // The hidden states of the next frame; undefined after the last one.
  Result<torch::Tensor> Next() {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<FrameShape> shape, NextShape());
    if (!shape) return torch::Tensor();
    const Frame frame = *std::exchange(frame_, std::nullopt);
    auto hidden = codec_->Decode(frame, reader_);
    const Status status = hidden.ok() ? VerdictOn(verdicts_, codec_->point()) : hidden.status();
    if (!status.ok()) return status.WithContext(fmt::format("{}: frame {} (byte {})", name_, frames_, frame.offset));
    ++frames_;
    return hidden;
  }

 private:
  StreamDecoder(StreamReader reader, std::unique_ptr<TensorCodec> codec, PointVerdicts verdicts, std::string name)
      : reader_(std::move(reader)), codec_(std::move(codec)), verdicts_(std::move(verdicts)), name_(std::move(name)) {}

  StreamReader reader_;
  std::unique_ptr<TensorCodec> codec_;
  PointVerdicts verdicts_;
  std::string name_;            ///< of the file
  std::optional<Frame> frame_;  ///< read, not decoded
  uint64_t frames_ = 0;
};

// Frames are [B, T, d] of the same rows, one behind the other.
Status SaveFrames(const std::vector<torch::Tensor>& frames, DType source, const std::filesystem::path& path) {
  for (const torch::Tensor& frame : frames) {
    if (frame.size(0) != frames.front().size(0)) {
      return Corrupt(fmt::format("a frame of {} rows, {} in the frames before", frame.size(0), frames.front().size(0)));
    }
  }
  const auto all = torch::cat(frames, 1).contiguous();
  HiddenStates hidden = HiddenStates::Zeros(static_cast<uint64_t>(all.size(0)), static_cast<uint64_t>(all.size(1)),
                                            static_cast<size_t>(all.size(2)));
  std::memcpy(hidden.values.data(), all.data_ptr<float>(), static_cast<size_t>(all.numel()) * sizeof(float));
  return SaveHidden(path, hidden, source);
}

// Runs the tail over decoded frames. The stream must hold exactly the windows of the text.
class TextScorer {
 public:
  static Result<TextScorer> Open(const DecodeOptions& options, int64_t cut) {
    if (options.model.empty()) return InvalidArgument("--text needs --model DIR");
    SLUICE_ASSIGN_OR_RETURN(auto backbone, LoadBackbone(options.model, {cut, -1}));
    const TextSource source{options.text, options.drop_blank_lines, options.context, 0};
    SLUICE_ASSIGN_OR_RETURN(TextWindows windows, TextWindows::Load(options.model, backbone->config(), source));
    return TextScorer(std::move(backbone), std::move(windows), cut);
  }

  Status Score(StreamDecoder& decoder, std::vector<torch::Tensor>* keep) {
    std::vector<torch::Tensor> windows;  // of the frame that comes next
    SLUICE_RETURN_IF_ERROR(windows_.Visit(1, "decode", [&](const torch::Tensor& tokens) -> Status {
      SLUICE_ASSIGN_OR_RETURN(const std::optional<FrameShape> shape, decoder.NextShape());
      if (!shape || shape->tokens != tokens.size(1)) {
        return Mismatch(fmt::format("the stream does not hold this text: a window of {} tokens meets {}",
                                    tokens.size(1), shape ? fmt::format("a frame of {}", shape->tokens) : "its end"));
      }
      windows.push_back(tokens);
      if (static_cast<int64_t>(windows.size()) < shape->rows) return OkStatus();
      return ScoreFrame(std::exchange(windows, {}), decoder, keep);
    }));
    SLUICE_ASSIGN_OR_RETURN(const std::optional<FrameShape> rest, decoder.NextShape());
    return rest ? Mismatch("the stream holds more than this text") : OkStatus();
  }

  const LanguageScore& score() const { return score_; }

 private:
  Status ScoreFrame(const std::vector<torch::Tensor>& windows, StreamDecoder& decoder,
                    std::vector<torch::Tensor>* keep) {
    const torch::NoGradGuard no_grad;
    decoder.codec().SetTokens(torch::cat(windows, 0));
    SLUICE_ASSIGN_OR_RETURN(const torch::Tensor hidden, decoder.Next());
    // Windows of a text are one sequence of rows, in whatever frames they came.
    if (keep != nullptr) keep->push_back(hidden.reshape({1, -1, hidden.size(2)}));
    for (size_t i = 0; i < windows.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      score_.Add(windows[i], backbone_->Tail(hidden.slice(0, row, row + 1), cut_), torch::Tensor());
    }
    return OkStatus();
  }

  TextScorer(std::shared_ptr<Backbone> backbone, TextWindows windows, int64_t cut)
      : backbone_(std::move(backbone)), windows_(std::move(windows)), cut_(cut) {}

  std::shared_ptr<Backbone> backbone_;
  TextWindows windows_;
  int64_t cut_;
  LanguageScore score_;
};

Status DecodeStream(const DecodeOptions& options, Verb& verb) {
  if (!options.ids.empty() || !options.ids_out.empty()) {
    return InvalidArgument("--ids and --ids-out need a pack as --codec, and no --text");
  }
  SLUICE_ASSIGN_OR_RETURN(StreamDecoder decoder, StreamDecoder::Open(options));
  std::vector<torch::Tensor> frames;
  std::optional<LanguageScore> score;
  if (!options.text.empty()) {
    SLUICE_ASSIGN_OR_RETURN(TextScorer scorer, TextScorer::Open(options, decoder.codec().cut()));
    SLUICE_RETURN_IF_ERROR(scorer.Score(decoder, options.out.empty() ? nullptr : &frames));
    score = scorer.score();
  } else {
    while (true) {
      if (InterruptRequested()) return Interrupted("stopped");
      SLUICE_ASSIGN_OR_RETURN(const torch::Tensor hidden, decoder.Next());
      if (!hidden.defined()) break;
      frames.push_back(hidden);
    }
  }
  const uint64_t stream_bytes = std::filesystem::file_size(options.in);
  if (!options.out.empty()) {
    if (frames.empty()) return InvalidArgument(options.in.string() + ": the stream holds no tokens to write");
    SLUICE_RETURN_IF_ERROR(SaveFrames(frames, decoder.source(), options.out).WithContext(options.in.string()));
  }
  auto result = StreamResult(options.in, decoder.codec(), decoder.tokens(), stream_bytes);
  std::string text = fmt::format("{}: {} tokens decoded and verified, {:.2f} bits per token\n", options.in.string(),
                                 decoder.tokens(), result["bits_per_token"].get<double>());
  if (score.has_value()) {
    result["cross_entropy_nats"] = score->cross_entropy_nats();
    result["perplexity"] = std::exp(score->cross_entropy_nats());
    result["top1_accuracy"] = score->top1_accuracy();
    result["predictions"] = score->predictions();
    text += fmt::format("perplexity {:.4f} over {} predictions, {:.2f} % of next tokens right\n",
                        std::exp(score->cross_entropy_nats()), score->predictions(), 100 * score->top1_accuracy());
  }
  if (!options.out.empty()) text += fmt::format("hidden states written to {}\n", options.out.string());
  verb.Print(result, text);
  return OkStatus();
}

}  // namespace

int RunModelEncode(int argc, char** argv) {
  Verb verb("encode", kEncodeDescription, kEncodeExamples);
  EncodeOptions options;
  AddEncodeOptions(verb.app(), options);
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_RETURN_IF_ERROR(InitTorch(options.threads));
    CatchInterrupts();
    return CatchTorch(
        [&] { return options.hidden.empty() ? EncodeText(options, verb) : EncodeHiddenStates(options, verb); });
  });
}

int RunModelDecode(int argc, char** argv) {
  Verb verb("decode", kDecodeDescription, kDecodeExamples);
  DecodeOptions options;
  AddDecodeOptions(verb.app(), options);
  return verb.Run(argc, argv, [&]() -> Status {
    CatchInterrupts();
    return CatchTorch([&] { return DecodeStream(options, verb); });
  });
}

}  // namespace sluice
