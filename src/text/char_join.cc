// A merge joins two neighbouring symbols into a piece of the vocabulary, so the characters on both sides of the seam
// are neighbours inside that piece. If they are neighbours inside no piece, nothing ever crosses the seam: the parts
// are independent. It holds for every merge order, and turns the encoding of a long text into that of its words.
#include "text/char_join.h"

namespace sluice {

void CharJoin::AddPiece(std::string_view piece) {
  if (piece.empty()) return;
  uint32_t left = CharAt(piece, 0);
  for (size_t at = Utf8Length(piece[0]); at < piece.size(); at += Utf8Length(piece[at])) {
    const uint32_t right = CharAt(piece, at);
    if (left < 128 && right < 128) {
      ascii_[left * 128 + right] = true;
    } else {
      others_.Insert(left, right, {});
    }
    left = right;
  }
}

size_t CharJoin::PartEnd(std::string_view text, size_t begin, Cut cut) const {
  uint32_t left = CharAt(text, begin);
  for (size_t at = begin + Utf8Length(text[begin]); at < text.size(); at += Utf8Length(text[at])) {
    const uint32_t right = CharAt(text, at);
    if (!Joins(left, right) &&
        (cut == Cut::kAnywhere || text[at] == ' ' || (cut == Cut::kBehindSpace && !Joins(' ', right)))) {
      return at;
    }
    left = right;
  }
  return text.size();
}

}  // namespace sluice
