#ifndef SLUICE_TEXT_TOKENIZER_H_
#define SLUICE_TEXT_TOKENIZER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/status.h"

namespace sluice {

/// Called now and then with the bytes of text done so far; a status that is not Ok ends the work and is passed on.
using EncodeProgress = std::function<Status(uint64_t done_bytes)>;

/// Text to token ids and back. Immutable once loaded.
/// Data: ids in [0, vocab_size()).
/// Exact: Encode adds no BOS or EOS, and special tokens spelled out in the text are plain text.
/// Cost: Encode is O(n log n) in the text for every kind, hostile text included.
/// Threads: every member may be called from any number of threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// Ids of a text; the empty text has none. Byte-level kinds take any bytes (those that are not UTF-8 become pieces of
  /// their own), and without a normalizer Decode returns exactly them.
  /// Errors: InvalidArgument for invalid UTF-8 in the other kinds, and for bytes the vocabulary lacks, with the offset;
  /// for texts above 1 GiB.
  Result<std::vector<int32_t>> Encode(std::string_view utf8, const EncodeProgress& progress = {}) const;

  /// Text of ids. BOS, EOS and padding vanish from SentencePiece kinds and are spelled out by byte-level ones. Ids that
  /// a model made up may decode to invalid UTF-8.
  /// Errors: InvalidArgument for an id out of the vocabulary, with its position.
  Result<std::string> Decode(std::span<const int32_t> ids) const;

  virtual int32_t vocab_size() const = 0;
  /// Token that begins a text, where the tokenizer defines one. Byte-level kinds: <|endoftext|>, for want of another.
  virtual std::optional<int32_t> bos() const = 0;
  /// Token that ends a text, where the tokenizer defines one.
  virtual std::optional<int32_t> eos() const = 0;
  /// "byte-level-bpe", "sentencepiece", "llama2c-bpe", "char-bpe" or "wordpiece".
  virtual std::string_view kind() const = 0;
  /// SHA-256 over the kind and the bytes of the files it was loaded from.
  const Sha256Digest& identity() const { return identity_; }

 protected:
  explicit Tokenizer(const Sha256Digest& identity) : identity_(identity) {}

 private:
  virtual Result<std::vector<int32_t>> DoEncode(std::string_view text, const EncodeProgress& progress) const = 0;
  /// Every id is within the vocabulary.
  virtual Result<std::string> DoDecode(std::span<const int32_t> ids) const = 0;

  Sha256Digest identity_;
};

/// Loads the tokenizer of a folder, or of one file. In a folder the first of these decides:
/// tokenizer.model (SentencePiece), tok*.bin or tokenizer.bin (llama2.c; exactly one), tokenizer.json (Hugging Face),
/// vocab.json with merges.txt (GPT-2), vocab.txt (BERT, uncased).
/// Errors: InvalidArgument when the folder has none or is ambiguous; Io when a file cannot be read; Truncated, Corrupt
/// or Unsupported with the file and the place when its content is refused.
Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::filesystem::path& path);

/// The tokenizer files of a folder in LoadTokenizer's precedence, so that a model directory can carry its tokenizer
/// along. Errors: InvalidArgument when there is none or the choice is ambiguous.
Result<std::vector<std::filesystem::path>> TokenizerFiles(const std::filesystem::path& folder);

}  // namespace sluice

#endif  // SLUICE_TEXT_TOKENIZER_H_
