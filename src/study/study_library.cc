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
  SLUICE_ASSIGN_OR_RETURN(StudyPlan plan, kPlans[info - std::begin(kInfos)](PlanBuilder(name, options, shape)));
  SLUICE_RETURN_IF_ERROR(plan.Check());
  return plan;
}

}  // namespace sluice
