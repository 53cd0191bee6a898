#ifndef SLUICE_CODEC_ROW_MATCHER_H_
#define SLUICE_CODEC_ROW_MATCHER_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/view.h"

namespace sluice {

/// Finds for each row of a chunk an earlier row that is like it.
class RowMatcher {
 public:
  /// `center` and `spread` say where each channel lies; a spread of 0 leaves the channel out, and so does NaN in a row.
  RowMatcher(MatrixView<const float> rows, std::span<const float> center, std::span<const float> spread);

  /// An earlier row and how far it is: the mean magnitude of the difference, in spreads.
  struct Match {
    int64_t row = -1;  ///< -1 when there is none
    double distance = 0;
  };

  /// An earlier row close to row t. Rows must be asked for in order, each once. Cost: at most 33 comparisons of d
  /// bytes.
  Match FindAndAdd(size_t t);

 private:
  static constexpr size_t kTables = 8;
  static constexpr size_t kWays = 4;
  using Ways = std::array<uint32_t, kWays>;

  void Propose(uint32_t candidate, uint32_t t);
  uint32_t KeyOf(size_t t, size_t table) const;

  size_t width_;
  size_t stride_;                                       // bytes of a row in rows_
  size_t active_ = 0;                                   // channels whose spread is not 0
  std::vector<uint8_t> rows_;                           // each value in 1/32 of a spread around 128
  std::array<uint32_t, kTables * kWays + 2> proposed_;  // rows to compare row t with
  size_t proposed_count_ = 0;
  std::vector<uint32_t> proposed_at_;  // for which t each row was proposed last; 0 has no candidates
  std::vector<Ways> buckets_;          // most recent rows of each key; row 0 where there were none
  uint32_t last_match_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_ROW_MATCHER_H_
