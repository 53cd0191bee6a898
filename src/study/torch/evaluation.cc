#include "study/torch/evaluation.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "backbone/lm_score.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "plain/integer_baseline.h"
#include "study/torch/step_codec.h"

namespace sluice {
namespace {

// Codecs of eval's table on the same hidden states: what a user would do without sluice.
constexpr const char* kFloatBaselines[] = {"fp16", "int8", "q80", "deflate", "zstd"};

class Evaluator {
 public:
  explicit Evaluator(const EvaluationOptions& options) : options_(options) {}

  Result<Evaluation> Run() {
    SLUICE_RETURN_IF_ERROR(Open());
    SLUICE_ASSIGN_OR_RETURN(const TextWindows windows,
                            TextWindows::Load(options_.model, backbone_->config(), options_.text));
    SLUICE_RETURN_IF_ERROR(
        windows.Visit(options_.batch, "encode", [this](const torch::Tensor& tokens) { return EncodeWindows(tokens); }));
    SLUICE_RETURN_IF_ERROR(writer_->Finish());
    stream_ = writer_->Take();
    result_.bytes = stream_.size();
    SLUICE_RETURN_IF_ERROR(OpenReader());
    SLUICE_RETURN_IF_ERROR(
        windows.Visit(options_.batch, "decode", [this](const torch::Tensor& tokens) { return DecodeWindows(tokens); }));
    SLUICE_RETURN_IF_ERROR(ExpectEnd());
    SLUICE_RETURN_IF_ERROR(TimeInChunks(windows));
    for (auto& bits : result_.channel_bits_per_token) bits /= static_cast<double>(result_.tokens);
    for (auto& [name, bits] : result_.baseline_bits_per_token) bits /= static_cast<double>(result_.tokens);
    if (reference_ != nullptr)
      result_.reference_cross_entropy_nats = reference_nats_ / static_cast<double>(result_.score.predictions());
    return std::move(result_);
  }

 private:
  Status Open() {
    SLUICE_ASSIGN_OR_RETURN(backbone_, LoadBackbone(options_.model));
    CutContext context{.layers = backbone_->config().layers, .width = backbone_->config().width, .cut = options_.cut};
    SLUICE_ASSIGN_OR_RETURN(context.model, ModelIdentity(options_.model));
    SLUICE_ASSIGN_OR_RETURN(codec_,
                            OpenStudyCodec(options_.codec, context, *backbone_, options_.model, options_.fit_text));
    SLUICE_RETURN_IF_ERROR(codec_->SetPoint(options_.point));
    result_.multiply_adds_per_token = codec_->multiply_adds_per_token();
    result_.codec = codec_->name();
    result_.learned = codec_->learned();
    result_.cut = codec_->cut();
    result_.width = context.width;
    SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(codec_->Header()));
    writer_.emplace(std::move(writer));
    context.cut = codec_->cut();
    if (options_.baselines) {
      for (const char* spec : kFloatBaselines) {
        SLUICE_ASSIGN_OR_RETURN(auto baseline, OpenTensorCodec(spec, context));
        baselines_.push_back(std::move(baseline));
      }
    }
    if (!options_.reference.empty()) {
      SLUICE_ASSIGN_OR_RETURN(reference_, LoadBackbone(options_.reference));
    }
    return OkStatus();
  }

  Status EncodeWindows(const torch::Tensor& tokens) {
    torch::NoGradGuard no_grad;
    const auto hidden = backbone_->Head(tokens, codec_->cut());
    codec_->SetTokens(tokens);
    ChunkBits bits;
    SLUICE_RETURN_IF_ERROR(codec_->Encode(hidden, *writer_, &bits));
    SLUICE_RETURN_IF_ERROR(TimeEncoding(hidden));
    result_.tokens += tokens.numel();
    ++result_.chunks;
    CountBits(bits);
    return Baselines(hidden, bits);
  }

  // Counting where the bits went takes longer than coding them, so the clock runs over a second, plain encoding.
  Status TimeEncoding(const torch::Tensor& hidden) {
    SLUICE_ASSIGN_OR_RETURN(StreamWriter scratch, StreamWriter::ToMemory(codec_->Header()));
    const auto start = Clock::now();
    SLUICE_RETURN_IF_ERROR(codec_->Encode(hidden, scratch, nullptr));
    result_.encode_seconds += SecondsSince(start);
    return OkStatus();
  }

  Status OpenReader() {
    SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(stream_));
    SLUICE_RETURN_IF_ERROR(codec_->Accepts(reader.header()));
    reader_.emplace(std::move(reader));
    return OkStatus();
  }

  Status ExpectEnd() {
    SLUICE_ASSIGN_OR_RETURN(const auto frame, reader_->Next());
    return frame.has_value() ? Internal("the stream holds more frames than were written") : OkStatus();
  }

  Status DecodeWindows(const torch::Tensor& tokens) {
    torch::NoGradGuard no_grad;
    SLUICE_ASSIGN_OR_RETURN(const auto frame, reader_->Next());
    if (!frame.has_value()) return Internal("the stream holds fewer frames than were written");
    for (const auto& section : frame->sections) result_.payload_bytes += section.size();
    codec_->SetTokens(tokens);
    const auto start = Clock::now();
    SLUICE_ASSIGN_OR_RETURN(const torch::Tensor decoded, codec_->Decode(*frame, *reader_));
    result_.decode_seconds += SecondsSince(start);
    const auto hidden = backbone_->Head(tokens, codec_->cut());
    result_.score.Add(tokens, backbone_->Tail(decoded, codec_->cut()), backbone_->Tail(hidden, codec_->cut()));
    if (reference_ != nullptr && tokens.size(1) > 1) {
      reference_nats_ += NextTokenNats(reference_->Logits(tokens), tokens).sum().item<double>();
    }
    return OkStatus();
  }

  Status TimeInChunks(const TextWindows& windows) {
    if (options_.time_chunks.empty()) return OkStatus();
    torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> rows, ids;
    SLUICE_RETURN_IF_ERROR(windows.Visit(1, "hidden", [&](const torch::Tensor& tokens) {
      rows.push_back(backbone_->Head(tokens, codec_->cut()).squeeze(0));
      ids.push_back(tokens.squeeze(0));
      return OkStatus();
    }));
    const torch::Tensor hidden = torch::cat(rows, 0), all_ids = torch::cat(ids, 0);
    for (const int64_t tokens : options_.time_chunks) {
      SLUICE_ASSIGN_OR_RETURN(const ChunkTiming timing, TimeChunks(*codec_, hidden, all_ids, tokens));
      result_.timing.push_back(timing);
    }
    return OkStatus();
  }

  void CountBits(const ChunkBits& bits) {
    result_.estimated_bits += bits.estimated;
    result_.hyper_bits += bits.hyper;
    result_.latent_bits += bits.latent;
    result_.channel_bits_per_token.resize(bits.channels.size(), 0.0);
    for (size_t c = 0; c < bits.channels.size(); ++c) result_.channel_bits_per_token[c] += bits.channels[c];
  }

  void AddBaseline(const std::string& name, double bits) {
    for (auto& [known, sum] : result_.baseline_bits_per_token) {
      if (known == name) {
        sum += bits;
        return;
      }
    }
    result_.baseline_bits_per_token.emplace_back(name, bits);
  }

  Status Baselines(const torch::Tensor& hidden, const ChunkBits& bits) {
    for (const auto& baseline : baselines_) {
      SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(baseline->Header()));
      const uint64_t before = writer.bytes_written();
      SLUICE_RETURN_IF_ERROR(baseline->Encode(hidden, writer, nullptr));
      AddBaseline(baseline->name(), 8.0 * static_cast<double>(writer.bytes_written() - before));
    }
    if (!options_.baselines || bits.integers.empty()) return OkStatus();
    const auto width = static_cast<size_t>(result_.width);
    const MatrixView<const int32_t> integers(bits.integers.data(), bits.integers.size() / width, width);
    for (const auto& [compressor, level] : kUsualRivals) {
      SLUICE_ASSIGN_OR_RETURN(const uint64_t paper, PaperPackingBytes(compressor, level, integers));
      SLUICE_ASSIGN_OR_RETURN(const BestPacking best, BestPackingBytes(compressor, level, integers));
      const std::string_view name = Compressors()[static_cast<size_t>(compressor)].name;
      AddBaseline(fmt::format("{}_integers_paper_packing", name), 8.0 * static_cast<double>(paper));
      AddBaseline(fmt::format("{}_integers_best_packing", name), 8.0 * static_cast<double>(best.bytes));
    }
    return OkStatus();
  }

  const EvaluationOptions& options_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<Backbone> reference_;
  std::unique_ptr<TensorCodec> codec_;
  std::vector<std::unique_ptr<TensorCodec>> baselines_;
  std::optional<StreamWriter> writer_;
  std::vector<uint8_t> stream_;
  std::optional<StreamReader> reader_;  // over stream_
  double reference_nats_ = 0;
  Evaluation result_;
};

}  // namespace

nlohmann::ordered_json Evaluation::ToJson() const {
  const auto n = static_cast<double>(tokens);
  nlohmann::ordered_json json = {{"codec", codec},
                                 {"cut", cut},
                                 {"width", width},
                                 {"tokens", tokens},
                                 {"chunks", chunks},
                                 {"bytes", bytes},
                                 {"bits_per_token", BitsPerToken()},
                                 {"bits_per_element", BitsPerToken() / static_cast<double>(width)}};
  if (learned) {
    json["estimated_bits_per_token"] = estimated_bits / n;
    json["payload_over_estimate"] = 8.0 * static_cast<double>(payload_bytes) / estimated_bits - 1;
    json["hyper_bits_per_token"] = hyper_bits / n;
    json["latent_bits_per_token"] = latent_bits / n;
    json["overhead_bits_per_token"] = BitsPerToken() - (hyper_bits + latent_bits) / n;
  }
  json["cross_entropy_nats"] = score.cross_entropy_nats();
  json["perplexity"] = std::exp(score.cross_entropy_nats());
  json["uncut_perplexity"] = std::exp(score.uncut_cross_entropy_nats());
  json["perplexity_ratio"] = std::exp(score.cross_entropy_nats() - score.uncut_cross_entropy_nats());
  json["kl_nats"] = score.kl_nats();
  json["top1_agreement"] = score.top1_agreement();
  json["top1_accuracy"] = score.top1_accuracy();
  if (reference_cross_entropy_nats > 0) json["reference_perplexity"] = std::exp(reference_cross_entropy_nats);
  json["encode_us_per_token"] = 1e6 * encode_seconds / n;
  json["decode_us_per_token"] = 1e6 * decode_seconds / n;
  if (multiply_adds_per_token > 0) json["multiply_adds_per_token"] = multiply_adds_per_token;
  for (const ChunkTiming& one : timing) {
    nlohmann::ordered_json& row = json["timing"].emplace_back();
    row = {{"tokens", one.tokens},
           {"threads", at::get_num_threads()},
           {"bits_per_token", one.bits_per_token},
           {"encode_us_per_token", one.encode_us},
           {"decode_us_per_token", one.decode_us}};
    for (const RivalTiming& rival : one.rivals) row["same_integers"].push_back(rival.ToJson());
  }
  for (const auto& [name, bits] : baseline_bits_per_token) json["baseline_bits_per_token"][name] = bits;
  json["channel_bits_per_token"] = channel_bits_per_token;
  return json;
}

std::string Evaluation::ToText() const {
  const auto n = static_cast<double>(tokens);
  std::string text =
      fmt::format("{} at cut {}, {} tokens of width {} in {} chunks\n\n", codec, cut, tokens, width, chunks);
  const auto row = [&text](const std::string& name, const std::string& value) {
    text += fmt::format("  {:<36} {:>12}\n", name, value);
  };
  row("bits per token (bytes written)", fmt::format("{:.2f}", BitsPerToken()));
  row("bits per element", fmt::format("{:.3f}", BitsPerToken() / static_cast<double>(width)));
  if (learned) {
    row("  hyper-prior", fmt::format("{:.2f}", hyper_bits / n));
    row("  latent", fmt::format("{:.2f}", latent_bits / n));
    row("  overhead (headers, coder)", fmt::format("{:.2f}", BitsPerToken() - (hyper_bits + latent_bits) / n));
    row("estimated bits per token", fmt::format("{:.2f}", estimated_bits / n));
  }
  row("perplexity", fmt::format("{:.4f}", std::exp(score.cross_entropy_nats())));
  row("perplexity, uncut model", fmt::format("{:.4f}", std::exp(score.uncut_cross_entropy_nats())));
  row("rise of perplexity",
      fmt::format("{:+.2f} %", 100 * (std::exp(score.cross_entropy_nats() - score.uncut_cross_entropy_nats()) - 1)));
  if (reference_cross_entropy_nats > 0)
    row("perplexity, reference model", fmt::format("{:.4f}", std::exp(reference_cross_entropy_nats)));
  row("KL from the uncut model, nats", fmt::format("{:.5f}", score.kl_nats()));
  row("top-1 agreement with it", fmt::format("{:.2f} %", 100 * score.top1_agreement()));
  row("encode + decode, us per token", fmt::format("{:.1f}", 1e6 * (encode_seconds + decode_seconds) / n));
  if (!baseline_bits_per_token.empty()) text += "\n  other codecs on the same states        bits/token\n";
  for (const auto& [name, bits] : baseline_bits_per_token) row(name, fmt::format("{:.1f}", bits));
  return text;
}

std::vector<PageBlock> Evaluation::ToBlocks() const {
  const auto n = static_cast<double>(tokens);
  std::vector<PageBlock> blocks;
  if (learned) {
    const double ideal = (hyper_bits + latent_bits) / n;
    blocks.push_back(BarsBlock{.title = "Where the bits go",
                               .caption = "Bits per token by part, from the bytes written; overhead is headers, "
                                          "checksums and the coder's own loss.",
                               .unit = "bits per token",
                               .rows = {codec},
                               .parts = {{"hyper-prior", {hyper_bits / n}},
                                         {"latent", {latent_bits / n}},
                                         {"overhead", {std::max(0.0, BitsPerToken() - ideal)}}}});
    blocks.push_back(ChannelsBlock{.title = "Rate by channel",
                                   .caption = "Latent bits per token of every channel.",
                                   .y_label = "bits per token",
                                   .values = channel_bits_per_token});
  }
  TableBlock table{.title = "Beside other codecs",
                   .caption =
                       "The same hidden states through codecs that are not learned. Rows that end in _packing "
                       "compress the learned codec's own integers.",
                   .columns = {"codec", "bits per token", "times this codec"}};
  table.rows.push_back({codec, fmt::format("{:.2f}", BitsPerToken()), "1.00"});
  for (const auto& [name, bits] : baseline_bits_per_token) {
    table.rows.push_back({name, fmt::format("{:.2f}", bits), fmt::format("{:.2f}", bits / BitsPerToken())});
  }
  blocks.push_back(std::move(table));
  return blocks;
}

Result<Evaluation> Evaluate(const EvaluationOptions& options) {
  CatchInterrupts();
  return CatchTorch([&] { return Evaluator(options).Run(); });
}

}  // namespace sluice
