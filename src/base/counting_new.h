#ifndef SLUICE_BASE_COUNTING_NEW_H_
#define SLUICE_BASE_COUNTING_NEW_H_

// For tests of what is not allocated: replaces the operators new and delete of the whole program by ones that count.
// Included in one source file of a test program.

#include <atomic>
#include <cstdlib>
#include <new>

namespace sluice {
/// Of all threads since the program began.
inline std::atomic<size_t> allocations{0};
}  // namespace sluice

// Not inlined: the compiler would see the pair of malloc and free through the operators' names.
[[gnu::noinline]] void* operator new(size_t size) {
  ++sluice::allocations;
  if (void* const memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
// A sanitizer's own of this kind would not know the memory that the delete below gives back.
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++sluice::allocations;
  return std::malloc(size > 0 ? size : 1);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

#endif  // SLUICE_BASE_COUNTING_NEW_H_
