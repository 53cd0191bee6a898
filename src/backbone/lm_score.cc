// Token t is predicted from the position before it, so logits lose their last row and tokens their first.
#include "backbone/lm_score.h"

namespace sluice {

torch::Tensor NextTokenNats(const torch::Tensor& logits, const torch::Tensor& tokens) {
  const int64_t count = tokens.size(1) - 1;
  const torch::Tensor scores = at::log_softmax(logits.narrow(1, 0, count), -1);
  return -scores.gather(2, tokens.narrow(1, 1, count).unsqueeze(2)).squeeze(2);
}

}  // namespace sluice
