#ifndef SLUICE_STUDY_TORCH_TEXT_STREAM_H_
#define SLUICE_STUDY_TORCH_TEXT_STREAM_H_

#include <torch/torch.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backbone/backbone.h"
#include "study/torch/tensor_codec.h"
#include "text/corpus.h"
#include "text/tokenizer.h"

namespace sluice {

/// Which text, and how it becomes windows.
struct TextSource {
  std::vector<std::filesystem::path> files;
  bool drop_blank_lines = false;
  int64_t context = 0;     ///< tokens of a window; 0: the model's context
  int64_t max_tokens = 0;  ///< stop after about this many; 0: all
};

/// Consecutive windows of equal length as one tensor [B, T], at most `batch` rows.
using WindowVisitor = std::function<Status(const torch::Tensor& tokens)>;

/// The tokens of a text, cut into windows for one model.
class TextWindows {
 public:
  /// Errors: as LoadWindows; Mismatch when the tokenizer's ids exceed the model's vocabulary.
  static Result<TextWindows> Load(const std::filesystem::path& model, const BackboneConfig& config,
                                  const TextSource& source);

  /// Visits all windows in order. Errors: Interrupted; the visitor's.
  Status Visit(int64_t batch, const char* label, const WindowVisitor& visit) const;

 private:
  std::vector<TokenWindow> windows_;
  int64_t tokens_ = 0;
};

/// How the cut model differs from the uncut one on one window: means over its predictions.
struct WindowScore {
  double rise_nats = 0;  ///< of the cross-entropy
  double kl_nats = 0;
  double top1_agreement = 0;
};

/// Sums over a text of what the cut model predicts, and of how it differs from the uncut one.
class LanguageScore {
 public:
  /// Data: tokens [B, T], logits of the cut model and of the uncut one [B, T, V]; `uncut` may be undefined.
  void Add(const torch::Tensor& tokens, const torch::Tensor& logits, const torch::Tensor& uncut);

  int64_t predictions() const { return predictions_; }
  double cross_entropy_nats() const { return nats_ / Count(); }
  double uncut_cross_entropy_nats() const { return uncut_nats_ / Count(); }
  double kl_nats() const { return kl_ / Count(); }
  double top1_agreement() const { return agree_ / Count(); }
  /// One for each window that was added with the uncut model's logits.
  const std::vector<WindowScore>& windows() const { return windows_; }
  double top1_accuracy() const { return correct_ / Count(); }

 private:
  double Count() const { return static_cast<double>(std::max<int64_t>(1, predictions_)); }

  int64_t predictions_ = 0;
  double nats_ = 0, uncut_nats_ = 0, kl_ = 0, agree_ = 0, correct_ = 0;
  std::vector<WindowScore> windows_;
};

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_TEXT_STREAM_H_
