#ifndef SLUICE_TEXT_WORD_PIECE_H_
#define SLUICE_TEXT_WORD_PIECE_H_

#include <memory>
#include <string_view>

#include "base/hash.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace sluice {

/// Reads BERT's vocab.txt, one token a line, as an uncased WordPiece tokenizer: text is cleaned, lower-cased and loses
/// its accents. Decode joins words with spaces; it cannot give the text back.
/// Errors: Corrupt for a vocabulary without [UNK], with duplicates, empty lines or limits exceeded.
Result<std::unique_ptr<Tokenizer>> ParseWordPieceVocab(std::string_view vocab_txt, const Sha256Digest& identity);

}  // namespace sluice

#endif  // SLUICE_TEXT_WORD_PIECE_H_
