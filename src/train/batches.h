#ifndef SLUICE_TRAIN_BATCHES_H_
#define SLUICE_TRAIN_BATCHES_H_

#include <torch/torch.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"

namespace sluice {

/// Deals training windows from a token stream, in an order that depends on nothing but the seed and the step.
///
/// An epoch cuts the stream into non-overlapping windows from an offset of its own and shuffles them; a resumed run
/// continues where it was by knowing its step alone.
class BatchDealer {
 public:
  /// `bos` fills the first place of every window when given. Errors: InvalidArgument when the stream does not fill one
  /// window, with both lengths.
  static Result<BatchDealer> Create(std::vector<int32_t> tokens, std::optional<int32_t> bos, int64_t context,
                                    uint64_t seed);

  /// Windows [first, first + count) of the endless sequence. Data: -> int64 [count, context].
  torch::Tensor Deal(int64_t first, int64_t count);

  /// Windows in one epoch.
  int64_t epoch_windows() const { return epoch_windows_; }
  int64_t context() const { return context_; }

 private:
  BatchDealer(std::vector<int32_t> tokens, std::optional<int32_t> bos, int64_t context, uint64_t seed);
  void Shuffle(int64_t epoch);

  std::vector<int32_t> tokens_;
  std::optional<int32_t> bos_;
  int64_t context_;
  int64_t payload_;  ///< tokens of the stream in one window
  uint64_t seed_;
  int64_t epoch_windows_;
  int64_t epoch_ = -1;
  int64_t offset_ = 0;
  std::vector<int64_t> order_;
};

/// The tokens of a run: what is trained on, and the last part of them, kept for selection.
struct RunBatches {
  BatchDealer train;
  std::optional<BatchDealer> select;  ///< nothing when the part does not fill a window
};

/// Errors: InvalidArgument as BatchDealer::Create. Needs: CheckSelectShare(select_share) is Ok.
Result<RunBatches> SplitForSelection(std::vector<int32_t> tokens, std::optional<int32_t> bos, int64_t context,
                                     double select_share, uint64_t seed);

/// Errors: InvalidArgument for a share outside [0, 1).
Status CheckSelectShare(double select_share);

}  // namespace sluice

#endif  // SLUICE_TRAIN_BATCHES_H_
