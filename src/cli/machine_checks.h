#ifndef SLUICE_CLI_MACHINE_CHECKS_H_
#define SLUICE_CLI_MACHINE_CHECKS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// One finding of `sluice doctor`.
struct MachineCheck {
  enum class Verdict { kOk, kWarning, kProblem };
  Verdict verdict = Verdict::kOk;
  std::string name;
  std::string finding;
  std::string remedy;  ///< what to do; empty when nothing is wrong
};

/// Checks that need no libtorch: processor, instruction sets, memory, disk.
std::vector<MachineCheck> CheckMachine();

/// Whether OpenBLAS knows the processor. `config`: its words for itself, empty for another BLAS, such as "OpenBLAS
/// 0.3.21 DYNAMIC_ARCH Haswell MAX_THREADS=64"; `avx512`: the processor has what kernels for SkylakeX need.
MachineCheck CheckBlasKernels(std::string_view config, bool avx512);
/// AVX-512 F, CD, BW, DQ and VL: what compilers and libraries mean by skylake-avx512.
bool HasSkylakeAvx512();

/// Processor, cores and memory, as reports name them: {"processor", "..."}, ...
std::vector<std::pair<std::string, std::string>> DescribeMachine();

nlohmann::ordered_json ChecksToJson(const std::vector<MachineCheck>& checks);
std::string ChecksToText(const std::vector<MachineCheck>& checks);

}  // namespace sluice

#endif  // SLUICE_CLI_MACHINE_CHECKS_H_
