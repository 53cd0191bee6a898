#ifndef SLUICE_TRAIN_RUN_TEXT_H_
#define SLUICE_TRAIN_RUN_TEXT_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "backbone/config.h"
#include "train/batches.h"
#include "train/codec_training.h"

namespace sluice {

/// Windows of the training text on which the start of a codec is measured.
inline constexpr int64_t kStatisticsWindows = 64;
/// The same where `ids` rows of a table, or classes, are found too: 25 tokens for each of them on average.
inline int64_t StartWindows(int64_t ids, int64_t context) { return std::max(kStatisticsWindows, ids * 25 / context); }
/// Windows of the selection text, at most, on which a codec is measured between steps.
inline constexpr int64_t kMostSelectWindows = 16;

/// Text of a run, cut into batches over one tokenizer.
struct RunText {
  RunBatches batches;
  std::string identity;
};

/// Errors: as LoadTokenizer and ReadText; Mismatch for a tokenizer of another model.
Result<RunText> LoadRunText(const CodecTrainOptions& options, const BackboneConfig& config);

}  // namespace sluice

#endif  // SLUICE_TRAIN_RUN_TEXT_H_
