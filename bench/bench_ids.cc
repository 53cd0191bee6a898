// What a token's id costs, under models that a stream could carry it with: as it is, static tables that a pack brings
// along (of the id alone, or given the id before), tables that both ends learn as they go, and general compressors on
// the ids as 16-bit integers. Static tables come from another text than the one that is measured. Bits of the integer
// tables where there are any, else ideal ones; nothing of a frame is counted.
#include <fmt/format.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <bit>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "measuring.h"
#include "prob/static_table.h"
#include "text/tokenizer.h"

namespace sluice {
namespace {

using Ids = std::vector<int32_t>;
constexpr double kPriorCount = 8;  // what an id's own frequency weighs beside that given the id before

Result<Ids> ReadIds(const Tokenizer& tokenizer, const std::vector<std::string>& files, size_t most_bytes = SIZE_MAX) {
  std::string all;
  for (const std::string& file : files) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, uint64_t{1} << 30));
    all += text;
  }
  return tokenizer.Encode(std::string_view(all).substr(0, most_bytes));
}

std::vector<uint64_t> Weights(const std::vector<double>& shares) {
  std::vector<uint64_t> weights;
  for (const double share : shares) weights.push_back(static_cast<uint64_t>(share * (1 << 20)));
  return weights;
}

/// Bits an id under tables of 14 bits from `train`: of the id alone, and given the id before.
std::pair<double, double> StaticBits(const Ids& train, const Ids& text, size_t n) {
  constexpr int kPrecision = 14;
  std::vector<double> alone(n, 0.5);
  std::vector<std::vector<double>> pairs(n, std::vector<double>(n, 0.0));
  for (size_t i = 0; i < train.size(); ++i) {
    ++alone[static_cast<size_t>(train[i])];
    if (i > 0) ++pairs[static_cast<size_t>(train[i - 1])][static_cast<size_t>(train[i])];
  }
  double sum = 0, first = 0, second = 0;
  for (const double count : alone) sum += count;
  const StaticTable own = *StaticTable::ClosedFromWeights(0, Weights(alone), kPrecision);
  std::vector<StaticTable> given;
  for (auto& row : pairs) {
    for (size_t i = 0; i < n; ++i) row[i] += kPriorCount * alone[i] / sum;
    given.push_back(*StaticTable::ClosedFromWeights(0, Weights(row), kPrecision));
  }
  for (size_t i = 0; i < text.size(); ++i) {
    first += double{own.CostBits(text[i])};
    second += double{i == 0 ? own.CostBits(text[i]) : given[static_cast<size_t>(text[i - 1])].CostBits(text[i])};
  }
  const auto count = static_cast<double>(text.size());
  return {first / count, second / count};
}

/// Ideal bits an id of counts that both ends keep: given the id before, leaning on the id alone; forgotten every
/// `window` ids.
double AdaptiveBits(const Ids& text, size_t n, size_t window) {
  double bits = 0;
  std::vector<double> alone, pairs, totals;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i % window == 0) {
      alone.assign(n, 0.5);
      pairs.assign(n * n, 0);
      totals.assign(n, 0);
    }
    const auto id = static_cast<size_t>(text[i]);
    const auto seen = static_cast<double>(i % window);
    const double own = alone[id] / (seen + 0.5 * static_cast<double>(n));
    const size_t before = i % window == 0 ? 0 : static_cast<size_t>(text[i - 1]);
    bits -= std::log2((pairs[before * n + id] + kPriorCount * own) / (totals[before] + kPriorCount));
    ++alone[id];
    ++pairs[before * n + id];
    ++totals[before];
  }
  return bits / static_cast<double>(text.size());
}

double ZstdBits(const Ids& text, int level) {
  Bytes in, out(ZSTD_compressBound(2 * text.size()));
  for (const int32_t id : text) {
    in.push_back(static_cast<uint8_t>(id));
    in.push_back(static_cast<uint8_t>(id >> 8));
  }
  const size_t size = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), level);
  return 8.0 * static_cast<double>(size) / static_cast<double>(text.size());
}

struct Options {
  std::string tokenizer;
  std::vector<std::string> train, text;
  size_t train_bytes = SIZE_MAX;
};

Status Measure(const Options& options) {
  SLUICE_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(options.tokenizer));
  const auto n = static_cast<size_t>(tokenizer->vocab_size());
  SLUICE_ASSIGN_OR_RETURN(const Ids train, ReadIds(*tokenizer, options.train, options.train_bytes));
  SLUICE_ASSIGN_OR_RETURN(const Ids text, ReadIds(*tokenizer, options.text));
  const auto [own, given] = StaticBits(train, text, n);
  fmt::print("{} ids of {}, tables from {}; bits an id\n", text.size(), n, train.size());
  fmt::print("{:<44} {:>7.3f}\n", "as they are", static_cast<double>(std::bit_width(n - 1)));
  fmt::print("{:<44} {:>7.3f}\n", "static tables of the id alone", own);
  fmt::print("{:<44} {:>7.3f}\n", "static tables given the id before", given);
  for (const size_t window : {size_t{256}, size_t{1024}, text.size()}) {
    fmt::print("{:<44} {:>7.3f}\n", fmt::format("adaptive given the id before, {} ids at once", window),
               AdaptiveBits(text, n, window));
  }
  for (const int level : {3, 19}) {
    fmt::print("{:<44} {:>7.3f}\n", fmt::format("zstd -{} on 16-bit ids, all at once", level), ZstdBits(text, level));
  }
  return OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Bits that a token's id costs in a stream.");
  Options options;
  app.add_option("--tokenizer", options.tokenizer, "Folder of a model or of a tokenizer")->required();
  app.add_option("--train", options.train, "Text for the static tables")->required();
  app.add_option("--train-bytes", options.train_bytes, "Only so much of its beginning");
  app.add_option("--text", options.text, "Text to measure")->required();
  CLI11_PARSE(app, argc, argv);
  const Status status = Measure(options);
  if (!status.ok()) fmt::print(stderr, "bench_ids: {}\n", status.ToString());
  return ExitCode(status.code());
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
