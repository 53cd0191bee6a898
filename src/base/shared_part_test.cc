#include "base/shared_part.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(SharedPartTest, RejectsAnAbsentPartNamingThePlaces) {
  const auto part = LoadSharedPart("libsluice_no_such_part.so", RTLD_NOW);
  EXPECT_EQ(part.status().code(), StatusCode::kUnsupported);
  EXPECT_NE(part.status().message().find("lib/libsluice_no_such_part.so"), std::string::npos);
}

TEST(SharedPartTest, RejectsAnAbsentSymbol) {
  EXPECT_EQ(FindSymbol(dlopen(nullptr, RTLD_NOW), "SluiceNoSuchSymbol").status().code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace sluice
