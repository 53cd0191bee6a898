#ifndef SLUICE_TEXT_CHAR_JOIN_H_
#define SLUICE_TEXT_CHAR_JOIN_H_

#include <bitset>
#include <cstdint>
#include <string_view>

#include "text/pair_table.h"
#include "text/utf8.h"

namespace sluice {

/// The character by which SentencePiece writes a space, U+2581.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// Which characters stand next to each other inside any piece of a vocabulary. Between two that never do, no merge can
/// happen, so that text may be cut there and each part encoded, and remembered, on its own with the same result.
class CharJoin {
 public:
  /// `mark_is_space`: U+2581 in pieces and in text counts as the space.
  explicit CharJoin(bool mark_is_space) : mark_is_space_(mark_is_space) {}

  /// Notes the neighbours inside a piece. Needs: valid UTF-8.
  void AddPiece(std::string_view piece);

  bool Joins(uint32_t left, uint32_t right) const {
    if (left < 128 && right < 128) return ascii_[left * 128 + right];
    return others_.Find(left, right) != nullptr;
  }

  /// Code point of the character at `text[at]`; U+2581 as the space when it counts as one. Needs: valid UTF-8.
  uint32_t CharAt(std::string_view text, size_t at) const {
    const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])); };
    switch (Utf8Length(text[at])) {
      case 1:
        return byte(0);
      case 2:
        return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
      case 3: {
        const uint32_t code = (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
        return code == kMark && mark_is_space_ ? ' ' : code;
      }
      default:
        return (byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    }
  }

  /// Where a cut is allowed, besides standing between two characters that do not join.
  enum class Cut {
    kAnywhere,
    kBeforeSpace,  ///< Only before a space.
    kBehindSpace,  ///< Only before a space, or before what would not join a space put before it.
  };

  /// End of the part of `text` that begins at `begin`: the first place behind it where a cut is allowed.
  size_t PartEnd(std::string_view text, size_t begin, Cut cut) const;

 private:
  static constexpr uint32_t kMark = 0x2581;

  bool mark_is_space_;
  std::bitset<128 * 128> ascii_;
  PairTable others_;
};

}  // namespace sluice

#endif  // SLUICE_TEXT_CHAR_JOIN_H_
