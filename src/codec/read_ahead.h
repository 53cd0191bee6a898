#ifndef SLUICE_CODEC_READ_AHEAD_H_
#define SLUICE_CODEC_READ_AHEAD_H_

#include <array>
#include <cstddef>
#include <span>

#include "base/touch_pages.h"

namespace sluice {

/// Asks the memory for what the next block needs, in as many steps as this block has pieces: a processor waits for few
/// lines at a time, and asked for all at once it stands still.
class ReadAhead {
 public:
  static constexpr size_t kPiece = 256;  ///< elements, the most that a kernel gets at once

  explicit ReadAhead(size_t piece = kPiece) : piece_(piece) {}

  /// Needs: at most three arrays.
  template <typename T>
  void Add(std::span<const T> array) {
    TouchPages(array.data(), array.size_bytes());
    arrays_[size_++] = {reinterpret_cast<const char*>(array.data()), array.size_bytes(), piece_ * sizeof(T)};
  }
  void Step() {
    constexpr size_t kLine = 64;
    for (Array& array : std::span(arrays_).first(size_)) {
      const size_t bytes = array.share < array.left ? array.share : array.left;
      for (size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(array.at + i);
      array.at += bytes;
      array.left -= bytes;
    }
  }

 private:
  struct Array {
    const char* at;
    size_t left;
    size_t share;
  };
  std::array<Array, 3> arrays_{};
  size_t size_ = 0;
  size_t piece_;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_READ_AHEAD_H_
