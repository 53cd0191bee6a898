#ifndef SLUICE_STUDY_TORCH_LAST_WORDS_H_
#define SLUICE_STUDY_TORCH_LAST_WORDS_H_

#include <nlohmann/json_fwd.hpp>

#include "base/status.h"
#include "study/torch/evaluation.h"

namespace sluice {

/// Measures a codec on passages whose last word is to be predicted from all before it (LAMBADA): each passage's hidden
/// states are coded as one frame and the layers after the cut score the tokens of its last word.
///
/// `options.text.files`: JSON lines {"text": passage}. Passages longer than the context lose their beginning.
/// `options.text.max_tokens` ends after about as many tokens. Gives rate, nats of the last word (the sum over its
/// tokens, the mean over passages) and the share of passages whose last word is right in every token, cut and uncut.
/// Errors: as Evaluate; Corrupt naming the line.
Result<nlohmann::ordered_json> EvaluateLastWords(const EvaluationOptions& options);

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_LAST_WORDS_H_
