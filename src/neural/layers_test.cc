#include "neural/layers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace sluice {
namespace {

constexpr int64_t kHeads = 2, kWidth = 6;

// One row and one head at a time, from the definition. Data: q, k, v [1, T, n].
torch::Tensor FromDefinition(const torch::Tensor& q, const torch::Tensor& k, const torch::Tensor& v, int64_t window,
                             bool strict) {
  std::vector<torch::Tensor> rows;
  for (int64_t t = 0; t < q.size(1); ++t) {
    const int64_t end = strict && t > 0 ? t : t + 1;
    const int64_t begin = window > 0 ? std::max<int64_t>(end - window, 0) : 0;
    std::vector<torch::Tensor> heads;
    for (int64_t h = 0; h < kHeads; ++h) {
      const auto of = [h](const torch::Tensor& x, int64_t from, int64_t to) {
        return x[0].slice(0, from, to).slice(1, h * (kWidth / kHeads), (h + 1) * (kWidth / kHeads));
      };
      const auto scores = of(k, begin, end).matmul(of(q, t, t + 1).t()) / std::sqrt(double{kWidth} / kHeads);
      heads.push_back((torch::softmax(scores, 0) * of(v, begin, end)).sum(0));
    }
    rows.push_back(torch::cat(heads));
  }
  return torch::stack(rows).unsqueeze(0);
}

struct Case {
  int64_t tokens, window;
  bool strict;
};

class AttendCausallyTest : public testing::TestWithParam<Case> {};

// Lengths and windows on both sides of what is computed at once.
TEST_P(AttendCausallyTest, RowsAndGradientsAreThoseOfTheDefinition) {
  const Case& c = GetParam();
  torch::manual_seed(1);
  std::vector<torch::Tensor> inputs;
  for (int i = 0; i < 3; ++i) {
    inputs.push_back(torch::randn({1, c.tokens, kWidth}, torch::kDouble).set_requires_grad(true));
  }
  const auto got = AttendCausally(inputs[0], inputs[1], inputs[2], kHeads, c.window, c.strict);
  const auto expected = FromDefinition(inputs[0], inputs[1], inputs[2], c.window, c.strict);
  EXPECT_LT((got - expected).abs().max().item<double>(), 1e-12);
  const auto weights = torch::randn_like(got);
  const auto got_gradients = torch::autograd::grad({(got * weights).sum()}, inputs);
  const auto expected_gradients = torch::autograd::grad({(expected * weights).sum()}, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT((got_gradients[i] - expected_gradients[i]).abs().max().item<double>(), 1e-12) << "input " << i;
  }
}

// What runs takes another way than what is trained, over parts of wider rows and several rows at once.
TEST_P(AttendCausallyTest, RowsWithoutGradientsAreThoseOfTheDefinition) {
  const Case& c = GetParam();
  torch::manual_seed(3);
  torch::NoGradGuard no_grad;
  const auto parts = torch::randn({2, c.tokens, 3 * kWidth}).chunk(3, -1);
  const auto got = AttendCausally(parts[0], parts[1], parts[2], kHeads, c.window, c.strict);
  for (int64_t row = 0; row < 2; ++row) {
    const auto of = [row](const torch::Tensor& x) { return x.slice(0, row, row + 1).to(torch::kDouble); };
    const auto expected = FromDefinition(of(parts[0]), of(parts[1]), of(parts[2]), c.window, c.strict);
    EXPECT_LT((of(got) - expected).abs().max().item<double>(), 1e-5) << "row " << row;
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, AttendCausallyTest,
                         testing::Values(Case{1, 0, false}, Case{1, 0, true}, Case{64, 0, false}, Case{65, 0, true},
                                         Case{150, 0, false}, Case{150, 0, true}, Case{150, 1, false},
                                         Case{150, 8, false}, Case{150, 8, true}, Case{150, 100, false},
                                         Case{150, 100, true}, Case{150, 1000, false}));

TEST(AttendTest, EveryRowSeesEveryKey) {
  torch::manual_seed(2);
  const auto q = torch::randn({1, 1, kWidth}, torch::kDouble), keys = torch::randn({1, 9, kWidth}, torch::kDouble),
             values = torch::randn({1, 9, kWidth}, torch::kDouble);
  const auto last = torch::cat({torch::zeros({1, 8, kWidth}, torch::kDouble), q}, 1);
  const auto expected = FromDefinition(last, keys, values, 0, false).slice(1, 8);
  EXPECT_LT((Attend(q, keys, values, kHeads) - expected).abs().max().item<double>(), 1e-12);
}

}  // namespace
}  // namespace sluice
