#include "cli/machine_checks.h"

#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace sluice {
namespace {

std::string ProcessorName() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
#if defined(__aarch64__)
  return "aarch64";
#else
  return "unknown";
#endif
}

std::string InstructionSets() {
#if defined(__x86_64__)
  std::string sets = "SSE2";
  if (__builtin_cpu_supports("ssse3")) sets += " SSSE3";
  if (__builtin_cpu_supports("sse4.2")) sets += " SSE4";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets += " AVX2+FMA";
  if (__builtin_cpu_supports("avx512f")) sets += " AVX-512";
  return sets;
#elif defined(__aarch64__)
  return "NEON";
#else
  return "plain C++";
#endif
}

MachineCheck CheckInstructionSets() {
  MachineCheck check{MachineCheck::Verdict::kOk, "instruction sets", InstructionSets(), ""};
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) {
    check.verdict = MachineCheck::Verdict::kWarning;
    check.remedy = "results are the same without AVX2, only several times slower";
  }
#endif
  return check;
}

MachineCheck CheckMemory() {
  struct sysinfo info {};
  sysinfo(&info);
  constexpr double kGiB = 1024.0 * 1024 * 1024;
  const double total = static_cast<double>(info.totalram) * info.mem_unit / kGiB;
  MachineCheck check{MachineCheck::Verdict::kOk, "memory", fmt::format("{:.1f} GiB", total), ""};
  constexpr double kWanted = 4;
  if (total < kWanted) {
    check.verdict = MachineCheck::Verdict::kWarning;
    check.remedy = "training the shipped examples takes up to 4 GiB: use a smaller --batch or --context";
  }
  return check;
}

MachineCheck CheckDisk() {
  std::error_code error;
  const auto space = std::filesystem::space(".", error);
  const double free = error ? 0 : static_cast<double>(space.available) / (1024.0 * 1024 * 1024);
  MachineCheck check{MachineCheck::Verdict::kOk, "disk space here", fmt::format("{:.1f} GiB free", free), ""};
  constexpr double kWanted = 1;
  if (free < kWanted) {
    check.verdict = MachineCheck::Verdict::kWarning;
    check.remedy = "checkpoints are written beside the old ones before they replace them: free some space";
  }
  return check;
}

const char* Mark(MachineCheck::Verdict verdict) {
  switch (verdict) {
    case MachineCheck::Verdict::kOk:
      return "ok";
    case MachineCheck::Verdict::kWarning:
      return "warning";
    case MachineCheck::Verdict::kProblem:
      return "problem";
  }
  return "";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> DescribeMachine() {
  return {{"processor", ProcessorName()},
          {"cores", std::to_string(std::thread::hardware_concurrency())},
          {"instruction sets", InstructionSets()},
          {"memory", CheckMemory().finding}};
}

std::vector<MachineCheck> CheckMachine() {
  return {{MachineCheck::Verdict::kOk, "processor",
           fmt::format("{}, {} cores", ProcessorName(), std::thread::hardware_concurrency()), ""},
          CheckInstructionSets(),
          CheckMemory(),
          CheckDisk()};
}

bool HasSkylakeAvx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

// OpenBLAS chooses by a list of processors that ends in the year of its release; what it does not find there gets
// kernels for AVX2.
MachineCheck CheckBlasKernels(std::string_view config, bool avx512) {
  const std::string words = fmt::format(" {} ", config);
  for (const char* kernels : {"Haswell", "Zen"}) {
    if (!avx512 || words.find(fmt::format(" {} ", kernels)) == std::string::npos) continue;
    return {
        MachineCheck::Verdict::kWarning, "BLAS kernels", fmt::format("{} (AVX2) on a processor with AVX-512", kernels),
        "export OPENBLAS_CORETYPE=SkylakeX: training was 1.5 times as fast (docs/training.md). Float codecs need the "
        "same on both ends"};
  }
  return {MachineCheck::Verdict::kOk, "BLAS kernels", "as the BLAS chose them", ""};
}

nlohmann::ordered_json ChecksToJson(const std::vector<MachineCheck>& checks) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const MachineCheck& check : checks) {
    list.push_back({{"check", check.name},
                    {"verdict", Mark(check.verdict)},
                    {"finding", check.finding},
                    {"remedy", check.remedy}});
  }
  return {{"checks", list}};
}

std::string ChecksToText(const std::vector<MachineCheck>& checks) {
  std::string text;
  for (const MachineCheck& check : checks) {
    text += fmt::format("{:<8} {:<20} {}\n", Mark(check.verdict), check.name, check.finding);
    if (!check.remedy.empty()) text += fmt::format("{:<8} {:<20} -> {}\n", "", "", check.remedy);
  }
  return text;
}

}  // namespace sluice
