// What every codec of hidden states checks in the same words.
#include "codec/hidden_codec.h"

#include <fmt/format.h>

#include <cmath>

namespace sluice {

Status CheckFinite(MatrixView<const float> hidden) {
  for (size_t t = 0; t < hidden.rows(); ++t) {
    const std::span<const float> row = hidden.row(t);
    for (size_t c = 0; c < row.size(); ++c) {
      if (!std::isfinite(row[c])) {
        return InvalidArgument(
            fmt::format("token {}, channel {}: {} cannot be coded, only finite values can", t, c, row[c]));
      }
    }
  }
  return OkStatus();
}

}  // namespace sluice
