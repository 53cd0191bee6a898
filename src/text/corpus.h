#ifndef SLUICE_TEXT_CORPUS_H_
#define SLUICE_TEXT_CORPUS_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace sluice {

/// How text files are prepared before they are tokenized.
struct CorpusOptions {
  /// Drop lines that are exactly <|endoftext|>, so that one newline parts the documents.
  bool split_documents = true;
  /// Drop empty lines: for text whose paragraphs are parted by blank lines when the model was trained on single
  /// newlines.
  bool drop_blank_lines = false;
  /// Limit on the files together.
  uint64_t max_bytes = uint64_t{1} << 30;
};

/// Reads text files in the given order, one newline between two files.
/// Errors: Io; InvalidArgument for no files, no text (white space alone is none), invalid UTF-8 (file and byte offset
/// named), or more bytes than the limit.
Result<std::string> ReadText(std::span<const std::filesystem::path> files, const CorpusOptions& options = {});

/// Applies `options` to text at hand: what ReadText does to each file.
std::string PrepareText(std::string_view text, const CorpusOptions& options);

/// Token ids of one window, BOS included.
using TokenWindow = std::vector<int32_t>;

/// Cuts a stream of tokens into consecutive windows that share nothing: BOS (where there is one) and the next
/// context - 1 tokens, or `context` tokens without BOS. The last one may be shorter; `drop_short` leaves it out.
/// Errors: InvalidArgument for an empty stream, for context < 2 and when nothing is left.
Result<std::vector<TokenWindow>> CutWindows(std::span<const int32_t> ids, std::optional<int32_t> bos, int32_t context,
                                            bool drop_short = false);

/// ReadText, Encode and CutWindows in one.
Result<std::vector<TokenWindow>> LoadWindows(const Tokenizer& tokenizer, std::span<const std::filesystem::path> files,
                                             int32_t context, const CorpusOptions& options = {},
                                             bool drop_short = false, const EncodeProgress& progress = {});

/// Parts of a corpus by purpose: views into the caller's windows.
struct CorpusSplit {
  std::span<const TokenWindow> train;   ///< For the gradient.
  std::span<const TokenWindow> select;  ///< First half of the validation part: for every choice.
  std::span<const TokenWindow> report;  ///< Second half: for the published figures and nothing else.
};

/// Splits held-out windows into `select` and `report`; `train` is empty.
/// Errors: InvalidArgument for fewer than two windows.
Result<CorpusSplit> SplitValidation(std::span<const TokenWindow> windows);

/// Splits one corpus: the last `validation_share` of the windows (two at least) is held out and halved.
/// Range: 0 < validation_share < 1. Errors: InvalidArgument outside of it, or for fewer than three windows.
Result<CorpusSplit> SplitCorpus(std::span<const TokenWindow> windows, double validation_share);

}  // namespace sluice

#endif  // SLUICE_TEXT_CORPUS_H_
