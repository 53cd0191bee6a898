// Rate against distortion. The learning rate of each preset is chosen at one lambda on the selection text, and the run
// that won there is measured on the report text as that lambda's point, so that nothing is trained twice. All joint
// curves of a seed are compared with one reference, the model trained alone beside the first point: candidates train
// none, and with one rate to choose from there are no joint candidates.
#include <algorithm>
#include <map>

#include "study/plan_builder.h"

namespace sluice {
namespace {

const std::vector<double> kLambdas = {2e-4, 6e-4, 2e-3, 6e-3};
const std::vector<double> kLearningRates = {4e-3, 8e-3, 16e-3};
const std::vector<double> kQuantizationSteps = {0.1, 0.2, 0.4, 0.8};
const std::vector<double> kManySteps = {0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6};

Status NeedTexts(const PlanBuilder& builder, bool train, bool select) {
  const StudyOptions& options = builder.options();
  if (train && options.train_text.empty()) return InvalidArgument("this study trains: --text names no file");
  if (select && options.select_text.empty())
    return InvalidArgument("this study chooses learning rates: --select-text names no file");
  if (options.report_text.empty()) return InvalidArgument("--report-text names no file");
  return OkStatus();
}

// A codec that rounds to steps of the hidden state's deviation, with tables fitted on the training text.
void AddSteps(PlanBuilder& builder, const std::string& basis, int64_t cut, const std::vector<double>& steps) {
  for (const double step : steps) {
    const std::string codec = basis + ":" + NumberText(step);
    builder.AddPlain(codec, cut);
    StudyRun& run = builder.plan().runs.back();
    run.labels.role = RunRole::kPoint;
    run.labels.series = basis;
    run.labels.step = step;
    run.eval.insert(run.eval.end(), {"--fit-text", "{train-text}"});
  }
}

// A joint candidate is no point, so with one rate there is nothing to train it for.
bool ChoosesRate(const StudyOptions& options, const std::string& mode) {
  return mode != "joint" || OrDefault(options.rates, kLearningRates).size() > 1;
}

// All lambdas and seeds of one preset and mode, and the choice of their learning rate at the tuned lambda.
// `references`: by seed, the joint run beside which the model alone was trained.
void AddCurve(PlanBuilder& builder, LearnedRun run, double tuned_lambda, std::map<int64_t, std::string>& references) {
  const StudyOptions& options = builder.options();
  const std::vector<double> rates = OrDefault(options.rates, kLearningRates);
  const bool joint = run.mode == "joint";
  std::string choice;
  if (ChoosesRate(options, run.mode)) {
    run.lambda = tuned_lambda;
    choice = builder.AddTuning(run, rates);
    run.rate = "{choice:" + choice + "}";
  } else {
    run.rate = NumberText(rates.front());
  }
  for (int64_t seed = 1; seed <= options.seeds; ++seed) {
    run.seed = static_cast<uint64_t>(seed);
    for (const double lambda : OrDefault(options.lambdas, kLambdas)) {
      run.lambda = lambda;
      run.baselines = seed == 1 && run.preset == "paper";
      run.reference = references[seed];
      const bool compared = !joint || !run.reference.empty();
      if (!choice.empty() && compared && seed == 1 && lambda == tuned_lambda) {
        builder.AddBest(run, choice);
        continue;
      }
      const std::string name = builder.AddLearned(run);
      if (joint && run.reference.empty()) references[seed] = name;
    }
  }
}

}  // namespace

Result<StudyPlan> PlanRateDistortion(PlanBuilder builder) {
  const StudyOptions& options = builder.options();
  const std::vector<std::string> modes = OrDefault(options.modes, {"frozen"});
  const bool chooses =
      std::any_of(modes.begin(), modes.end(), [&](const auto& mode) { return ChoosesRate(options, mode); });
  SLUICE_RETURN_IF_ERROR(NeedTexts(builder, true, chooses));
  const std::vector<double> lambdas = OrDefault(options.lambdas, kLambdas);
  const double tuned = lambdas[lambdas.size() / 2];
  for (const std::string& codec : ComparedCodecs()) builder.AddPlain(codec, builder.cut());
  AddSteps(builder, "static", builder.cut(), OrDefault(options.steps_of_quantization, kQuantizationSteps));
  for (const std::string& mode : modes) {
    std::map<int64_t, std::string> references;
    for (const std::string& preset : OrDefault(options.presets, {"paper", "fourier", "direct", "paper+"})) {
      AddCurve(builder, {.preset = preset, .mode = mode, .cut = builder.cut()}, tuned, references);
    }
  }
  return std::move(builder.plan());
}

Result<StudyPlan> PlanLayers(PlanBuilder builder) {
  SLUICE_RETURN_IF_ERROR(NeedTexts(builder, true, false));
  const StudyOptions& options = builder.options();
  std::vector<int64_t> cuts = options.cuts;
  for (int64_t cut = 1; options.cuts.empty() && cut < builder.shape().layers; ++cut) cuts.push_back(cut);
  for (const int64_t cut : cuts) {
    AddSteps(builder, "static", cut, OrDefault(options.steps_of_quantization, kQuantizationSteps));
    for (const std::string& mode : OrDefault(options.modes, {"frozen"})) {
      for (const std::string& preset : OrDefault(options.presets, {"paper"})) {
        for (int64_t seed = 1; seed <= options.seeds; ++seed) {
          LearnedRun run{.preset = preset, .mode = mode, .cut = cut, .seed = static_cast<uint64_t>(seed)};
          if (!options.rates.empty()) run.rate = NumberText(options.rates.front());
          for (const double lambda : OrDefault(options.lambdas, kTwoLambdas)) {
            run.lambda = lambda;
            const std::string name = builder.AddLearned(run);
            if (mode == "joint" && run.reference.empty()) run.reference = name;
          }
        }
      }
    }
  }
  return std::move(builder.plan());
}

Result<StudyPlan> PlanStep(PlanBuilder builder) {
  SLUICE_RETURN_IF_ERROR(NeedTexts(builder, true, false));
  const StudyOptions& options = builder.options();
  std::vector<int64_t> cuts = options.cuts;
  for (int64_t cut = 1; options.cuts.empty() && cut < builder.shape().layers; ++cut) cuts.push_back(cut);
  for (const int64_t cut : cuts) {
    for (const char* basis : {"step", "static"}) {
      AddSteps(builder, basis, cut, OrDefault(options.steps_of_quantization, kManySteps));
    }
  }
  return std::move(builder.plan());
}

Result<StudyPlan> PlanLambada(PlanBuilder builder) {
  SLUICE_RETURN_IF_ERROR(NeedTexts(builder, true, false));
  const StudyOptions& options = builder.options();
  for (const std::string& codec : ComparedCodecs()) builder.AddPlain(codec, builder.cut());
  AddSteps(builder, "static", builder.cut(), OrDefault(options.steps_of_quantization, kQuantizationSteps));
  for (const std::string& preset : OrDefault(options.presets, {"paper"})) {
    LearnedRun run{.preset = preset, .mode = "frozen", .cut = builder.cut()};
    if (!options.rates.empty()) run.rate = NumberText(options.rates.front());
    for (int64_t seed = 1; seed <= options.seeds; ++seed) {
      run.seed = static_cast<uint64_t>(seed);
      for (const double lambda : OrDefault(options.lambdas, kLambdas)) {
        run.lambda = lambda;
        builder.AddLearned(run);
      }
    }
  }
  for (StudyRun& run : builder.plan().runs) {
    for (std::string& argument : run.eval) {
      if (argument == "--text") argument = "--last-words";
    }
  }
  return std::move(builder.plan());
}

}  // namespace sluice
