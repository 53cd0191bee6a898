#ifndef SLUICE_BACKBONE_TORCH_SETUP_H_
#define SLUICE_BACKBONE_TORCH_SETUP_H_

#include <exception>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "base/status.h"

namespace sluice {

/// A Status on its way through code that throws (the torch rooms, inside). CatchTorch takes it out again at the door.
class StatusException : public std::exception {
 public:
  explicit StatusException(Status status) : status_(std::move(status)), text_(status_.ToString()) {}
  const char* what() const noexcept override { return text_.c_str(); }
  const Status& status() const { return status_; }

 private:
  Status status_;
  std::string text_;
};

/// Throws StatusException when `status` is not Ok; for torch rooms, inside.
inline void ThrowIfError(Status status) {
  if (!status.ok()) throw StatusException(std::move(status));
}
/// The value of `result`, or StatusException.
template <typename T>
T ValueOrThrow(Result<T> result) {
  ThrowIfError(result.status());
  return std::move(result).value();
}

/// The Status of the exception being handled: a StatusException's own, Internal with the first line of any other.
/// Call it in a catch block.
Status StatusOfCurrentException();

/// Runs `work` and turns whatever it throws into a Status: the door of a torch room. `work` may return nothing (the
/// result is Status), a value T (Result<T>), a Status or a Result<T>.
template <typename Work>
auto CatchTorch(Work&& work) {
  using Value = std::invoke_result_t<Work>;
  if constexpr (std::is_void_v<Value>) {
    try {
      work();
      return OkStatus();
    } catch (...) {
      return StatusOfCurrentException();
    }
  } else if constexpr (std::is_same_v<Value, Status> || requires(Value v) { v.status(); }) {
    try {
      return Value(work());
    } catch (...) {
      return Value(StatusOfCurrentException());
    }
  } else {
    try {
      return Result<Value>(work());
    } catch (...) {
      return Result<Value>(StatusOfCurrentException());
    }
  }
}

/// Prepares libtorch for this process: `threads` for its operators (0: one for each core the process may use),
/// denormals flushed never, deterministic algorithms, no profiling executor. Call once before any tensor work;
/// libtorch 1.13 starts with one thread otherwise. Errors: InvalidArgument for negative threads.
Status InitTorch(int threads);

/// The BLAS that libtorch's matrix products end in, found among the libraries mapped into this process.
struct BlasLibrary {
  enum class Kind { kOpenBlasOpenMp, kOpenBlasPthread, kOpenBlasSerial, kBlis, kMkl, kReference, kUnknown };
  Kind kind = Kind::kUnknown;
  std::string path;     ///< of the shared library
  std::string details;  ///< its own words: version, chosen kernels; may be empty

  /// The reference BLAS is forty times slower; OpenBLAS on its own threads fights libtorch's.
  bool Slow() const { return kind == Kind::kReference || kind == Kind::kOpenBlasPthread; }
};
BlasLibrary FindBlas();
/// "openblas-openmp", "reference", ...
std::string BlasKindName(BlasLibrary::Kind kind);

/// What decides the float results of this build on this CPU, apart from threads and shapes: torch version, BLAS and its
/// kernels, instruction set. Streams of float codecs carry it, and a decoder that differs refuses them.
/// Example: "torch 1.13.1; blas openblas-openmp OpenBLAS 0.3.21 Zen; cpu AVX2".
std::string TorchBuildProfile();

}  // namespace sluice

#endif  // SLUICE_BACKBONE_TORCH_SETUP_H_
