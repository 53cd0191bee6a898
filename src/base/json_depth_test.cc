#include "base/json_depth.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

std::string Nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(JsonDepthTest, RejectsValuesTooDeep) {
  EXPECT_TRUE(CheckJsonDepth(Nested(kMaxJsonDepth)).ok());
  EXPECT_EQ(CheckJsonDepth(Nested(kMaxJsonDepth + 1)).code(), StatusCode::kCorrupt);
  EXPECT_EQ(CheckJsonDepth(std::string(100'000, '{')).code(), StatusCode::kCorrupt);
}

TEST(JsonDepthTest, MatchesOnlyBracketsOutsideOfStrings) {
  EXPECT_TRUE(CheckJsonDepth("\"" + Nested(1000) + "\"").ok());
  EXPECT_TRUE(CheckJsonDepth("\"\\\"" + std::string(1000, '[')).ok());
  EXPECT_EQ(CheckJsonDepth("\"\\\\\"" + std::string(1000, '[')).code(), StatusCode::kCorrupt);
  std::string flat;
  for (int i = 0; i < 1000; ++i) flat += "[],{},";
  EXPECT_TRUE(CheckJsonDepth("[" + flat + "]").ok());
}

}  // namespace
}  // namespace sluice
