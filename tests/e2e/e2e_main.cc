// Runs the tests; `--make-models DIR` makes the tiny models there instead, so that ctest makes them once for all tests.
#include <gtest/gtest.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string_view>

#include "tiny_models.h"

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--make-models") {
    try {
      std::filesystem::remove_all(argv[2]);
      sluice::TinyModels::Make(argv[2]);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 1;
    }
    return 0;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
