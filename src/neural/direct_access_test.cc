#include "neural/direct_access.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

CodecConfig Direct() { return MakePreset("direct", 16, 4, 64, CodecMode::kFrozen).value(); }

struct Inputs {
  torch::Tensor z = torch::randn({3, 12, 4}) * 2;
  torch::Tensor y = torch::randn({3, 12, 16});
};

TEST(DirectAccessTest, MatchesForwardStepByStep) {
  torch::manual_seed(3);
  torch::NoGradGuard no_grad;
  const CodecConfig config = Direct();
  ASSERT_EQ(config.hyper_channels, 4);
  DirectAccess direct(config);
  const Inputs in;
  const auto expected = direct(in.z, in.y);
  DirectAccessImpl::State state = direct->Begin(in.z);
  for (int64_t t = 0; t < in.y.size(1); ++t) {
    const auto previous = t == 0 ? torch::Tensor() : in.y.slice(1, t - 1, t);
    const auto row = direct->Step(state, previous);
    EXPECT_TRUE(torch::allclose(row, expected.slice(1, t, t + 1), 1e-4, 1e-5)) << "token " << t;
  }
}

// y_t and what follows must not reach the parameters of y_t; y_(t-1) and z_t must.
TEST(DirectAccessTest, MatchesTheCausalOrder) {
  torch::manual_seed(4);
  torch::NoGradGuard no_grad;
  DirectAccess direct(Direct());
  const Inputs in;
  const auto before = direct(in.z, in.y);
  constexpr int64_t kToken = 5;
  auto y = in.y.clone();
  y.slice(1, kToken).add_(1);
  const auto after_y = direct(in.z, y);
  EXPECT_TRUE(torch::equal(before.slice(1, 0, kToken + 1), after_y.slice(1, 0, kToken + 1)));
  EXPECT_FALSE(torch::allclose(before.slice(1, kToken + 1), after_y.slice(1, kToken + 1)));
  auto z = in.z.clone();
  z.slice(1, kToken).add_(1);
  const auto after_z = direct(z, in.y);
  EXPECT_TRUE(torch::equal(before.slice(1, 0, kToken), after_z.slice(1, 0, kToken)));
  EXPECT_FALSE(torch::allclose(before.slice(1, kToken, kToken + 1), after_z.slice(1, kToken, kToken + 1)));
}

}  // namespace
}  // namespace sluice
