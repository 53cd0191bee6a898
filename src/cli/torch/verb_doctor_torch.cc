#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "backbone/torch_setup.h"
#include "base/clock.h"
#include "cli/machine_checks.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"

namespace sluice {
namespace {

using Verdict = MachineCheck::Verdict;

// The product that dominates the training of a width-768 model: [1024, 768] x [768, 3072].
double MeasureGflops(int threads) {
  at::set_num_threads(threads);
  torch::NoGradGuard no_grad;
  const auto a = torch::rand({1024, 768}), b = torch::rand({768, 3072});
  std::vector<double> rates;
  for (int i = 0; i < 7; ++i) {
    const auto start = Clock::now();
    const auto c = torch::matmul(a, b);
    const double seconds = SecondsSince(start);
    rates.push_back(2.0 * 1024 * 768 * 3072 / seconds / 1e9);
  }
  std::nth_element(rates.begin(), rates.begin() + 3, rates.end());
  return rates[3];
}

MachineCheck CheckBlas() {
  const BlasLibrary blas = FindBlas();
  MachineCheck check{Verdict::kOk, "BLAS", fmt::format("{} ({})", BlasKindName(blas.kind), blas.path), ""};
  if (blas.Slow()) {
    check.verdict = Verdict::kProblem;
    check.remedy =
        "apt-get install libopenblas0-openmp, then update-alternatives --set libblas.so.3-x86_64-linux-gnu "
        "/usr/lib/x86_64-linux-gnu/openblas-openmp/libblas.so.3";
  }
  return check;
}

std::vector<MachineCheck> CheckThreads() {
  const double one = MeasureGflops(1);
  std::vector<MachineCheck> checks = {
      {Verdict::kOk, "matrix product", fmt::format("{:.0f} GFLOP/s on one thread", one), ""}};
  constexpr double kCrawling = 10;
  if (one < kCrawling) {
    // The BLAS has its own check; a good one is slow only while something else keeps the machine busy.
    checks.back().verdict = FindBlas().Slow() ? Verdict::kProblem : Verdict::kWarning;
    checks.back().remedy =
        "a reference BLAS reaches 2 GFLOP/s where OpenBLAS reaches 70: see BLAS above, or what else runs";
  }
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  if (cores > 1) {
    const double all = MeasureGflops(cores);
    checks.push_back(
        {Verdict::kOk, "all cores", fmt::format("{:.0f} GFLOP/s on {} threads ({:.2f}x)", all, cores, all / one), ""});
    if (all < one) {
      checks.back().verdict = Verdict::kWarning;
      checks.back().remedy =
          "more threads are slower: another program is busy, or BLAS and libtorch use different thread pools";
    }
  }
  return checks;
}

}  // namespace

int RunTorchDoctor(int argc, char** argv) {
  Verb verb("doctor", "Check this machine and say how to mend what slows sluice down.",
            "  sluice doctor\n  sluice doctor --json\n");
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_RETURN_IF_ERROR(InitTorch(1));
    auto checks = CheckMachine();
    checks.push_back({Verdict::kOk, "libtorch", TorchBuildProfile(), ""});
    checks.push_back(CheckBlas());
    checks.push_back(CheckBlasKernels(FindBlas().details, HasSkylakeAvx512()));
    for (auto& check : CheckThreads()) checks.push_back(std::move(check));
    verb.Print(ChecksToJson(checks), ChecksToText(checks));
    const bool problem =
        std::any_of(checks.begin(), checks.end(), [](const MachineCheck& c) { return c.verdict == Verdict::kProblem; });
    return problem ? Unsupported("this machine has a problem that makes training crawl; the table says how to mend it")
                   : OkStatus();
  });
}

}  // namespace sluice
