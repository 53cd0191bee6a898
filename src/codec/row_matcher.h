#ifndef SLUICE_CODEC_ROW_MATCHER_H_
#define SLUICE_CODEC_ROW_MATCHER_H_

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

  /// An earlier row close to row t. Rows must be asked for in order, each once. Cost: about 50 comparisons of d bytes.
  Match FindAndAdd(size_t t);

 private:
  uint32_t Distance(size_t a, size_t b) const;
  uint32_t KeyOf(size_t t, size_t table) const;

  size_t width_;
  size_t active_;                   // channels whose spread is not 0
  std::vector<uint8_t> rows_;       // each value in 1/32 of a spread around 128
  std::vector<uint32_t> channels_;  // which channels make each table's key
  std::vector<int32_t> buckets_;    // most recent rows of each key
  int64_t last_match_ = -1;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_ROW_MATCHER_H_
