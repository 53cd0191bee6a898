#ifndef SLUICE_TRAIN_CONTEXT_TRAINING_H_
#define SLUICE_TRAIN_CONTEXT_TRAINING_H_

#include "train/codec_training.h"

namespace sluice {

/// Trains a context codec (presets `sluice` and `fast`) on a frozen model and writes it to `out`, logs and checkpoints
/// to `out`/run. With several operating points lambda is that of the middle one; each has half the lambda of the next.
/// Errors: as TrainCodec, whose part this is.
Status TrainContextCodec(const CodecTrainOptions& options);

}  // namespace sluice

#endif  // SLUICE_TRAIN_CONTEXT_TRAINING_H_
