#include "train/run_text.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "text/corpus.h"
#include "text/tokenizer.h"

namespace sluice {

Result<RunText> LoadRunText(const CodecTrainOptions& options, const BackboneConfig& config) {
  SLUICE_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(options.model));
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadText(options.text));
  SLUICE_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, tokenizer->Encode(text));
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= config.vocab) {
      return Mismatch(
          fmt::format("token {} is id {}, but the model's vocabulary ends at {}: tokenizer of another model?", i,
                      tokens[i], config.vocab));
    }
  }
  const int64_t context = options.context > 0 ? options.context : config.context;
  SLUICE_ASSIGN_OR_RETURN(RunBatches batches, SplitForSelection(std::move(tokens), tokenizer->bos(), context,
                                                                options.select_share, options.loop.seed));
  return RunText{std::move(batches), ToHex(Sha256::Of(AsBytes(text))).substr(0, 16)};
}

}  // namespace sluice
