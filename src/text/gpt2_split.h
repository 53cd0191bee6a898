#ifndef SLUICE_TEXT_GPT2_SPLIT_H_
#define SLUICE_TEXT_GPT2_SPLIT_H_

#include <functional>
#include <memory>
#include <string_view>

#include "base/status.h"

namespace sluice {

/// Cuts text into the pieces of GPT-2's regular expression, inside of which byte-level BPE merges.
/// Threads: shared freely.
/// Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (the released encoder).
class Gpt2Splitter {
 public:
  /// Errors: Internal when the regular expression library refuses the pattern.
  static Result<Gpt2Splitter> Create();

  Gpt2Splitter(Gpt2Splitter&&) noexcept;
  Gpt2Splitter& operator=(Gpt2Splitter&&) noexcept;
  ~Gpt2Splitter();

  /// Calls `piece` for every piece in order; together they are `text`. A piece's status that is not Ok ends the walk.
  /// Needs: valid UTF-8.
  Status ForEachPiece(std::string_view text, const std::function<Status(std::string_view piece)>& piece) const;

 private:
  struct Pattern;
  explicit Gpt2Splitter(std::unique_ptr<Pattern> pattern);

  std::unique_ptr<Pattern> pattern_;
};

}  // namespace sluice

#endif  // SLUICE_TEXT_GPT2_SPLIT_H_
