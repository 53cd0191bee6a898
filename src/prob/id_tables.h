#ifndef SLUICE_PROB_ID_TABLES_H_
#define SLUICE_PROB_ID_TABLES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "prob/interval_coder.h"
#include "prob/static_table.h"

namespace sluice {

/// In how many groups, the nearest, an encoder looks for the class of a state.
inline constexpr size_t kClassGroupsTried = 6;

/// How an id in [0, n) is coded given the id before it, or n where there is none before it.
///
/// Flat: a closed table of n symbols for each id before. In groups, where n^2 frequencies are too many to know or to
/// carry: ids lie in groups of neighbours, and first comes the group, given the id before, then the place in the group,
/// given the group before.
/// Threads: immutable, any number of readers.
class IdTables {
 public:
  /// None: nothing can be coded.
  IdTables() = default;
  /// Data: n + 1 closed tables of n symbols. Errors: Corrupt.
  static Result<IdTables> Flat(std::span<const StaticTable> tables);
  /// Data: how many ids each of G groups has; n + 1 closed tables of G symbols; G (G + 1) closed tables of the places,
  /// group after group, in a group one for each group before and one for none.
  /// Errors: Corrupt.
  static Result<IdTables> Grouped(std::vector<uint32_t> sizes, std::span<const StaticTable> groups,
                                  std::span<const StaticTable> places);

  /// The best tables for ids that follow one another. Data: `sequences`, of ids in [0, n), each beginning anew; `sizes`
  /// of groups, or empty for flat tables. Errors: InvalidArgument as StaticTable::ClosedFromWeights.
  static Result<IdTables> Fit(std::span<const std::vector<int32_t>> sequences, size_t ids, std::vector<uint32_t> sizes,
                              int precision);

  bool empty() const { return first_.empty(); }
  /// n.
  size_t ids() const { return ids_; }
  /// Empty for flat tables.
  std::span<const uint32_t> sizes() const { return sizes_; }
  /// Of ids or, with groups, of groups, by the id before. Cost: makes them.
  std::vector<StaticTable> first() const;
  std::vector<StaticTable> places() const;

  /// Needs: ids in range. `Backwards` for a sink that is given the last element first.
  template <bool kBackwards, IntervalSink Sink>
  void Encode(int32_t previous, int32_t id, Sink& sink) const;
  /// Damaged input yields some id in range.
  template <IntervalSource Source>
  int32_t Decode(int32_t previous, Source& source) const;
  double CostBits(int32_t previous, int32_t id) const;

 private:
  /// Where the intervals of a table's symbols start. Tables lie one after the other, two bytes a symbol: which of them
  /// comes next is as good as random, and so nearly every look is one into far memory.
  using Starts = std::span<const uint16_t>;

  IdTables(std::vector<uint32_t> sizes, std::span<const StaticTable> first, std::span<const StaticTable> places);
  size_t GroupOf(int32_t id) const { return group_of_[static_cast<size_t>(id)]; }
  size_t FirstSymbols() const { return sizes_.empty() ? ids_ : sizes_.size(); }
  Starts FirstOf(int32_t previous) const {
    return Starts(first_).subspan(static_cast<size_t>(previous) * FirstSymbols(), FirstSymbols());
  }
  /// How many starts the groups before have: each of their ids has one in every table of its group.
  size_t PlacesBefore(size_t group) const { return static_cast<size_t>(begin_[group]) * (sizes_.size() + 1); }
  Starts PlacesOf(size_t group, size_t group_before) const {
    return Starts(places_).subspan(PlacesBefore(group) + group_before * sizes_[group], sizes_[group]);
  }
  Interval IntervalOf(Starts starts, size_t symbol) const {
    const uint32_t end = symbol + 1 < starts.size() ? starts[symbol + 1] : 1u << precision_;
    return {starts[symbol], end - starts[symbol]};
  }
  /// The symbol that owns a slot below 2^precision.
  static size_t Find(Starts starts, uint32_t slot);
  template <IntervalSource Source>
  size_t Take(Starts starts, Source& source) const;
  StaticTable TableOf(Starts starts) const;

  int precision_ = 0;
  size_t ids_ = 0;
  std::vector<uint32_t> sizes_;
  std::vector<uint16_t> first_, places_;
  std::vector<int32_t> begin_;      // the first id of each group
  std::vector<uint16_t> group_of_;  // each id; of n, the number of groups
};

template <bool kBackwards, IntervalSink Sink>
void IdTables::Encode(int32_t previous, int32_t id, Sink& sink) const {
  if (sizes_.empty()) return sink.Push(IntervalOf(FirstOf(previous), static_cast<size_t>(id)));
  const size_t group = GroupOf(id);
  const auto place = [&] {
    sink.Push(IntervalOf(PlacesOf(group, GroupOf(previous)), static_cast<size_t>(id - begin_[group])));
  };
  if (kBackwards) place();
  sink.Push(IntervalOf(FirstOf(previous), group));
  if (!kBackwards) place();
}

template <IntervalSource Source>
size_t IdTables::Take(Starts starts, Source& source) const {
  const size_t symbol = Find(starts, source.Peek() & ((1u << precision_) - 1));
  source.Advance(IntervalOf(starts, symbol));
  return symbol;
}

template <IntervalSource Source>
int32_t IdTables::Decode(int32_t previous, Source& source) const {
  const size_t first = Take(FirstOf(previous), source);
  if (sizes_.empty()) return static_cast<int32_t>(first);
  return begin_[first] + static_cast<int32_t>(Take(PlacesOf(first, GroupOf(previous)), source));
}

}  // namespace sluice

#endif  // SLUICE_PROB_ID_TABLES_H_
