#ifndef SLUICE_TRAIN_CODEC_TRAINING_H_
#define SLUICE_TRAIN_CODEC_TRAINING_H_

#include <filesystem>
#include <string>
#include <vector>

#include "neural/codec_config.h"
#include "train/training_loop.h"

namespace sluice {

/// What the distortion D of L = D + lambda R measures.
enum class Distortion {
  kCrossEntropy,  ///< of the cut model on the text, nats a token
  kKl,            ///< from the uncut model's distribution to the cut one's, nats a token; in joint mode the uncut
                  ///< model is the one that training started from
  kMse,           ///< mean squared error of the hidden state, per element; frozen mode only
};

/// A codec, and in joint mode a backbone, trained on text.
struct CodecTrainOptions {
  std::filesystem::path model;
  std::vector<std::filesystem::path> text;
  std::filesystem::path out;
  std::string preset = "paper";
  std::vector<std::string> switches;  ///< "name=value", applied over the preset
  CodecMode mode = CodecMode::kFrozen;
  int64_t cut = -1;      ///< -1: floor(L / 2)
  double lambda = 7e-4;  ///< weight of one bit a token, in units of D
  Distortion distortion = Distortion::kKl;
  int64_t context = 0;               ///< tokens of a training window; 0: the model's context
  double select_share = 0.02;        ///< last part of the text, kept for `select_` figures
  double rate_only_share = 0.5;      ///< first part of the steps of frozen mode: the entropy model alone, no tail;
                                     ///< presets sluice and fast: with a quadratic form in place of the tail
  double backbone_rate_scale = 0.1;  ///< joint mode: the backbone's learning rate over the codec's
  std::string side = "none";         ///< "tokens": presets sluice and fast, the decoder knows the token ids
  bool train_reference = true;       ///< joint mode: also train the backbone alone on the same batches
  LoopOptions loop;
};

/// Trains a codec and writes it to `out` (frozen) or, with the model, to `out`/codec, `out`/model and `out`/reference
/// (joint). Logs and checkpoints are under `out`/run (and `out`/run-reference).
/// Errors: as RunTraining; as LoadBackbone; InvalidArgument naming the option.
Status TrainCodec(const CodecTrainOptions& options);

/// The cut to use: `asked`, or the middle when it is negative. Errors: InvalidArgument beyond the last layer.
Result<int64_t> ChooseCut(int64_t asked, int64_t layers);

Result<Distortion> ParseDistortion(const std::string& name);

}  // namespace sluice

#endif  // SLUICE_TRAIN_CODEC_TRAINING_H_
