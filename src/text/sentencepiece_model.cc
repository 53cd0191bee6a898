// Debian's libsentencepiece carries a protocol buffer library of its own, three years older than the one libtorch
// needs, under the same symbol names. In one process the dynamic linker would give one of them to both, and the first
// message made would end the process. So libsentencepiece lives in a shared part that is loaded on demand into a scope
// of its own: RTLD_LOCAL hides its symbols from everybody else, RTLD_DEEPBIND makes it prefer its own.
#include "text/sentencepiece_model.h"

#include <dlfcn.h>

#include "base/shared_part.h"
#include "text/sentencepiece/library_entry.h"

namespace sluice {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

}  // namespace

Result<void*> FindInSentencePiecePart(const char* symbol) {
  // Sanitizers refuse RTLD_DEEPBIND; what they build has no libtorch to fear.
  static const Result<void*> part =
      LoadSharedPart("libsluice_sentencepiece.so", RTLD_NOW | RTLD_LOCAL | (kSanitized ? 0 : RTLD_DEEPBIND));
  SLUICE_ASSIGN_OR_RETURN(void* library, part);
  return FindSymbol(library, symbol);
}

Result<std::unique_ptr<Tokenizer>> ParseSentencePieceModel(std::string_view model, const Sha256Digest& identity) {
  SLUICE_ASSIGN_OR_RETURN(void* parse, FindInSentencePiecePart("SluiceParseSentencePiece"));
  std::optional<Result<std::unique_ptr<Tokenizer>>> result;
  reinterpret_cast<SluiceParseSentencePieceFunction>(parse)(&model, &identity, &result);
  return std::move(*result);
}

}  // namespace sluice
