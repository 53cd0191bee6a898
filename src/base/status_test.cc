#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace sluice {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  SLUICE_ASSIGN_OR_RETURN(int half, Half(value));
  SLUICE_ASSIGN_OR_RETURN(int quarter, Half(half));
  return quarter;
}

TEST(StatusTest, MatchesPrintedForm) {
  EXPECT_EQ(OkStatus().ToString(), "Ok");
  EXPECT_EQ(Corrupt("frame 3").WithContext("a.slc").ToString(), "Corrupt: a.slc: frame 3");
  EXPECT_TRUE(OkStatus().WithContext("a.slc").ok());
}

TEST(StatusTest, MatchesOneExitCodePerStatusCode) {
  std::set<int> exit_codes;
  for (int code = 0; code <= static_cast<int>(StatusCode::kTimedOut); ++code) {
    exit_codes.insert(ExitCode(static_cast<StatusCode>(code)));
    EXPECT_NE(StatusCodeName(static_cast<StatusCode>(code)), "Unknown");
  }
  EXPECT_EQ(exit_codes.size(), static_cast<size_t>(StatusCode::kTimedOut) + 1);
}

TEST(StatusTest, RoundTripsValuesAndErrorsThroughTheMacros) {
  EXPECT_EQ(*Quarter(12), 3);
  EXPECT_EQ(Quarter(6).status().code(), StatusCode::kInvalidArgument);
}

TEST(StatusTest, RoundTripsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  std::unique_ptr<int> owned = std::move(result).value();
  EXPECT_EQ(*owned, 5);
}

}  // namespace
}  // namespace sluice
