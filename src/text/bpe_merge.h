#ifndef SLUICE_TEXT_BPE_MERGE_H_
#define SLUICE_TEXT_BPE_MERGE_H_

#include <cstdint>
#include <vector>

#include "text/pair_table.h"

namespace sluice {

/// Applies the merges of a byte-pair encoding to a sequence of symbols: always the neighbours of the lowest rank, the
/// leftmost of equals, until no pair has a merge. Holds working memory, so use one object per thread.
/// Cost: O(n log n).
class BpeMerger {
 public:
  /// `merges`: (left id, right id) -> rank and merged id. Borrowed.
  explicit BpeMerger(const PairTable& merges) : merges_(merges) {}

  /// Merges `symbols` (ids >= 0; below 0 is a symbol that never merges) and appends what is left to `ids`.
  void Append(const std::vector<int32_t>& symbols, std::vector<int32_t>& ids);

 private:
  struct Node {
    int32_t id;
    uint32_t previous;
    uint32_t next;
  };
  struct Candidate {
    uint32_t rank;
    uint32_t at;
    int32_t left;
    int32_t right;
    int32_t merged;
  };

  static bool Later(const Candidate& a, const Candidate& b) { return a.rank != b.rank ? a.rank > b.rank : a.at > b.at; }
  void Propose(uint32_t at);
  void Merge(const Candidate& candidate);

  const PairTable& merges_;
  std::vector<Node> nodes_;
  std::vector<Candidate> heap_;
};

}  // namespace sluice

#endif  // SLUICE_TEXT_BPE_MERGE_H_
