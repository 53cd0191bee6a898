#include "train/pretraining.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "backbone/lm_score.h"
#include "backbone/torch_setup.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "text/corpus.h"
#include "text/sentencepiece_train.h"
#include "text/tokenizer.h"

namespace sluice {
namespace {

constexpr int64_t kMostPretrainWindows = 64;

class PretrainTask : public TrainingTask {
 public:
  PretrainTask(std::shared_ptr<Backbone> model, std::optional<BatchDealer> select, int64_t batch)
      : model_(std::move(model)), select_(std::move(select)), batch_(batch) {}

  std::vector<ParameterGroup> Groups() override {
    ParameterGroup group;
    for (const auto& item : model_->named_parameters()) group.parameters.emplace_back(item.key(), item.value());
    return {group};
  }

  std::vector<NamedTensor> State() override { return NamedState(*model_, "model."); }

  StepLoss Forward(const torch::Tensor& tokens, int64_t) override {
    return {NextTokenNats(model_->Logits(tokens), tokens).mean(), {}};
  }

  Metrics Evaluate() override {
    if (!select_.has_value()) return {};
    const int64_t windows = std::min(kMostPretrainWindows, select_->epoch_windows());
    double sum = 0;
    for (int64_t first = 0; first < windows; first += batch_) {
      const int64_t count = std::min(batch_, windows - first);
      const auto tokens = select_->Deal(first, count);
      sum += NextTokenNats(model_->Logits(tokens), tokens).mean().item<double>() * static_cast<double>(count);
    }
    return {{"loss", sum / static_cast<double>(windows)}};
  }

  std::string Note(const Metrics& metrics) const override {
    return fmt::format("loss {:.4f} nats  {:.0f} tokens/s", MetricValue(metrics, "loss"),
                       MetricValue(metrics, "tokens_per_second"));
  }

 private:
  std::shared_ptr<Backbone> model_;
  std::optional<BatchDealer> select_;
  int64_t batch_;
};

std::filesystem::path RunFolderOf(const PretrainOptions& options) { return options.out / "run"; }

// A run that has a checkpoint goes on with its tokenizer; one that was stopped before may be of another text.
Result<std::unique_ptr<Tokenizer>> MakeTokenizer(const PretrainOptions& options, std::string_view text) {
  const auto path = options.out / "tokenizer.model";
  SLUICE_ASSIGN_OR_RETURN(const bool reuse, ContinuesRun(options.loop, RunFolderOf(options)));
  if (!reuse) SLUICE_RETURN_IF_ERROR(TrainSentencePiece(text, options.vocab, path));
  return LoadTokenizer(path);
}

std::string Identity(const PretrainOptions& options, std::string_view text) {
  const LoopOptions& loop = options.loop;
  return nlohmann::ordered_json{{"task", "pretrain"},       {"text", ToHex(Sha256::Of(AsBytes(text))).substr(0, 16)},
                                {"layers", options.layers}, {"width", options.width},
                                {"heads", options.heads},   {"context", options.context},
                                {"vocab", options.vocab},   {"loop", LoopIdentity(loop)}}
      .dump();
}

}  // namespace

Status Pretrain(const PretrainOptions& options) {
  SLUICE_RETURN_IF_ERROR(CheckSelectShare(options.select_share));
  const std::filesystem::path results[] = {options.out / "config.json", options.out / "model.safetensors"};
  SLUICE_RETURN_IF_ERROR(CheckNothingReplaced(RunFolderOf(options), results));
  SLUICE_RETURN_IF_ERROR(MakeFolder(options.out));
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadText(options.text));
  SLUICE_ASSIGN_OR_RETURN(const auto tokenizer, MakeTokenizer(options, text));
  SLUICE_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, tokenizer->Encode(text));
  auto config =
      BackboneConfig::Gpt2(options.layers, options.width, options.heads, tokenizer->vocab_size(), options.context);
  config.bos = tokenizer->bos().value_or(-1);
  if (tokenizer->eos().has_value()) config.eos = {*tokenizer->eos()};
  SLUICE_ASSIGN_OR_RETURN(const auto model, CreateBackbone(config, options.loop.seed));

  SLUICE_ASSIGN_OR_RETURN(RunBatches batches, SplitForSelection(std::move(tokens), tokenizer->bos(), options.context,
                                                                options.select_share, options.loop.seed));
  PretrainTask task(model, std::move(batches.select), options.loop.batch);
  SLUICE_RETURN_IF_ERROR(RunTraining(task, batches.train, options.loop, RunFolderOf(options), Identity(options, text)));
  return SaveBackbone(*model, options.out, options.stored);
}

}  // namespace sluice
