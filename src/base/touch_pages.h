#ifndef SLUICE_BASE_TOUCH_PAGES_H_
#define SLUICE_BASE_TOUCH_PAGES_H_

#include <cstddef>

namespace sluice {

/// Loads a byte of each page of memory that will be used soon: a processor may drop a prefetch of a page whose address
/// it would have to look up first, but not a load. Nothing waits for the bytes.
inline void TouchPages(const void* data, size_t size) {
  constexpr size_t kPage = 4096;
  if (size == 0) return;
  const auto* const bytes = static_cast<const volatile unsigned char*>(data);
  const auto load = [bytes](size_t at) { static_cast<void>(bytes[at]); };
  for (size_t at = 0; at < size; at += kPage) load(at);
  load(size - 1);
}

}  // namespace sluice

#endif  // SLUICE_BASE_TOUCH_PAGES_H_
