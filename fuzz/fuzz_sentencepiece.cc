// SentencePiece models, through libsentencepiece. Data: a length and so many bytes of text, the model. Proves that our
// checks before the library and our cutting of texts around it hold, and that no model which passes those checks
// brings the library down: it is built elsewhere and carries no coverage, but it runs under our address sanitizer's
// allocator.
#include "fuzz_input.h"
#include "text/sentencepiece_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const std::string_view text = input.ShortText();
  const auto tokenizer = ParseSentencePieceModel(AsText(input.Rest()), {});
  RequireInputFault(tokenizer.status());
  if (!tokenizer.ok()) return 0;
  const Result<std::vector<int32_t>> ids = (*tokenizer)->Encode(text);
  RequireInputFault(ids.status());
  if (!ids.ok()) return 0;
  for (const int32_t id : *ids) FUZZ_REQUIRE(id >= 0 && id < (*tokenizer)->vocab_size());
  RequireInputFault((*tokenizer)->Decode(*ids).status());
  return 0;
}
