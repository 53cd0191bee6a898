#ifndef SLUICE_TEXT_PIECE_CACHE_H_
#define SLUICE_TEXT_PIECE_CACHE_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace sluice {

/// Remembers the ids of the pieces of one text while it is encoded: text repeats its words, and a word's ids depend on
/// the word alone. An entry only says where in the output the piece was encoded last, so nothing is copied or owned.
/// A direct-mapped table: the newer piece wins a slot, and memory is bounded by the text and by 1 MiB.
class PieceCache {
 public:
  /// `text_bytes`: length of the text to come.
  explicit PieceCache(size_t text_bytes)
      : slots_(std::bit_ceil(std::clamp<size_t>(text_bytes / 8, 1, kMaxSlots))), mask_(slots_.size() - 1) {}

  /// Appends the ids of `piece` to `ids`: those of an earlier occurrence, or those that `encode()` appends.
  /// Needs: `piece` outlives the cache, and `ids` only grows, through this function or otherwise.
  template <typename Encode>
  void Append(std::string_view piece, std::vector<int32_t>& ids, Encode&& encode) {
    if (piece.empty() || piece.size() > kMaxPiece) return encode();
    Slot& slot = slots_[Hash(piece) & mask_];
    const size_t end = ids.size();
    if (slot.text == piece) {
      ids.resize(end + slot.count);
      std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(slot.begin), slot.count,
                  ids.begin() + static_cast<std::ptrdiff_t>(end));
      return;
    }
    encode();
    slot = {piece, end, ids.size() - end};
  }

 private:
  struct Slot {
    std::string_view text;
    size_t begin = 0;
    size_t count = 0;
  };
  static constexpr size_t kMaxSlots = size_t{1} << 15;
  static constexpr size_t kMaxPiece = 64;

  /// Mixes the length with the first and last eight bytes; what lies between two long pieces is left to the comparison.
  static size_t Hash(std::string_view piece) {
    const char* begin = piece.data();
    const size_t size = piece.size();
    uint64_t head = 0;
    uint64_t tail = 0;
    if (size >= 8) {
      head = LoadLe<uint64_t>(begin);
      tail = LoadLe<uint64_t>(begin + size - 8);
    } else if (size >= 4) {
      head = LoadLe<uint32_t>(begin);
      tail = LoadLe<uint32_t>(begin + size - 4);
    } else {
      head = static_cast<uint8_t>(begin[0]);
      tail = static_cast<uint64_t>(static_cast<uint8_t>(begin[size / 2])) << 8 | static_cast<uint8_t>(begin[size - 1]);
    }
    const uint64_t mixed = (head ^ std::rotl(tail, 29) ^ size) * 0x9E3779B97F4A7C15u;
    return static_cast<size_t>(mixed >> 32);
  }

  std::vector<Slot> slots_;
  size_t mask_;
};

}  // namespace sluice

#endif  // SLUICE_TEXT_PIECE_CACHE_H_
