// The register of studies: one table from which the list, the checks and the plans come.
#include "study/study_library.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study/plan_builder.h"
#include "study/run_folder.h"

namespace sluice {
namespace {

constexpr StudyInfo kInfos[] = {
    {"rate-distortion", "learned codecs at several rates, learning rates tuned first, beside all plain codecs"},
    {"layers", "rate and distortion at every cut"},
    {"step", "quality and bits against the quantization step, nothing learned"},
    {"ablation", "what each switch of the codec earns and costs"},
    {"time", "encode and decode time, and the bandwidth at which each codec breaks even"},
    {"lambada", "the last word of passages: log-likelihood and accuracy against rate"},
};
constexpr Result<StudyPlan> (*kPlans[])(PlanBuilder) = {PlanRateDistortion, PlanLayers, PlanStep,
                                                        PlanAblation,       PlanTime,   PlanLambada};
static_assert(std::size(kInfos) == std::size(kPlans));

Result<int64_t> FirstNumber(const nlohmann::ordered_json& json, std::initializer_list<const char*> names,
                            const std::string& where) {
  for (const char* name : names) {
    const auto at = json.find(name);
    if (at != json.end() && at->is_number_integer() && at->get<int64_t>() > 0) return at->get<int64_t>();
  }
  return Unsupported(fmt::format("{}: no field {}", where, fmt::join(names, " or ")));
}

// What a study does not use is refused, so that nobody takes its default for what was asked.
Status CheckUse(const StudyInfo& study, const StudyOptions& options) {
  const std::string_view name = study.name;
  const bool every_cut = name == "layers" || name == "step", learns = name != "step";
  const bool one_curve = name == "ablation" || name == "time";
  const bool only_frozen = name == "lambada" || name == "time";
  const bool joint = std::find(options.modes.begin(), options.modes.end(), "joint") != options.modes.end();
  const std::pair<bool, const char*> refused[] = {
      {every_cut && options.cut >= 0, "--cut: this study takes --cuts"},
      {!every_cut && !options.cuts.empty(), "--cuts: this study takes one --cut"},
      {only_frozen && joint, "--mode joint: this study measures codecs on the model as it is"},
      {name == "ablation" && options.modes.size() > 1, "--mode: this study takes one"},
      {name == "ablation" && options.presets.size() > 1, "--presets: this study changes switches of one"},
      {name == "time" && options.lambdas.size() > 1, "--lambdas: this study takes one"},
      {name == "time" && options.seeds > 1, "--seeds: this study takes one"},
      {name != "rate-distortion" && options.rates.size() > 1, "--rates: this study chooses none, so it takes one"},
      {one_curve && !options.steps_of_quantization.empty(), "--quantization-steps: this study measures none"},
      {name != "ablation" && !options.variants.empty(), "--variant: belongs to the ablation"},
      {!learns && !(options.presets.empty() && options.lambdas.empty() && options.rates.empty() &&
                    options.modes.size() <= 1 && !joint && options.switches.empty() && options.seeds == 1),
       "--presets, --lambdas, --rates, --mode, --set, --seeds: nothing is learned in this study"}};
  for (const auto& [is, what] : refused) {
    if (is) return InvalidArgument(fmt::format("study {}, {}", name, what));
  }
  return OkStatus();
}

Status CheckOptions(const StudyOptions& options, const ModelShape& shape) {
  for (const std::string& mode : options.modes) {
    if (mode != "frozen" && mode != "joint")
      return InvalidArgument(fmt::format("mode '{}': expected frozen or joint", mode));
  }
  for (const auto* numbers : {&options.lambdas, &options.rates, &options.steps_of_quantization}) {
    for (const double number : *numbers) {
      if (!(number > 0)) return InvalidArgument(fmt::format("{}: expected a number above 0", number));
    }
  }
  std::vector<int64_t> cuts = options.cuts;
  if (options.cut >= 0) cuts.push_back(options.cut);
  for (const int64_t cut : cuts) {
    if (cut < 0 || cut > shape.layers)
      return InvalidArgument(
          fmt::format("cut {}: the model has {} layers, so 0 to {}", cut, shape.layers, shape.layers));
  }
  if (options.seeds < 1) return InvalidArgument(fmt::format("{} seeds: expected at least 1", options.seeds));
  return OkStatus();
}

}  // namespace

Result<ModelShape> ReadModelShape(const std::filesystem::path& model) {
  const std::filesystem::path path = model / "config.json";
  SLUICE_ASSIGN_OR_RETURN(const auto json, ReadJsonObject(path));
  ModelShape shape;
  SLUICE_ASSIGN_OR_RETURN(shape.layers, FirstNumber(json, {"n_layer", "num_hidden_layers"}, path.string()));
  SLUICE_ASSIGN_OR_RETURN(shape.width, FirstNumber(json, {"n_embd", "hidden_size"}, path.string()));
  SLUICE_ASSIGN_OR_RETURN(shape.heads, FirstNumber(json, {"n_head", "num_attention_heads"}, path.string()));
  SLUICE_ASSIGN_OR_RETURN(shape.context,
                          FirstNumber(json, {"n_positions", "n_ctx", "max_position_embeddings"}, path.string()));
  return shape;
}

std::span<const StudyInfo> ListStudies() { return kInfos; }

Result<StudyPlan> MakeStudyPlan(const std::string& name, const StudyOptions& options) {
  const auto info = std::find_if(std::begin(kInfos), std::end(kInfos), [&](const auto& i) { return i.name == name; });
  if (info == std::end(kInfos)) {
    std::string known;
    for (const StudyInfo& one : kInfos) known += fmt::format("{}{}", known.empty() ? "" : ", ", one.name);
    return InvalidArgument(fmt::format("study '{}': expected one of {}", name, known));
  }
  SLUICE_ASSIGN_OR_RETURN(const ModelShape shape, ReadModelShape(options.model));
  SLUICE_RETURN_IF_ERROR(CheckOptions(options, shape));
  SLUICE_RETURN_IF_ERROR(CheckUse(*info, options));
  SLUICE_ASSIGN_OR_RETURN(StudyPlan plan, kPlans[info - std::begin(kInfos)](PlanBuilder(name, options, shape)));
  SLUICE_RETURN_IF_ERROR(plan.Check());
  return plan;
}

}  // namespace sluice
