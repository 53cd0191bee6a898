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

/// Billions of 16-bit multiply-adds a second in registers; 0 where there is no such loop.
double PeakRate() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) return 0;
  constexpr int kRounds = 1'000'000, kProducts = 12, kWidth = 16;
  const double begin = ThreadSeconds();
  for (int i = 0; i < kRounds; ++i) {
    // Twelve sums, so that none waits for its own last addition.
    asm volatile(
#define SLUICE_STEP(sum, product) \
  "vpmaddwd %%ymm14, %%ymm15, %%ymm" product "\n\tvpaddd %%ymm" product ", %%ymm" sum ", %%ymm" sum "\n\t"
        SLUICE_STEP("0", "12") SLUICE_STEP("1", "13") SLUICE_STEP("2", "12") SLUICE_STEP("3", "13")
            SLUICE_STEP("4", "12") SLUICE_STEP("5", "13") SLUICE_STEP("6", "12") SLUICE_STEP("7", "13")
                SLUICE_STEP("8", "12") SLUICE_STEP("9", "13") SLUICE_STEP("10", "12") SLUICE_STEP("11", "13")
#undef SLUICE_STEP
                    ::
                        : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  }
  return 1e-9 * kRounds * kProducts * kWidth / (ThreadSeconds() - begin);
#else
  return 0;
#endif
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
  std::vector<double> peaks;
  for (int i = 0; i < rounds; ++i) peaks.push_back(PeakRate());
  const double peak = Median(peaks);
  fmt::print(
      "{}, load {:.1f}; peak in registers {:.1f} G multiply-adds/s\n\n{:<8} {:>6} {:>8} {:>7} {:>9} {:>8} {:>13}\n",
      Processor(), LoadAverage(), peak, "kernels", "rows", "columns", "tokens", "G madd/s", "of peak", "GB/s weights");
  for (const IntegerKernels& kernels : AllIntegerKernels()) {
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
