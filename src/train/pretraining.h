#ifndef SLUICE_TRAIN_PRETRAINING_H_
#define SLUICE_TRAIN_PRETRAINING_H_

#include <filesystem>
#include <vector>

#include "backbone/backbone.h"
#include "train/training_loop.h"

namespace sluice {

/// A language model trained from nothing.
struct PretrainOptions {
  std::vector<std::filesystem::path> text;
  std::filesystem::path out;
  int64_t layers = 4;
  int64_t width = 128;
  int64_t heads = 4;
  int64_t context = 256;
  int32_t vocab = 1024;
  double select_share = 0.02;  ///< last part of the text, kept for `select_` figures
  StoredType stored = StoredType::kFloat32;
  LoopOptions loop;
};

/// Trains a tokenizer (SentencePiece BPE with byte fallback) and a GPT-2-style model, and writes `out`/ as a Hugging
/// Face folder: config.json, model.safetensors, tokenizer.model; the run itself is under `out`/run.
/// Errors: as RunTraining; InvalidArgument for text that is empty or not UTF-8.
Status Pretrain(const PretrainOptions& options);

}  // namespace sluice

#endif  // SLUICE_TRAIN_PRETRAINING_H_
