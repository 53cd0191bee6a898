// The ablation changes one switch at a time, at the same budget, and adds the combinations that are named. A switch
// that costs nothing to train again (precision_bits) is trained all the same: every row is made alike.
#include <fmt/format.h>

#include <algorithm>

#include "study/plan_builder.h"

namespace sluice {
namespace {

constexpr double kTimedLambda = 1e-3;
constexpr const char* kTimedChunks = "1,64,1024";

struct Variant {
  std::string name;
  std::vector<std::string> switches;
};

std::string Widths(std::initializer_list<int64_t> widths) { return fmt::format("widths=[{}]", fmt::join(widths, ",")); }

// Multiples of the head count near a share of the width, at least one head each.
int64_t Near(const ModelShape& shape, double share) {
  const auto heads = static_cast<double>(shape.heads);
  return shape.heads *
         std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(shape.width) * share / heads + 0.5));
}

std::vector<Variant> SingleSwitches(const ModelShape& shape) {
  std::vector<Variant> variants;
  for (const char* assignment :
       {"transform=none",    "transform=learned", "gain=false",     "residual=true",       "centroid=true",
        "mean_steps=8",      "mean_steps=16",     "last_mlp=false", "last_mlp_ratio=1",    "last_mlp_ratio=2",
        "attention=false",   "causal=false",      "window=8",       "window=32",           "density=fourier_safe",
        "density=fourier",   "prior=direct",      "sigma=linear",   "channel_prior=false", "stream_per_token=true",
        "precision_bits=12", "precision_bits=16", "classes=2048"}) {
    variants.push_back({assignment, {assignment}});
  }
  const int64_t half = Near(shape, 0.5), quarter = Near(shape, 0.25), eighth = Near(shape, 0.125);
  variants.push_back({"widths narrow", {Widths({quarter, eighth, eighth})}});
  variants.push_back({"depth 2", {Widths({eighth})}});
  variants.push_back({"depth 3", {Widths({half, eighth})}});
  variants.push_back({"depth 5", {Widths({half, half, quarter, eighth})}});
  for (const int64_t factor : {1, 2, 4, 8}) {
    const std::string assignment = fmt::format("hyper_channels={}", factor * shape.heads);
    variants.push_back({assignment, {assignment}});
  }
  return variants;
}

std::vector<Variant> Combinations() {
  return {{"lean", {"last_mlp=false", "mean_steps=16"}},
          {"lean residual", {"last_mlp=false", "residual=true", "mean_steps=16"}},
          {"lean tokenwise", {"last_mlp=false", "mean_steps=16", "attention=false"}}};
}

Result<std::vector<Variant>> AskedFor(const std::vector<std::string>& texts) {
  std::vector<Variant> variants;
  for (const std::string& text : texts) {
    Variant variant{text, {}};
    for (size_t begin = 0; begin < text.size();) {
      size_t end = std::min(text.find(' ', begin), text.size());
      if (end > begin) variant.switches.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    const bool sound =
        !variant.switches.empty() && std::all_of(variant.switches.begin(), variant.switches.end(),
                                                 [](const std::string& s) { return s.find('=') != std::string::npos; });
    if (!sound) return InvalidArgument(fmt::format("--variant '{}': expected name=value, several with spaces", text));
    variants.push_back(std::move(variant));
  }
  return variants;
}

}  // namespace

Result<StudyPlan> PlanAblation(PlanBuilder builder) {
  const StudyOptions& options = builder.options();
  if (options.train_text.empty() || options.report_text.empty())
    return InvalidArgument("an ablation trains and measures: give --text and --report-text");
  std::vector<Variant> variants = {{"", {}}};
  for (const auto& list : {SingleSwitches(builder.shape()), Combinations()})
    variants.insert(variants.end(), list.begin(), list.end());
  SLUICE_ASSIGN_OR_RETURN(const std::vector<Variant> asked, AskedFor(options.variants));
  variants.insert(variants.end(), asked.begin(), asked.end());
  const std::string mode = options.modes.empty() ? "frozen" : options.modes.front();
  const std::string preset = options.presets.empty() ? "paper" : options.presets.front();
  for (const Variant& variant : variants) {
    for (int64_t seed = 1; seed <= options.seeds; ++seed) {
      LearnedRun run{.preset = preset, .mode = mode, .cut = builder.cut(), .seed = static_cast<uint64_t>(seed)};
      run.switches = variant.switches;
      run.variant = variant.name;
      if (!options.rates.empty()) run.rate = NumberText(options.rates.front());
      for (const double lambda : OrDefault(options.lambdas, kTwoLambdas)) {
        run.lambda = lambda;
        const std::string name = builder.AddLearned(run);
        if (mode == "joint" && run.reference.empty()) run.reference = name;
      }
    }
  }
  return std::move(builder.plan());
}

Result<StudyPlan> PlanTime(PlanBuilder builder) {
  const StudyOptions& options = builder.options();
  if (options.train_text.empty() || options.report_text.empty())
    return InvalidArgument("this study trains and measures: give --text and --report-text");
  builder.plan().alone = true;
  for (const std::string& preset : OrDefault(options.presets, {"paper", "fourier", "direct"})) {
    LearnedRun run{.preset = preset, .mode = "frozen", .cut = builder.cut()};
    run.lambda = options.lambdas.empty() ? kTimedLambda : options.lambdas.front();
    if (!options.rates.empty()) run.rate = NumberText(options.rates.front());
    const std::string name = builder.AddLearned(run);
    StudyRun two = *builder.plan().FindRun(name);
    two.name += "-t2";
    two.labels.role = RunRole::kTiming;
    two.train.clear();
    two.train_tokens = two.steps = 0;
    *(std::find(two.eval.begin(), two.eval.end(), "-t") + 1) = "2";
    std::replace(two.eval.begin(), two.eval.end(), std::string("{run}/codec"), "{run:" + name + "}/codec");
    builder.plan().runs.push_back(std::move(two));
  }
  for (const std::string& codec : ComparedCodecs()) builder.AddPlain(codec, builder.cut());
  for (StudyRun& run : builder.plan().runs) run.eval.insert(run.eval.end(), {"--time-chunks", kTimedChunks});
  return std::move(builder.plan());
}

}  // namespace sluice
