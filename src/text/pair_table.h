#ifndef SLUICE_TEXT_PAIR_TABLE_H_
#define SLUICE_TEXT_PAIR_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

/// Hash table from an ordered pair of 32-bit numbers to two numbers: the merges of a BPE, the edges of a trie, the
/// neighbours of a vocabulary. Open addressing in one array, because the look-up is the inner loop of every tokenizer.
/// Range: the pair (2^32-1, 2^32-1) is reserved.
class PairTable {
 public:
  struct Value {
    uint32_t rank;
    int32_t id;
  };

  /// Room for `expected` pairs without growing.
  explicit PairTable(size_t expected = 0);

  /// Whether the pair was new; an old one keeps its value.
  bool Insert(uint32_t first, uint32_t second, Value value);

  /// Value of a pair, or null.
  const Value* Find(uint32_t first, uint32_t second) const {
    const uint64_t key = Key(first, second);
    for (size_t at = Hash(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key) return &slot.value;
      if (slot.key == kEmpty) return nullptr;
    }
  }

  size_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t key = kEmpty;
    Value value{};
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};

  static uint64_t Key(uint32_t first, uint32_t second) { return uint64_t{first} << 32 | second; }
  size_t Hash(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u >> 20) & mask_; }
  void Grow();

  std::vector<Slot> slots_;
  size_t mask_;
  size_t size_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_TEXT_PAIR_TABLE_H_
