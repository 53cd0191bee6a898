// libtorch as it comes is slow or unrepeatable in ways that do not show: one thread, a reference BLAS behind the same
// file name, a heap that returns every large block to the system. This file sets what can be set and names what cannot.
// Which BLAS runs is asked of the loader itself (the symbol that sgemm resolves to), because alternatives, preloads and
// statically linked builds make every other answer a guess.
#include "backbone/torch_setup.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <torch/torch.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <mutex>
#include <string_view>

namespace sluice {
namespace {

std::string FirstLine(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

int UsableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

/// Activations are taken and given back in every step, and a block that glibc returns to the system comes back as page
/// faults: with blocks of 32 MiB, which no threshold of mmap keeps, a training step took seven times as long. So all
/// blocks come from the heap, the heap is kept, and its first part is asked for in huge pages.
void KeepLargeBlocks() {
#ifdef __GLIBC__
  constexpr int kNeverTrim = std::numeric_limits<int>::max();
  constexpr size_t kHugePage = 2 << 20, kHugePart = size_t{1} << 30;  // address space only, until it is used
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, kNeverTrim);
  void* const part = std::malloc(kHugePart);
  if (part == nullptr) return;
  const auto address = reinterpret_cast<uintptr_t>(part), first = (address + kHugePage - 1) / kHugePage * kHugePage;
  madvise(reinterpret_cast<void*>(first), kHugePart - kHugePage, MADV_HUGEPAGE);  // advice: refused is as before
  std::free(part);
#endif
}

/// A symbol of the BLAS itself, so that another BLAS in the process does not answer for it.
template <typename Function>
Function* Symbol(const std::string& library, const char* name) {
  void* handle = dlopen(library.c_str(), RTLD_NOLOAD | RTLD_LAZY);
  if (handle == nullptr) return nullptr;
  auto* symbol = reinterpret_cast<Function*>(dlsym(handle, name));
  dlclose(handle);  // the library stays: the process has it mapped anyway
  return symbol;
}

BlasLibrary::Kind KindOfOpenBlas(int parallel) {
  switch (parallel) {
    case 0:
      return BlasLibrary::Kind::kOpenBlasSerial;
    case 1:
      return BlasLibrary::Kind::kOpenBlasPthread;
    default:
      return BlasLibrary::Kind::kOpenBlasOpenMp;
  }
}

BlasLibrary::Kind KindByPath(std::string_view path) {
  const auto has = [&](std::string_view part) { return path.find(part) != std::string_view::npos; };
  if (has("blis")) return BlasLibrary::Kind::kBlis;
  if (has("mkl") || (has("libtorch") && at::hasMKL())) return BlasLibrary::Kind::kMkl;
  if (has("/blas/libblas") || has("libblas.so.3.")) return BlasLibrary::Kind::kReference;
  return BlasLibrary::Kind::kUnknown;
}

/// The instruction set that ATen's own kernels were dispatched to, from torch's description of itself.
std::string CpuCapability() {
  constexpr std::string_view kLabel = "CPU capability usage: ";
  const std::string all = at::show_config();
  const size_t at = all.find(kLabel);
  return at == std::string::npos ? "unknown" : FirstLine(std::string_view(all).substr(at + kLabel.size()));
}

}  // namespace

Status StatusOfCurrentException() {
  try {
    throw;
  } catch (const StatusException& error) {
    return error.status();
  } catch (const c10::Error& error) {
    return Internal("torch: " + FirstLine(error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    return Internal("out of memory");
  } catch (const std::exception& error) {
    return Internal(FirstLine(error.what()));
  } catch (...) {
    return Internal("an exception of unknown type");
  }
}

Status InitTorch(int threads) {
  if (threads < 0) return InvalidArgument(fmt::format("threads is {}; expected 0 (all cores) or more", threads));
  return CatchTorch([&] {
    KeepLargeBlocks();
    at::set_num_threads(threads == 0 ? UsableCores() : threads);
    static std::once_flag once;  // torch refuses a second call
    std::call_once(once, [] { at::set_num_interop_threads(1); });
    at::globalContext().setDeterministicCuDNN(true);
    at::globalContext().setBenchmarkCuDNN(false);
  });
}

BlasLibrary FindBlas() {
  BlasLibrary blas;
  void* symbol = dlsym(RTLD_DEFAULT, "sgemm_");
  Dl_info info{};
  if (symbol == nullptr || dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return blas;
  std::error_code error;
  const auto resolved = std::filesystem::canonical(info.dli_fname, error);
  blas.path = error ? info.dli_fname : resolved.string();
  if (auto* parallel = Symbol<int()>(info.dli_fname, "openblas_get_parallel")) {
    blas.kind = KindOfOpenBlas(parallel());
    if (auto* config = Symbol<char*()>(info.dli_fname, "openblas_get_config")) blas.details = config();
    return blas;
  }
  blas.kind = KindByPath(blas.path);
  return blas;
}

std::string BlasKindName(BlasLibrary::Kind kind) {
  switch (kind) {
    case BlasLibrary::Kind::kOpenBlasOpenMp:
      return "openblas-openmp";
    case BlasLibrary::Kind::kOpenBlasPthread:
      return "openblas-pthread";
    case BlasLibrary::Kind::kOpenBlasSerial:
      return "openblas-serial";
    case BlasLibrary::Kind::kBlis:
      return "blis";
    case BlasLibrary::Kind::kMkl:
      return "mkl";
    case BlasLibrary::Kind::kReference:
      return "reference";
    case BlasLibrary::Kind::kUnknown:
      break;
  }
  return "unknown";
}

std::string TorchBuildProfile() {
  const BlasLibrary blas = FindBlas();
  return fmt::format("torch {}; blas {}{}{}; cpu {}", TORCH_VERSION, BlasKindName(blas.kind),
                     blas.details.empty() ? "" : " ", blas.details, CpuCapability());
}

}  // namespace sluice
