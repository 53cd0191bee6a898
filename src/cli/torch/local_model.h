#ifndef SLUICE_CLI_TORCH_LOCAL_MODEL_H_
#define SLUICE_CLI_TORCH_LOCAL_MODEL_H_

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "cli/torch/torch_stage.h"
#include "wire/head_session.h"

namespace sluice {

/// A whole model in this process, uncut or cut with a codec in between as real bytes, for many texts at once. The calls
/// are those of a chain of nodes, so the tokens are too. Threads: any for Continue.
class LocalModel {
 public:
  /// `codec`: empty for an uncut model. `cut`: -1 for the codec's own, or the middle. `metrics` outlives it.
  /// Errors: those of TorchStage::Load and OpenAnyLinkCodec.
  static Result<std::unique_ptr<LocalModel>> Load(const std::filesystem::path& model, const std::string& codec,
                                                  int64_t cut, WireMetrics& metrics);

  /// As Head::Generate.
  Result<HeadOutcome> Continue(const HeadRequest& request, const std::function<bool(const SampledToken&)>& on_token);
  const BackboneConfig& config() const { return first_->config(); }

 private:
  struct Session;
  explicit LocalModel(WireMetrics& metrics) : metrics_(metrics) {}
  Status CheckRequest(const HeadRequest& request) const;
  Result<Session> NewSession(const HeadRequest& request);
  Status Run(Session& session, const HeadRequest& request, const std::function<bool(const SampledToken&)>& on_token);
  Result<std::optional<SampledToken>> Step(Session& session, std::vector<int64_t> tokens, Phase phase, bool sample);
  Result<StageResult> RunJob(StageQueue& queue, StageJob job, Phase phase);
  Result<Matrix<float>> Cross(Session& session, const Matrix<float>& hidden, Phase phase);

  WireMetrics& metrics_;
  std::unique_ptr<TorchStage> first_, second_;  // second_: behind the cut
  std::unique_ptr<LinkCodec> codec_;
  std::unique_ptr<StageQueue> first_queue_, second_queue_;
};

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_LOCAL_MODEL_H_
