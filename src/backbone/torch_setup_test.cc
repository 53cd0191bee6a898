#include "backbone/torch_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <stdexcept>

namespace sluice {
namespace {

using testing::HasSubstr;

/// The whole test program runs the way the program does.
class TorchEnvironment : public testing::Environment {
 public:
  void SetUp() override { ASSERT_TRUE(InitTorch(1).ok()); }
};
[[maybe_unused]] const testing::Environment* const kEnvironment =
    testing::AddGlobalTestEnvironment(new TorchEnvironment);

TEST(TorchSetupTest, MatchesTheThreadsAskedFor) {
  ASSERT_TRUE(InitTorch(2).ok());
  EXPECT_EQ(at::get_num_threads(), 2);
  ASSERT_TRUE(InitTorch(1).ok());
  EXPECT_EQ(at::get_num_threads(), 1);
  ASSERT_TRUE(InitTorch(0).ok());
  EXPECT_GE(at::get_num_threads(), 1);
  EXPECT_EQ(InitTorch(-1).code(), StatusCode::kInvalidArgument);
}

TEST(TorchSetupTest, MatchesTheLoadersBlas) {
  const BlasLibrary blas = FindBlas();
  EXPECT_FALSE(blas.path.empty());
  const std::string profile = TorchBuildProfile();
  EXPECT_THAT(profile, HasSubstr("torch " TORCH_VERSION "; blas " + BlasKindName(blas.kind)));
  EXPECT_THAT(profile, testing::Not(HasSubstr("cpu unknown")));
  EXPECT_EQ(profile, TorchBuildProfile());
  RecordProperty("profile", profile);
}

TEST(TorchSetupTest, RejectsByTurningExceptionsIntoStatus) {
  EXPECT_EQ(CatchTorch([] { throw StatusException(Mismatch("other model")); }).code(), StatusCode::kMismatch);
  const Result<torch::Tensor> product = CatchTorch([] { return torch::ones({2, 3}).mm(torch::ones({2, 3})); });
  EXPECT_EQ(product.status().code(), StatusCode::kInternal);
  EXPECT_THAT(product.status().message(), HasSubstr("mat1 and mat2"));
  EXPECT_THAT(product.status().message(), testing::Not(HasSubstr("\n")));
  EXPECT_EQ(CatchTorch([]() -> Status { throw std::bad_alloc(); }).message(), "out of memory");
  EXPECT_EQ(CatchTorch([]() -> Result<int> { throw std::runtime_error("why\nmore"); }).status().message(), "why");
  EXPECT_EQ(CatchTorch([]() -> Result<int> { return 3; }).value(), 3);
  EXPECT_EQ(CatchTorch([] { return 4; }).value(), 4);
}

}  // namespace
}  // namespace sluice
