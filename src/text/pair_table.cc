// Linear probing at a load of at most one half, with Fibonacci hashing: ids are small and dense, so that their product
// with the golden ratio spreads them well, and a miss ends after one or two probes of one cache line.
#include "text/pair_table.h"

#include <algorithm>
#include <bit>

namespace sluice {

PairTable::PairTable(size_t expected)
    : slots_(std::bit_ceil(std::max<size_t>(16, expected * 2))), mask_(slots_.size() - 1) {}

bool PairTable::Insert(uint32_t first, uint32_t second, Value value) {
  if (Find(first, second) != nullptr) return false;
  if ((size_ + 1) * 2 > slots_.size()) Grow();
  const uint64_t key = Key(first, second);
  size_t at = Hash(key);
  while (slots_[at].key != kEmpty) at = (at + 1) & mask_;
  slots_[at] = {key, value};
  ++size_;
  return true;
}

void PairTable::Grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  mask_ = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.key == kEmpty) continue;
    size_t at = Hash(slot.key);
    while (slots_[at].key != kEmpty) at = (at + 1) & mask_;
    slots_[at] = slot;
  }
}

}  // namespace sluice
