#ifndef SLUICE_BASE_VECTOR_CLONES_H_
#define SLUICE_BASE_VECTOR_CLONES_H_

/// Before a function whose loops the compiler turns into vector instructions: it is compiled for wider vectors too, and
/// the machine chooses. Exact: no clone may fuse multiply-adds, so all give the same.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(HWY_COMPILE_ONLY_SCALAR) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SLUICE_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define SLUICE_VECTOR_CLONES
#endif

#endif  // SLUICE_BASE_VECTOR_CLONES_H_
