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

}  // namespace sluice

#endif  // SLUICE_TEXT_CORPUS_H_
