// Tables are fitted to counts of pairs that are drawn towards what holds whatever came before, by a few counts: most
// pairs are never seen in a training text, and most that are seen are seen once.
#include "prob/id_tables.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/vector_clones.h"

namespace sluice {
namespace {

constexpr double kPriorCount = 8;  // what frequencies whatever came before weigh, in counts
constexpr double kUnseen = 0.5;    // counts that every id has
constexpr double kWeightUnit = 1 << 20;
constexpr size_t kLeastGroup = 2;  // a table has two symbols
constexpr size_t kMostGroups = 256;

Status CheckTables(std::span<const StaticTable> tables, size_t symbols, int precision) {
  for (const StaticTable& table : tables) {
    if (table.closed() && table.first() == 0 && table.count() == symbols && table.precision() == precision) continue;
    return Corrupt("id tables: a table that is not closed, or not one of " + std::to_string(symbols) + " symbols and " +
                   std::to_string(precision) + " bits");
  }
  return OkStatus();
}

std::vector<uint16_t> StartsOf(std::span<const StaticTable> tables) {
  std::vector<uint16_t> starts;
  for (const StaticTable& table : tables) {
    for (size_t symbol = 0; symbol < table.count(); ++symbol) {
      starts.push_back(static_cast<uint16_t>(table.frequency_table().At(symbol).start));
    }
  }
  return starts;
}

SLUICE_VECTOR_CLONES uint16_t CountUpTo(const uint16_t* __restrict starts, uint16_t count, uint16_t slot) {
  uint16_t below = 0;
  for (uint16_t i = 0; i < count; ++i) below = static_cast<uint16_t>(below + (starts[i] <= slot ? 1 : 0));
  return below;
}

// Counts of what follows `previous`, drawn towards `alone`.
Result<StaticTable> FitOne(std::span<const double> counts, std::span<const double> alone, int precision) {
  double sum = 0;
  for (const double count : alone) sum += count;
  std::vector<uint64_t> weights;
  for (size_t i = 0; i < counts.size(); ++i) {
    weights.push_back(static_cast<uint64_t>((counts[i] + alone[i] / sum * kPriorCount) * kWeightUnit));
  }
  return StaticTable::ClosedFromWeights(0, weights, precision);
}

// One table for each thing before, of `symbols` symbols. Data: pairs {before, symbol}.
Result<std::vector<StaticTable>> FitAll(std::span<const std::pair<size_t, size_t>> pairs, size_t befores,
                                        size_t symbols, int precision) {
  std::vector<double> counts(befores * symbols), alone(symbols, kUnseen);
  for (const auto& [before, symbol] : pairs) {
    ++counts[before * symbols + symbol];
    ++alone[symbol];
  }
  std::vector<StaticTable> tables;
  for (size_t before = 0; before < befores; ++before) {
    SLUICE_ASSIGN_OR_RETURN(StaticTable table,
                            FitOne(std::span(counts).subspan(before * symbols, symbols), alone, precision));
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace

IdTables::IdTables(std::vector<uint32_t> sizes, std::span<const StaticTable> first, std::span<const StaticTable> places)
    : sizes_(std::move(sizes)), first_(StartsOf(first)), places_(StartsOf(places)) {
  if (!first.empty()) {
    precision_ = first[0].precision();
    ids_ = first.size() - 1;
  }
  for (size_t group = 0; group < sizes_.size(); ++group) {
    begin_.push_back(static_cast<int32_t>(group_of_.size()));
    group_of_.insert(group_of_.end(), sizes_[group], static_cast<uint16_t>(group));
  }
  group_of_.push_back(static_cast<uint16_t>(sizes_.size()));
}

Result<IdTables> IdTables::Flat(std::span<const StaticTable> tables) {
  if (tables.size() < kLeastGroup + 1) return Corrupt("id tables: " + std::to_string(tables.size()) + " tables");
  SLUICE_RETURN_IF_ERROR(CheckTables(tables, tables.size() - 1, tables[0].precision()));
  return IdTables({}, tables, {});
}

Result<IdTables> IdTables::Grouped(std::vector<uint32_t> sizes, std::span<const StaticTable> groups,
                                   std::span<const StaticTable> places) {
  size_t ids = 0;
  for (const uint32_t size : sizes) ids += size;
  if (sizes.size() < kLeastGroup || sizes.size() > kMostGroups || groups.size() != ids + 1 ||
      places.size() != sizes.size() * (sizes.size() + 1)) {
    return Corrupt("id tables: " + std::to_string(sizes.size()) + " groups, " + std::to_string(groups.size()) +
                   " tables of groups and " + std::to_string(places.size()) + " of places do not fit");
  }
  const int precision = groups[0].precision();
  SLUICE_RETURN_IF_ERROR(CheckTables(groups, sizes.size(), precision));
  for (size_t group = 0; group < sizes.size(); ++group) {
    const auto part = places.subspan(group * (sizes.size() + 1), sizes.size() + 1);
    SLUICE_RETURN_IF_ERROR(CheckTables(part, sizes[group], precision));
  }
  return IdTables(std::move(sizes), groups, places);
}

Result<IdTables> IdTables::Fit(std::span<const std::vector<int32_t>> sequences, size_t ids, std::vector<uint32_t> sizes,
                               int precision) {
  const size_t groups = sizes.size();
  const IdTables shape(sizes, {}, {});
  std::vector<std::pair<size_t, size_t>> first;
  std::vector<std::vector<std::pair<size_t, size_t>>> places(groups);
  for (const std::vector<int32_t>& sequence : sequences) {
    size_t before = ids, group_before = groups;
    for (const int32_t id : sequence) {
      const size_t group = groups > 0 ? shape.GroupOf(id) : 0;
      first.emplace_back(before, groups > 0 ? group : static_cast<size_t>(id));
      if (groups > 0) places[group].emplace_back(group_before, static_cast<size_t>(id - shape.begin_[group]));
      before = static_cast<size_t>(id);
      group_before = group;
    }
  }
  SLUICE_ASSIGN_OR_RETURN(auto first_tables, FitAll(first, ids + 1, groups > 0 ? groups : ids, precision));
  if (groups == 0) return Flat(first_tables);
  std::vector<StaticTable> place_tables;
  for (size_t group = 0; group < groups; ++group) {
    SLUICE_ASSIGN_OR_RETURN(auto tables, FitAll(places[group], groups + 1, sizes[group], precision));
    std::move(tables.begin(), tables.end(), std::back_inserter(place_tables));
  }
  return Grouped(std::move(sizes), first_tables, place_tables);
}

// Few starts are all counted, which takes no branch that could be foreseen wrongly.
size_t IdTables::Find(Starts starts, uint32_t slot) {
  constexpr size_t kFew = 256;
  if (starts.size() <= kFew) {
    return CountUpTo(starts.data(), static_cast<uint16_t>(starts.size()), static_cast<uint16_t>(slot)) - size_t{1};
  }
  return static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), slot) - starts.begin()) - 1;
}

double IdTables::CostBits(int32_t previous, int32_t id) const {
  double bits = 0;
  const auto add = [&](Interval interval) { bits += precision_ - std::log2(static_cast<double>(interval.freq)); };
  if (sizes_.empty()) {
    add(IntervalOf(FirstOf(previous), static_cast<size_t>(id)));
    return bits;
  }
  const size_t group = GroupOf(id);
  add(IntervalOf(FirstOf(previous), group));
  add(IntervalOf(PlacesOf(group, GroupOf(previous)), static_cast<size_t>(id - begin_[group])));
  return bits;
}

StaticTable IdTables::TableOf(Starts starts) const {
  std::vector<uint32_t> frequencies;
  for (size_t symbol = 0; symbol < starts.size(); ++symbol) frequencies.push_back(IntervalOf(starts, symbol).freq);
  return *StaticTable::FromFrequencies(0, frequencies, true, precision_);  // it was one
}

std::vector<StaticTable> IdTables::first() const {
  std::vector<StaticTable> tables;
  for (size_t id = 0; !empty() && id <= ids_; ++id) tables.push_back(TableOf(FirstOf(static_cast<int32_t>(id))));
  return tables;
}

std::vector<StaticTable> IdTables::places() const {
  std::vector<StaticTable> tables;
  for (size_t group = 0; group < sizes_.size(); ++group) {
    for (size_t before = 0; before <= sizes_.size(); ++before) tables.push_back(TableOf(PlacesOf(group, before)));
  }
  return tables;
}

}  // namespace sluice
