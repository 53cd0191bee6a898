#include "cli/machine_checks.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Verdict = MachineCheck::Verdict;

TEST(MachineChecksTest, MatchesKernelsToTheProcessor) {
  const std::string old = "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY USE_OPENMP Haswell MAX_THREADS=64";
  const MachineCheck warned = CheckBlasKernels(old, true);
  EXPECT_EQ(warned.verdict, Verdict::kWarning);
  EXPECT_NE(warned.finding.find("Haswell"), std::string::npos) << warned.finding;
  EXPECT_NE(warned.remedy.find("OPENBLAS_CORETYPE=SkylakeX"), std::string::npos) << warned.remedy;
  EXPECT_EQ(CheckBlasKernels("OpenBLAS 0.3.21 DYNAMIC_ARCH Zen", true).verdict, Verdict::kWarning);
  // AVX2 is all there is, the right kernels run, or another BLAS does.
  EXPECT_EQ(CheckBlasKernels(old, false).verdict, Verdict::kOk);
  EXPECT_EQ(CheckBlasKernels("OpenBLAS 0.3.21 DYNAMIC_ARCH SkylakeX MAX_THREADS=64", true).verdict, Verdict::kOk);
  EXPECT_EQ(CheckBlasKernels("OpenBLAS 0.3.30 DYNAMIC_ARCH Zen5 MAX_THREADS=64", true).verdict, Verdict::kOk);
  EXPECT_EQ(CheckBlasKernels("", true).verdict, Verdict::kOk);
}

}  // namespace
}  // namespace sluice
