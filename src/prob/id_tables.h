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
  static Result<IdTables> Flat(std::vector<StaticTable> tables);
  /// Data: how many ids each of G groups has; n + 1 closed tables of G symbols; G (G + 1) closed tables of the places,
  /// group after group, in a group one for each group before and one for none.
  /// Errors: Corrupt.
  static Result<IdTables> Grouped(std::vector<uint32_t> sizes, std::vector<StaticTable> groups,
                                  std::vector<StaticTable> places);

  /// The best tables for ids that follow one another. Data: `sequences`, of ids in [0, n), each beginning anew; `sizes`
  /// of groups, or empty for flat tables. Errors: InvalidArgument as StaticTable::ClosedFromWeights.
  static Result<IdTables> Fit(std::span<const std::vector<int32_t>> sequences, size_t ids, std::vector<uint32_t> sizes,
                              int precision);

  bool empty() const { return first_.empty(); }
  /// n.
  size_t ids() const { return empty() ? 0 : first_.size() - 1; }
  /// Empty for flat tables.
  std::span<const uint32_t> sizes() const { return sizes_; }
  /// Of ids or, with groups, of groups, by the id before.
  std::span<const StaticTable> first() const { return first_; }
  std::span<const StaticTable> places() const { return places_; }

  /// Needs: ids in range. `Backwards` for a sink that is given the last element first.
  template <bool kBackwards, IntervalSink Sink>
  void Encode(int32_t previous, int32_t id, Sink& sink) const;
  /// Damaged input yields some id in range.
  template <IntervalSource Source>
  int32_t Decode(int32_t previous, Source& source) const;
  double CostBits(int32_t previous, int32_t id) const;

 private:
  IdTables(std::vector<uint32_t> sizes, std::vector<StaticTable> first, std::vector<StaticTable> places);
  size_t GroupOf(int32_t id) const { return group_of_[static_cast<size_t>(id)]; }
  const StaticTable& PlacesOf(size_t group, int32_t previous) const {
    return places_[group * (sizes_.size() + 1) + GroupOf(previous)];
  }

  std::vector<uint32_t> sizes_;
  std::vector<StaticTable> first_, places_;
  std::vector<int32_t> begin_;      // of each group
  std::vector<uint16_t> group_of_;  // each id; of n, the number of groups
};

template <bool kBackwards, IntervalSink Sink>
void IdTables::Encode(int32_t previous, int32_t id, Sink& sink) const {
  const StaticTable& first = first_[static_cast<size_t>(previous)];
  if (sizes_.empty()) return EncodeStatic(first, id, sink);
  const size_t group = GroupOf(id);
  const auto place = [&] { EncodeStatic(PlacesOf(group, previous), id - begin_[group], sink); };
  if (kBackwards) place();
  EncodeStatic(first, static_cast<int64_t>(group), sink);
  if (!kBackwards) place();
}

template <IntervalSource Source>
int32_t IdTables::Decode(int32_t previous, Source& source) const {
  const auto first = static_cast<int32_t>(DecodeStatic(first_[static_cast<size_t>(previous)], source));
  if (sizes_.empty()) return first;
  const auto group = static_cast<size_t>(first);
  return begin_[group] + static_cast<int32_t>(DecodeStatic(PlacesOf(group, previous), source));
}

}  // namespace sluice

#endif  // SLUICE_PROB_ID_TABLES_H_
