// Byte-pair encoding (Sennrich et al. 2016) as greedy merging: the symbols form a linked list, the mergeable neighbours
// a heap ordered by rank and then position. A merge changes at most two neighbouring pairs; candidates it makes stale
// are recognised when they surface, because the ids they were made for are no longer there. A scan for the best pair
// after each merge gives the same result in quadratic time, which a text without spaces turns into a stall.
#include "text/bpe_merge.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};
constexpr int32_t kGone = -1;

}  // namespace

void BpeMerger::Append(const std::vector<int32_t>& symbols, std::vector<int32_t>& ids) {
  const auto count = static_cast<uint32_t>(symbols.size());
  if (count == 0) return;
  nodes_.resize(count);
  heap_.clear();
  for (uint32_t i = 0; i < count; ++i) nodes_[i] = {symbols[i], i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1};
  for (uint32_t i = 0; i + 1 < count; ++i) Propose(i);
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    const Candidate best = heap_.back();
    heap_.pop_back();
    Merge(best);
  }
  for (uint32_t at = 0; at != kNone; at = nodes_[at].next) ids.push_back(nodes_[at].id);
}

void BpeMerger::Propose(uint32_t at) {
  const int32_t left = nodes_[at].id;
  const int32_t right = nodes_[nodes_[at].next].id;
  if (left < 0 || right < 0) return;
  const PairTable::Value* merge = merges_.Find(static_cast<uint32_t>(left), static_cast<uint32_t>(right));
  if (merge == nullptr) return;
  heap_.push_back({merge->rank, at, left, right, merge->id});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

void BpeMerger::Merge(const Candidate& candidate) {
  Node& node = nodes_[candidate.at];
  if (node.id != candidate.left || node.next == kNone || nodes_[node.next].id != candidate.right) return;
  Node& consumed = nodes_[node.next];
  consumed.id = kGone;
  node.id = candidate.merged;
  node.next = consumed.next;
  if (node.next != kNone) {
    nodes_[node.next].previous = candidate.at;
    Propose(candidate.at);
  }
  if (node.previous != kNone) Propose(node.previous);
}

}  // namespace sluice
