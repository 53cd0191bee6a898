#ifndef SLUICE_TEXT_PROGRESS_METER_H_
#define SLUICE_TEXT_PROGRESS_METER_H_

#include <cstdint>

#include "base/status.h"
#include "text/tokenizer.h"

namespace sluice {

/// Calls an EncodeProgress once per megabyte or so, so that encoders may report after every piece.
class ProgressMeter {
 public:
  /// `progress` may be empty; borrowed.
  explicit ProgressMeter(const EncodeProgress& progress) : progress_(progress) {}

  Status At(uint64_t done_bytes) {
    if (done_bytes < next_ || !progress_) return OkStatus();
    next_ = done_bytes + kStep;
    return progress_(done_bytes);
  }

 private:
  static constexpr uint64_t kStep = uint64_t{1} << 20;

  const EncodeProgress& progress_;
  uint64_t next_ = kStep;
};

}  // namespace sluice

#endif  // SLUICE_TEXT_PROGRESS_METER_H_
