#ifndef SLUICE_TESTS_E2E_TINY_MODELS_H_
#define SLUICE_TESTS_E2E_TINY_MODELS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "run_program.h"

namespace sluice {

/// What all tests run on: models and codecs of a few thousand weights, made by the program itself in some seconds, so
/// that the tests need no data from outside.
struct TinyModels {
  static constexpr int kLayers = 2;
  static constexpr int kWidth = 32;
  static constexpr int kContext = 64;
  static constexpr int kCut = 1;

  std::filesystem::path folder;

  std::filesystem::path train_text() const { return folder / "train.txt"; }
  std::filesystem::path text() const { return folder / "held-out.txt"; }
  std::filesystem::path model() const { return folder / "model"; }
  std::filesystem::path other_model() const { return folder / "other-model"; }    ///< other weights, larger vocabulary
  std::filesystem::path codec() const { return folder / "codec"; }                ///< frozen, at kCut of model()
  std::filesystem::path joint() const { return folder / "joint"; }                ///< model, codec, reference
  std::filesystem::path train_page() const { return folder / "train.html"; }      ///< of codec()'s training
  std::filesystem::path stream() const { return folder / "text.slc"; }            ///< text() through codec()
  std::filesystem::path hidden() const { return folder / "hidden.safetensors"; }  ///< stream() decoded

  /// Arguments of `train` that make codec(), but for --out and what its numbers do not depend on.
  Arguments FrozenTraining() const;

  /// Makes everything in an empty or new folder. Throws with what the program said when it fails.
  static void Make(const std::filesystem::path& folder);
  /// Those in the folder that SLUICE_TEST_MODELS names; without it they are made once and removed at exit.
  static const TinyModels& Get();
};

/// Sentences of invented words, the same for the same seed everywhere, about `bytes` long.
std::string InventText(uint32_t seed, size_t bytes);

}  // namespace sluice

#endif  // SLUICE_TESTS_E2E_TINY_MODELS_H_
