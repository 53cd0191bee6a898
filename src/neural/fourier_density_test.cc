#include "neural/fourier_density.h"

#include <gtest/gtest.h>

#include <cmath>

#include "neural/gradient_check_test.h"

namespace sluice {
namespace {

// Coefficients large enough for a density with several bumps.
FourierDensity RandomDensity(int64_t channels, bool safe, double scale) {
  torch::manual_seed(5);
  FourierDensity density(channels, safe, scale);
  torch::NoGradGuard no_grad;
  for (auto& item : density->named_parameters()) {
    if (item.key() == "real" || item.key() == "imag")
      item.value().slice(1, 0, 6).add_(0.4 * torch::randn({channels, 6}));
    if (item.key() == "offset") item.value().uniform_(-2.0, 2.0);
  }
  density->to(torch::kDouble);
  return density;
}

TEST(FourierDensityTest, CostsOneHundredAndTwentyTwoParametersAChannel) {
  int64_t count = 0;
  for (const auto& parameter : FourierDensity(24, true)->parameters()) count += parameter.numel();
  EXPECT_EQ(count, 122 * 24);
}

TEST(FourierDensityTest, MatchesOneSummedOverTheIntegers) {
  auto density = RandomDensity(5, /*safe=*/true, 10.0);
  torch::NoGradGuard no_grad;
  const auto z = torch::arange(-400, 401, torch::kDouble).unsqueeze(1).expand({-1, 5});
  const auto sums = torch::exp2(-density->Bits(z)).sum(0);
  EXPECT_LT((sums - 1).abs().max().item<double>(), 1e-5) << sums;
}

// The closed form against a fine sum over the density itself, written out from its definition.
TEST(FourierDensityTest, MatchesTheIntegralOfItsDefinition) {
  auto density = RandomDensity(1, /*safe=*/false, 4.0);
  torch::NoGradGuard no_grad;
  const auto parameters = density->named_parameters();
  const auto re = parameters["real"][0], im = parameters["imag"][0];
  const double offset = parameters["offset"].item<double>();
  const double scale = std::log1p(std::exp(parameters["scale"].item<double>()));
  const int64_t n = re.numel();
  const auto f = [&](double u) {  // |sum_n c_n e^{i pi n u}|^2 / (2 sum |c|^2)
    double real = 0, imag = 0, power = 0;
    for (int64_t k = 0; k < n; ++k) {
      const double a = re[k].item<double>(), b = im[k].item<double>(), angle = M_PI * static_cast<double>(k) * u;
      real += a * std::cos(angle) - b * std::sin(angle);
      imag += a * std::sin(angle) + b * std::cos(angle);
      power += a * a + b * b;
    }
    return (real * real + imag * imag) / (2 * power);
  };
  for (const double z : {-3.0, 0.0, 1.0, 5.0}) {
    const double from = std::tanh((z - 0.5 - offset) / scale), to = std::tanh((z + 0.5 - offset) / scale);
    constexpr int kSteps = 60;
    double sum = 0;
    for (int i = 0; i < kSteps; ++i) sum += f(from + (to - from) * (i + 0.5) / kSteps);
    const double probability = sum * (to - from) / kSteps;
    const double bits = density->Bits(torch::full({1, 1}, z, torch::kDouble)).item<double>();
    EXPECT_NEAR(std::exp2(-bits), probability, 2e-3 * probability) << z;
  }
}

TEST(FourierDensityTest, DifferentiatesInParametersAndInput) {
  for (const bool safe : {false, true}) {
    auto density = RandomDensity(2, safe, 3.0);
    auto z = torch::tensor({{-4.3, 0.2}, {-1.0, 1.1}, {0.4, 3.7}}, torch::kDouble);
    std::vector<torch::Tensor> inputs = density->parameters();
    inputs.push_back(z);
    CheckGradients([&] { return density->Bits(z); }, inputs, 1e-5);
    CheckGradients([&] { return density->Penalty().reshape({1}); },
                   {density->parameters()[0], density->parameters()[1]}, 1e-5);
  }
}

// Why there are two forms: far outside, the published one costs 29.9 bits with no gradient, the other one in
// proportion.
TEST(FourierDensityTest, DifferentiatesFarOutsideOnlyInTheSafeForm) {
  for (const bool safe : {false, true}) {
    torch::manual_seed(5);
    FourierDensity density(1, safe, 1.0);  // float, as in training
    auto z = torch::tensor({{60.0f}}).requires_grad_(true);
    const auto bits = density->Bits(z);
    bits.sum().backward();
    const double slope = z.grad().item<double>();
    if (safe) {
      EXPECT_NEAR(slope, 2 / M_LN2, 1e-3);  // log sech^2(v) falls by 2 for each unit of v
      EXPECT_GT(bits.item<double>(), 100);
    } else {
      EXPECT_EQ(slope, 0);
      EXPECT_NEAR(bits.item<double>(), 29.9, 0.01);
    }
  }
}

}  // namespace
}  // namespace sluice
