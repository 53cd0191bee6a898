// Integer matrix products beside the peak of the machine. The peak is measured, not looked up: a loop over registers of
// the instructions that a product cannot do without, one that multiplies and adds pairs and one that accumulates.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <random>
#include <vector>

#include "measuring.h"
#include "simd/integer_kernels.h"

namespace sluice {
namespace {

/// Which instructions multiply and add pairs: in registers of 256 or 512 bits two, with VNNI one of 512 bits.
enum class PeakLoop { k256, k512, kVnni };

/// Billions of 16-bit multiply-adds a second; 0 where there is no such loop.
double PeakRate(PeakLoop loop) {
#if defined(__x86_64__)
  const bool can = loop == PeakLoop::k256   ? __builtin_cpu_supports("avx2")
                   : loop == PeakLoop::k512 ? __builtin_cpu_supports("avx512bw")
                                            : __builtin_cpu_supports("avx512vnni");
  if (!can) return 0;
  constexpr int kRounds = 1'000'000, kProducts = 12;
  const double begin = ThreadSeconds();
  for (int i = 0; i < kRounds; ++i) {
    // Twelve sums, so that none waits for its own last addition.
#define SLUICE_PAIR(r, sum, product) \
  "vpmaddwd %%" r "14, %%" r "15, %%" r product "\n\tvpaddd %%" r product ", %%" r sum ", %%" r sum "\n\t"
#define SLUICE_VNNI(r, sum, product) "vpdpwssd %%" r "14, %%" r "15, %%" r sum "\n\t"
#define SLUICE_STEPS(STEP, r)                                                                                       \
  STEP(r, "0", "12")                                                                                                \
  STEP(r, "1", "13")                                                                                                \
  STEP(r, "2", "12") STEP(r, "3", "13") STEP(r, "4", "12") STEP(r, "5", "13") STEP(r, "6", "12") STEP(r, "7", "13") \
      STEP(r, "8", "12") STEP(r, "9", "13") STEP(r, "10", "12") STEP(r, "11", "13")
#define SLUICE_REGISTERS                                                                                              \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
      "xmm14", "xmm15"
    if (loop == PeakLoop::kVnni) {
      asm volatile(SLUICE_STEPS(SLUICE_VNNI, "zmm")::: SLUICE_REGISTERS);
    } else if (loop == PeakLoop::k512) {
      asm volatile(SLUICE_STEPS(SLUICE_PAIR, "zmm")::: SLUICE_REGISTERS);
    } else {
      asm volatile(SLUICE_STEPS(SLUICE_PAIR, "ymm")::: SLUICE_REGISTERS);
    }
#undef SLUICE_REGISTERS
#undef SLUICE_STEPS
#undef SLUICE_VNNI
#undef SLUICE_PAIR
  }
  return 1e-9 * kRounds * kProducts * (loop == PeakLoop::k256 ? 16 : 32) / (ThreadSeconds() - begin);
#else
  return 0;
#endif
}

double MedianPeakRate(PeakLoop loop, int rounds) {
  std::vector<double> peaks;
  for (int i = 0; i < rounds; ++i) peaks.push_back(PeakRate(loop));
  return Median(peaks);
}

/// Seconds of one product, the median of `rounds`.
double TimeProduct(const IntegerKernels& kernels, size_t rows, size_t columns, size_t tokens, int rounds) {
  std::mt19937 random(1);
  std::vector<int8_t> weights(rows * columns);
  for (int8_t& weight : weights) weight = static_cast<int8_t>(random());
  const PackedWeights packed(MatrixView<const int8_t>(weights.data(), rows, columns));
  std::vector<int16_t> inputs(tokens * packed.padded_columns());
  for (int16_t& input : inputs) input = static_cast<int16_t>(random() % 256);
  std::vector<int32_t> sums(tokens * packed.padded_rows());
  const size_t repeats = std::max<size_t>(1, 20'000'000 / (rows * columns * tokens));
  std::vector<double> seconds;
  for (int round = 0; round < rounds; ++round) {
    const double begin = ThreadSeconds();
    for (size_t i = 0; i < repeats; ++i) {
      kernels.multiply(
          {packed, inputs.data(), packed.padded_columns(), sums.data(), packed.padded_rows(), tokens, false});
    }
    seconds.push_back((ThreadSeconds() - begin) / static_cast<double>(repeats));
  }
  return Median(seconds);
}

int Main(int argc, char** argv) {
  int rounds = 9;
  CLI::App app("Integer matrix products, one core: 8-bit weights, 16-bit inputs, 32-bit sums");
  app.add_option("--rounds", rounds, "rounds, of which the median counts")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  const double peak_256 = MedianPeakRate(PeakLoop::k256, rounds), peak_512 = MedianPeakRate(PeakLoop::k512, rounds),
               peak_vnni = MedianPeakRate(PeakLoop::kVnni, rounds);
  fmt::print(
      "{}, load {:.1f}; peak in registers of 256 bits {:.1f}, of 512 bits {:.1f}, with VNNI {:.1f} G "
      "multiply-adds/s\n\n",
      Processor(), LoadAverage(), peak_256, peak_512, peak_vnni);
  fmt::print("{:<8} {:>6} {:>8} {:>7} {:>9} {:>8} {:>13}\n", "kernels", "rows", "columns", "tokens", "G madd/s",
             "of peak", "GB/s weights");
  for (const IntegerKernels& kernels : AllIntegerKernels()) {
    const double peak = kernels.name == "AVX3_DL" ? peak_vnni : kernels.name == "AVX3" ? peak_512 : peak_256;
    for (const auto& [rows, columns] : {std::pair<size_t, size_t>{192, 768}, {768, 192}, {1536, 192}, {64, 64}}) {
      for (const size_t tokens : {1, 64, 1024}) {
        const double seconds = TimeProduct(kernels, rows, columns, tokens, rounds);
        const double rate = 1e-9 * static_cast<double>(rows * columns * tokens) / seconds;
        const double traffic = 1e-9 * static_cast<double>(rows * columns) / seconds;
        fmt::print("{:<8} {:>6} {:>8} {:>7} {:>9.1f} {:>7.0f}% {:>13.1f}\n", kernels.name, rows, columns, tokens, rate,
                   peak > 0 ? 100 * rate / peak : 0, traffic);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
