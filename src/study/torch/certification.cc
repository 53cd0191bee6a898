// Windows are the samples: predictions inside of one depend on each other, windows hardly do. The interval of the
// perplexity's ratio is that of the mean rise in nats, turned into a ratio at its ends. The ratio's own middle weighs
// windows by their predictions, so that it is the one that eval prints.
#include "study/torch/certification.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "backbone/generate.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "base/file.h"
#include "study/seed_interval.h"
#include "study/torch/cut_runner.h"
#include "study/torch/evaluation.h"
#include "study/torch/last_words.h"

namespace sluice {
namespace {

constexpr uint64_t kLargestText = uint64_t{1} << 32;

Result<Measured> MeasureOver(const std::vector<double>& samples) {
  SLUICE_ASSIGN_OR_RETURN(const SeedMean mean, MeanOverSeeds(samples));
  constexpr double kNone = std::numeric_limits<double>::max();
  if (!mean.interval.has_value()) return Measured{mean.mean, -kNone, kNone};
  return Measured{mean.mean, mean.interval->low, mean.interval->high};
}

std::vector<double> Samples(const std::vector<WindowScore>& windows, double WindowScore::*field) {
  std::vector<double> samples;
  for (const WindowScore& window : windows) samples.push_back(window.*field);
  return samples;
}

Result<Sha256Digest> HashFiles(const std::vector<std::filesystem::path>& files) {
  Sha256 hash;
  for (const auto& path : files) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kLargestText));
    hash.Update(AsBytes(text));
  }
  return hash.Finish();
}

/// The greedy continuation of a prompt.
Result<std::vector<int64_t>> Continue(const std::shared_ptr<Backbone>& backbone, TensorCodec* codec,
                                      const std::vector<int64_t>& prompt, int64_t new_tokens) {
  CutRunner runner(backbone, codec);
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_new_tokens = new_tokens;
  options.context = backbone->config().context;
  return Generate([&runner](const torch::Tensor& tokens) { return runner.Next(tokens); }, prompt, options);
}

/// Share of each continuation up to where the cut model's leaves the uncut one's.
Result<Measured> GreedyAgreement(const CertificationOptions& options, const Sha256Digest& model, int index) {
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<Backbone> backbone, LoadBackbone(options.model));
  const CutContext context{.model = model, .layers = backbone->config().layers, .width = backbone->config().width};
  SLUICE_ASSIGN_OR_RETURN(const auto codec, OpenTensorCodec(options.pack.string(), context));
  SLUICE_RETURN_IF_ERROR(codec->SetPoint(index));
  SLUICE_ASSIGN_OR_RETURN(const TextWindows windows,
                          TextWindows::Load(options.model, backbone->config(), options.text));
  std::vector<double> shares;
  SLUICE_RETURN_IF_ERROR(windows.Visit(1, "continue", [&](const torch::Tensor& tokens) -> Status {
    if (static_cast<int64_t>(shares.size()) == options.prompts || tokens.size(1) < options.prompt_tokens) {
      return OkStatus();
    }
    const int64_t* const ids = tokens.data_ptr<int64_t>();
    const std::vector<int64_t> prompt(ids, ids + options.prompt_tokens);
    SLUICE_ASSIGN_OR_RETURN(const auto uncut, Continue(backbone, nullptr, prompt, options.new_tokens));
    SLUICE_ASSIGN_OR_RETURN(const auto cut, Continue(backbone, codec.get(), prompt, options.new_tokens));
    const auto same = std::mismatch(uncut.begin(), uncut.end(), cut.begin(), cut.end()).first - uncut.begin();
    shares.push_back(static_cast<double>(same) / static_cast<double>(std::max<size_t>(1, uncut.size())));
    return OkStatus();
  }));
  if (shares.empty()) {
    return InvalidArgument(fmt::format("the text has no window of {} tokens to continue", options.prompt_tokens));
  }
  SLUICE_ASSIGN_OR_RETURN(Measured greedy, MeasureOver(shares));
  greedy.low = std::max(greedy.low, 0.0);
  greedy.high = std::min(greedy.high, 1.0);
  return greedy;
}

EvaluationOptions EvaluationOf(const CertificationOptions& options, int index) {
  EvaluationOptions eval;
  eval.model = options.model;
  eval.codec = options.pack.string();
  eval.point = index;
  eval.baselines = false;
  return eval;
}

Status AddLastWords(const CertificationOptions& options, int index, CertifiedPoint& point) {
  if (options.last_words.empty()) return OkStatus();
  EvaluationOptions eval = EvaluationOf(options, index);
  eval.text.files = options.last_words;
  SLUICE_ASSIGN_OR_RETURN(const auto figures, EvaluateLastWords(eval));
  const auto less = [&figures](const char* cut, const char* uncut) {
    return figures[cut].get<double>() - figures[uncut].get<double>();
  };
  point.tasks["last_word_accuracy"] = less("last_word_accuracy", "uncut_last_word_accuracy");
  point.tasks["last_word_nats"] = less("last_word_nats", "uncut_last_word_nats");
  return OkStatus();
}

/// Everything that is measured of one operating point; what does not depend on it goes into `certificate`.
Result<CertifiedPoint> MeasurePoint(const CertificationOptions& options, int index, Certificate& certificate) {
  EvaluationOptions eval = EvaluationOf(options, index);
  eval.text = options.text;
  SLUICE_ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(eval));
  certificate.cut = evaluation.cut;
  certificate.width = evaluation.width;
  certificate.tokens = evaluation.tokens;
  certificate.windows = static_cast<int64_t>(evaluation.score.windows().size());
  const auto& windows = evaluation.score.windows();
  const double cut = evaluation.score.cross_entropy_nats(), uncut = evaluation.score.uncut_cross_entropy_nats();
  CertifiedPoint point;
  point.bits_per_token = evaluation.BitsPerToken();
  point.perplexity = std::exp(cut);
  point.uncut_perplexity = std::exp(uncut);
  SLUICE_ASSIGN_OR_RETURN(const Measured rise, MeasureOver(Samples(windows, &WindowScore::rise_nats)));
  const auto ratio = [](double nats) { return std::min(std::exp(nats), std::numeric_limits<double>::max()); };
  point.ppl = {std::exp(cut - uncut), ratio(rise.low), ratio(rise.high)};
  SLUICE_ASSIGN_OR_RETURN(point.kl, MeasureOver(Samples(windows, &WindowScore::kl_nats)));
  SLUICE_ASSIGN_OR_RETURN(point.top1, MeasureOver(Samples(windows, &WindowScore::top1_agreement)));
  SLUICE_RETURN_IF_ERROR(AddLastWords(options, index, point));
  SLUICE_ASSIGN_OR_RETURN(point.greedy, CatchTorch([&] { return GreedyAgreement(options, certificate.model, index); }));
  return point;
}

}  // namespace

Result<Certificate> CertifyPack(const CertificationOptions& options) {
  Certificate certificate;
  std::vector<std::string> names = {""};
  {
    SLUICE_ASSIGN_OR_RETURN(const Pack pack, Pack::Open(options.pack));
    certificate.pack = pack.hash();
    if (!pack.operating_points().empty()) names.clear();
    for (const OperatingPoint& point : pack.operating_points()) names.push_back(point.name);
  }
  SLUICE_ASSIGN_OR_RETURN(certificate.model, ModelIdentity(options.model));
  SLUICE_ASSIGN_OR_RETURN(certificate.corpus, HashFiles(options.text.files));
  certificate.program = options.program;
  for (size_t i = 0; i < names.size(); ++i) {
    SLUICE_ASSIGN_OR_RETURN(CertifiedPoint point, MeasurePoint(options, static_cast<int>(i), certificate));
    point.name = names[i];
    certificate.points.push_back(std::move(point));
  }
  return certificate;
}

}  // namespace sluice
