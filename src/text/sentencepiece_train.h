#ifndef SLUICE_TEXT_SENTENCEPIECE_TRAIN_H_
#define SLUICE_TEXT_SENTENCEPIECE_TRAIN_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/status.h"
#include "text/corpus.h"

namespace sluice {

/// Trains a SentencePiece BPE model with libsentencepiece and writes it in one step, to be read by LoadTokenizer.
/// Exact: unk 0, bos 1, eos 2, then 256 byte pieces, then what was learned. Text is not normalized, no prefix is added,
/// white space and newlines are kept: Decode(Encode(t)) == t for every valid UTF-8 text without U+2581, which
/// SentencePiece itself uses for the space. The same text and size give the same bytes.
/// Errors: InvalidArgument for empty or invalid text and for a vocabulary that is too small for the text's characters
/// or larger than the text supports; Io when the model cannot be written.
/// Cost: about 2 s per MB of text on one thread.
Status TrainSentencePiece(std::string_view text, int32_t vocab_size, const std::filesystem::path& model);

/// The same on files, read with ReadText.
Status TrainSentencePiece(std::span<const std::filesystem::path> files, int32_t vocab_size,
                          const std::filesystem::path& model, const CorpusOptions& options = {});

}  // namespace sluice

#endif  // SLUICE_TEXT_SENTENCEPIECE_TRAIN_H_
