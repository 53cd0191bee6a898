// Tokenizer files that we parse ourselves. Data: a byte that names the kind, a length and so many bytes of text, the
// file (GPT-2's two files with a zero byte between them). Proves: parsers blame the input and stay inside their limits;
// a tokenizer that they give encodes any text to ids of its vocabulary or refuses the text, decodes what it encoded
// and any other ids, and at byte level, where nothing normalizes, gives the text back.
#include <algorithm>

#include "base/bytes.h"
#include "fuzz_input.h"
#include "text/byte_level_bpe.h"
#include "text/llama2c_vocab.h"
#include "text/tokenizer_json.h"
#include "text/word_piece.h"

namespace sluice {
namespace {

enum Kind : uint8_t { kJson, kGpt2, kLlama2c, kWordPiece, kKinds };

Result<std::unique_ptr<Tokenizer>> Parse(Kind kind, std::string_view file) {
  switch (kind) {
    case kGpt2: {
      const size_t cut = std::min(file.find('\0'), file.size());
      return ParseGpt2Files(file.substr(0, cut), file.substr(std::min(cut + 1, file.size())), {});
    }
    case kLlama2c:
      return ParseLlama2cVocab(AsBytes(file), {});
    case kWordPiece:
      return ParseWordPieceVocab(file, {});
    default:
      return ParseTokenizerJson(file, {});
  }
}

void TryText(const Tokenizer& tokenizer, std::string_view text, bool exact) {
  const Result<std::vector<int32_t>> ids = tokenizer.Encode(text);
  RequireInputFault(ids.status());
  if (!ids.ok()) return;
  for (const int32_t id : *ids) FUZZ_REQUIRE(id >= 0 && id < tokenizer.vocab_size());
  const Result<std::string> decoded = tokenizer.Decode(*ids);
  FUZZ_REQUIRE(decoded.ok());
  if (exact) FUZZ_REQUIRE(*decoded == text);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const Kind kind = static_cast<Kind>(input.InRange(0, kKinds - 1));
  const std::string_view text = input.ShortText();
  const auto tokenizer = Parse(kind, AsText(input.Rest()));
  RequireInputFault(tokenizer.status());
  if (!tokenizer.ok()) return 0;
  FUZZ_REQUIRE((*tokenizer)->vocab_size() >= 1);
  TryText(**tokenizer, text, kind == kGpt2);
  std::vector<int32_t> ids(text.begin(), text.end());
  ids.push_back((*tokenizer)->vocab_size() - 1);
  RequireInputFault((*tokenizer)->Decode(ids).status());
  return 0;
}
