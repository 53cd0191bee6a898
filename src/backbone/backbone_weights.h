#ifndef SLUICE_BACKBONE_BACKBONE_WEIGHTS_H_
#define SLUICE_BACKBONE_BACKBONE_WEIGHTS_H_

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backbone/config.h"
#include "format/checkpoint_files.h"

namespace sluice {

/// What a weight is when a model starts from nothing. kResidual: the last matrix of a branch that adds to the stream.
enum class WeightInit { kNormal, kResidual, kZeros, kOnes };

/// Where the weights of a model come from: a checkpoint, or a generator. The family's constructor asks for each by
/// name, shape and role, and so is the one list of what the family consists of.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// Data: -> float32 tensor of `shape`. Errors: throws StatusException.
  virtual torch::Tensor Make(const std::string& name, const std::vector<int64_t>& shape, WeightInit init) = 0;
  /// Whether the weights are meant to be trained at once.
  virtual bool trainable() const = 0;
};

/// Reads from a checkpoint; `prefix` may be absent in its names.
class CheckpointWeights : public WeightSource {
 public:
  CheckpointWeights(CheckpointFiles& files, std::string prefix) : files_(files), prefix_(std::move(prefix)) {}
  torch::Tensor Make(const std::string& name, const std::vector<int64_t>& shape, WeightInit init) override;
  bool trainable() const override { return false; }

 private:
  CheckpointFiles& files_;
  std::string prefix_;
};

/// Draws from normal distributions, in the order asked, from one seed.
class FreshWeights : public WeightSource {
 public:
  FreshWeights(const BackboneConfig& config, uint64_t seed);
  torch::Tensor Make(const std::string& name, const std::vector<int64_t>& shape, WeightInit init) override;
  bool trainable() const override { return true; }

 private:
  double deviation_;
  double residual_deviation_;
  torch::Generator generator_;
};

/// A place in the tree of modules: registers weights there under the checkpoint's names.
class WeightScope {
 public:
  WeightScope(torch::nn::Module& module, WeightSource& source, std::string path = "")
      : module_(module), source_(source), path_(std::move(path)) {}

  /// A child module that only holds names.
  WeightScope Child(const std::string& name);
  /// A child that is `child`.
  WeightScope Child(const std::string& name, std::shared_ptr<torch::nn::Module> child);
  torch::Tensor Weight(const std::string& name, const std::vector<int64_t>& shape, WeightInit init);

 private:
  torch::nn::Module& module_;
  WeightSource& source_;
  std::string path_;
};

/// An affine map whose matrix is stored either way round.
struct Projection {
  torch::Tensor weight;  ///< the parameter: [in, out], or [out, in] when `out_first`
  torch::Tensor bias;    ///< [out], or undefined
  bool out_first = false;

  /// Data: x [..., in] -> [..., out]. One row takes the matrix-vector product, which is several times faster there.
  torch::Tensor operator()(const torch::Tensor& x) const;
};

/// GPT-2's "Conv1D": weight [in, out] and bias.
Projection ConvProjection(WeightScope scope, int64_t in, int64_t out, WeightInit init);
/// torch.nn.Linear: weight [out, in], bias when `bias`.
Projection LinearProjection(WeightScope scope, int64_t in, int64_t out, bool bias, WeightInit init);

/// Applies the MLP's nonlinearity.
torch::Tensor Activate(const torch::Tensor& x, Activation activation);

}  // namespace sluice

#endif  // SLUICE_BACKBONE_BACKBONE_WEIGHTS_H_
