// The entropy coder on one core beside general compressors, on the same symbols in the same run. Every contender takes
// its turn in every round, so that a disturbance of the machine meets all of them; figures are medians over the rounds,
// of the processor time of this thread. Symbols are Gaussian, each with a sigma of its own, log-uniform between the two
// ends of a set and rounded to the tables' grid: the ideal is -log2 of their probability at that sigma. In set C each
// has an integer mean of its own as well, as latents have: our coder is told, and general compressors see the sum.
#include <fmt/format.h>
#include <libdeflate.h>
#include <lz4.h>
#include <zlib.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "codec/gaussian_arrays.h"
#include "codec/token_coder.h"
#include "measuring.h"
#include "rans/rans_layout.h"

namespace sluice {
namespace {

struct SymbolSet {
  std::string name;
  double highest;
  std::vector<int16_t> values;
  std::vector<uint8_t> scales;
  std::vector<int32_t> mean_q4;     // none in sets without means
  std::vector<double> ideal_until;  // bits of the first i symbols

  SymbolSet(std::string set_name, double highest_sigma, double mean_sigma, size_t count)
      : name(std::move(set_name)), highest(highest_sigma) {
    std::mt19937_64 random(20240229);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform;
    ideal_until.push_back(0);
    for (size_t i = 0; i < count; ++i) {
      scales.push_back(
          static_cast<uint8_t>(ScaleIndex(static_cast<float>(0.11 * std::pow(highest / 0.11, uniform(random))))));
      const double sigma = ScaleValue(scales.back());
      const auto residual = static_cast<int16_t>(std::lround(normal(random) * sigma));
      const auto mean = static_cast<int16_t>(mean_sigma > 0 ? std::lround(normal(random) * mean_sigma) : 0);
      values.push_back(static_cast<int16_t>(residual + mean));
      if (mean_sigma > 0) mean_q4.push_back(16 * mean);
      const double v = std::abs(residual), unit = sigma * std::sqrt(2.0);
      ideal_until.push_back(ideal_until.back() -
                            std::log2((std::erfc((v - 0.5) / unit) - std::erfc((v + 0.5) / unit)) / 2));
    }
  }
  double Ideal(size_t begin, size_t count) const { return ideal_until[begin + count] - ideal_until[begin]; }
  GaussianParameters Parameters(size_t begin, size_t count) const {
    return {std::span(scales).subspan(begin, count),
            mean_q4.empty() ? std::span<const int32_t>() : std::span(mean_q4).subspan(begin, count)};
  }
  Bytes AsBytes(size_t count, bool planes) const {
    Bytes bytes(2 * count);
    for (size_t i = 0; i < count; ++i) {
      const auto value = static_cast<uint16_t>(values[i]);
      bytes[planes ? i : 2 * i] = static_cast<uint8_t>(value);
      bytes[planes ? count + i : 2 * i + 1] = static_cast<uint8_t>(value >> 8);
    }
    return bytes;
  }
};

/// Something that encodes `symbols` symbols into its own buffer and back; the buffers are kept between rounds.
struct Contender {
  std::string name;
  size_t symbols;
  double ideal_bits;
  std::function<size_t()> encode;  // the size in bytes
  std::function<bool()> decode;    // whether it went well
  std::function<bool()> same;      // whether all came back; not timed
  std::vector<double> encode_seconds, decode_seconds;
  size_t bytes = 0;

  void Run() {
    const double begin = ThreadSeconds();
    bytes = encode();
    const double middle = ThreadSeconds();
    const bool sound = decode();
    decode_seconds.push_back(ThreadSeconds() - middle);
    encode_seconds.push_back(middle - begin);
    if (!sound || !same()) throw std::runtime_error(name + ": the symbols did not come back");
  }
  double Rate(double seconds) const { return static_cast<double>(symbols) / seconds * 1e-6; }
  double EncodeRate() const { return Rate(Median(encode_seconds)); }
  double DecodeRate() const { return Rate(Median(decode_seconds)); }
  double BestEncodeRate() const { return Rate(*std::min_element(encode_seconds.begin(), encode_seconds.end())); }
  double BestDecodeRate() const { return Rate(*std::min_element(decode_seconds.begin(), decode_seconds.end())); }
  double OverPercent() const { return (8.0 * static_cast<double>(bytes) / ideal_bits - 1) * 100; }
};

/// `count` symbols in chunks of `chunk`, each a stream.
Contender OurContender(const SymbolSet& set, const GaussianArrayTables& tables, const RansKernels& kernels,
                       size_t chunk, size_t count, std::string name) {
  struct Work {
    GaussianArrayEncoder encoder;
    std::vector<Bytes> streams;
    std::vector<int16_t> decoded;
  };
  auto work = std::make_shared<Work>(Work{GaussianArrayEncoder(tables, kernels), {}, std::vector<int16_t>(count)});
  work->streams.resize((count + chunk - 1) / chunk);
  const auto each = [&set, chunk, count](const auto& visit) {
    for (size_t begin = 0; begin < count; begin += chunk) {
      const size_t size = std::min(chunk, count - begin);
      visit(begin, size, set.Parameters(begin, size));
    }
  };
  const int lanes = LanesFor(chunk);
  const auto encode = [=, &set] {
    size_t bytes = 0;
    each([&](size_t begin, size_t size, const GaussianParameters& parameters) {
      Bytes& stream = work->streams[begin / chunk];
      stream.clear();
      (void)work->encoder.Begin(lanes).ok();
      (void)work->encoder.Prepend(std::span(set.values).subspan(begin, size), parameters).ok();
      work->encoder.Finish(stream);
      bytes += stream.size();
    });
    return bytes;
  };
  const auto decode = [=, &set, &tables, &kernels] {
    bool sound = true;
    each([&](size_t begin, size_t size, const GaussianParameters& parameters) {
      auto decoder = GaussianArrayDecoder::Create(tables, work->streams[begin / chunk], lanes, kernels);
      sound = sound && decoder.ok() &&
              decoder->Decode(parameters, std::span(work->decoded).subspan(begin, size)).ok() && decoder->Finish().ok();
    });
    return sound;
  };
  const auto same = [=, &set] { return std::equal(work->decoded.begin(), work->decoded.end(), set.values.begin()); };
  return {std::move(name), count, set.Ideal(0, count), encode, decode, same, {}, {}, 0};
}

/// One of the libraries: given where from, how much, where to and how much room, they return what they wrote.
using Transform = std::function<size_t(const uint8_t*, size_t, uint8_t*, size_t)>;

Contender GeneralContender(const SymbolSet& set, size_t count, bool planes, std::string name, Transform compress,
                           Transform decompress) {
  auto plain = std::make_shared<Bytes>(set.AsBytes(count, planes));
  auto packed = std::make_shared<Bytes>(plain->size() + plain->size() / 8 + 65536);
  auto back = std::make_shared<Bytes>(plain->size());
  auto size = std::make_shared<size_t>(0);
  const auto encode = [=] { return *size = compress(plain->data(), plain->size(), packed->data(), packed->size()); };
  const auto decode = [=] { return decompress(packed->data(), *size, back->data(), back->size()) == plain->size(); };
  const auto same = [=] { return *back == *plain; };
  return {std::move(name), count, set.Ideal(0, count), encode, decode, same, {}, {}, 0};
}

void AddZlib(const SymbolSet& set, size_t count, std::vector<Contender>& all) {
  const auto compress = [](const uint8_t* from, size_t size, uint8_t* to, size_t room) {
    uLongf written = room;
    return compress2(to, &written, from, size, 6) == Z_OK ? size_t{written} : 0;
  };
  const auto decompress = [](const uint8_t* from, size_t size, uint8_t* to, size_t room) {
    uLongf written = room;
    return uncompress(to, &written, from, size) == Z_OK ? size_t{written} : 0;
  };
  all.push_back(GeneralContender(set, count, false, "zlib -6, int16", compress, decompress));
}

void AddLibdeflate(const SymbolSet& set, size_t count, std::vector<Contender>& all) {
  const std::shared_ptr<libdeflate_compressor> compressor(libdeflate_alloc_compressor(6), libdeflate_free_compressor);
  const std::shared_ptr<libdeflate_decompressor> decompressor(libdeflate_alloc_decompressor(),
                                                              libdeflate_free_decompressor);
  const auto compress = [compressor](const uint8_t* from, size_t size, uint8_t* to, size_t room) {
    return libdeflate_deflate_compress(compressor.get(), from, size, to, room);
  };
  const auto decompress = [decompressor](const uint8_t* from, size_t size, uint8_t* to, size_t room) {
    size_t written = 0;
    libdeflate_deflate_decompress(decompressor.get(), from, size, to, room, &written);
    return written;
  };
  all.push_back(GeneralContender(set, count, false, "libdeflate -6, int16", compress, decompress));
}

void AddZstdAndLz4(const SymbolSet& set, size_t count, std::vector<Contender>& all) {
  const std::shared_ptr<ZSTD_CCtx> cctx(ZSTD_createCCtx(), ZSTD_freeCCtx);
  const std::shared_ptr<ZSTD_DCtx> dctx(ZSTD_createDCtx(), ZSTD_freeDCtx);
  const auto compress = [cctx](const uint8_t* from, size_t size, uint8_t* to, size_t room) {
    return ZSTD_compressCCtx(cctx.get(), to, room, from, size, 3);
  };
  const auto decompress = [dctx](const uint8_t* from, size_t size, uint8_t* to, size_t room) {
    return ZSTD_decompressDCtx(dctx.get(), to, room, from, size);
  };
  all.push_back(GeneralContender(set, count, false, "zstd -3, int16", compress, decompress));
  all.push_back(GeneralContender(set, count, true, "zstd -3, byte planes", compress, decompress));
  const auto lz4 = [](const uint8_t* from, size_t size, uint8_t* to, size_t room) {
    return static_cast<size_t>(LZ4_compress_default(reinterpret_cast<const char*>(from), reinterpret_cast<char*>(to),
                                                    static_cast<int>(size), static_cast<int>(room)));
  };
  const auto unlz4 = [](const uint8_t* from, size_t size, uint8_t* to, size_t room) {
    return static_cast<size_t>(LZ4_decompress_safe(reinterpret_cast<const char*>(from), reinterpret_cast<char*>(to),
                                                   static_cast<int>(size), static_cast<int>(room)));
  };
  all.push_back(GeneralContender(set, count, false, "lz4, int16", lz4, unlz4));
}

/// Mean size of the frame of one token, the 8 bits of its first byte included, less the ideal. Bits.
double TokenOverhead(const SymbolSet& set, const GaussianTables& tables, size_t width) {
  const size_t tokens = std::min<size_t>(set.values.size() / width, 1000);
  TokenEncoder encoder = *TokenEncoder::Create(tables.precision());
  size_t bytes = 0;
  for (size_t i = 0; i < tokens * width; ++i) {
    EncodeGaussian(tables, set.values[i], set.mean_q4.empty() ? 0 : set.mean_q4[i], set.scales[i], encoder);
    if (i % width == width - 1) bytes += 1 + encoder.Finish(static_cast<uint32_t>(i)).bytes.size();
  }
  return (8.0 * static_cast<double>(bytes) - set.Ideal(0, tokens * width)) / static_cast<double>(tokens);
}

std::string Machine() { return fmt::format("{}, load {:.1f}", Processor(), LoadAverage()); }

struct Options {
  size_t symbols = size_t{1} << 23;
  int rounds = 7;
  std::string json;
};

/// Runs all contenders in turn and prints and keeps their rows; ratios are to the contender named `base`, if there.
void Compare(const SymbolSet& set, const std::string& title, std::vector<Contender>& all, int rounds,
             const std::string& base, nlohmann::json& out) {
  for (int round = 0; round < rounds; ++round) {
    for (Contender& contender : all) contender.Run();
  }
  const auto found = std::find_if(all.begin(), all.end(), [&](const Contender& c) { return c.name == base; });
  fmt::print("\nset {}, {}\n{:<30} {:>8} {:>8} {:>8} {:>8} {:>12} {:>10} {:>7} {:>7}\n", set.name, title, "coder",
             "encode", "decode", "best enc", "best dec", "bits/symbol", "over ideal", "x enc", "x dec");
  for (const Contender& c : all) {
    const double enc = found == all.end() ? 0 : c.EncodeRate() / found->EncodeRate();
    const double dec = found == all.end() ? 0 : c.DecodeRate() / found->DecodeRate();
    const double bits = 8.0 * static_cast<double>(c.bytes) / static_cast<double>(c.symbols);
    fmt::print("{:<30} {:>8.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>12.4f} {:>9.3f}% {:>7.2f} {:>7.2f}\n", c.name,
               c.EncodeRate(), c.DecodeRate(), c.BestEncodeRate(), c.BestDecodeRate(), bits, c.OverPercent(), enc, dec);
    out["rows"].push_back({{"set", set.name},
                           {"table", title},
                           {"coder", c.name},
                           {"symbols", c.symbols},
                           {"encode_msym_s", c.EncodeRate()},
                           {"decode_msym_s", c.DecodeRate()},
                           {"encode_seconds", c.encode_seconds},
                           {"decode_seconds", c.decode_seconds},
                           {"bytes", c.bytes},
                           {"bits_per_symbol", bits},
                           {"over_ideal_percent", c.OverPercent()},
                           {"encode_ratio", enc},
                           {"decode_ratio", dec}});
  }
}

void MeasureSet(const SymbolSet& set, const Options& options, nlohmann::json& out) {
  const size_t count = set.values.size();
  fmt::print("\nset {}: {} symbols, sigma log-uniform in [0.11, {}], ideal {:.4f} bits a symbol\n", set.name, count,
             set.highest, set.Ideal(0, count) / static_cast<double>(count));
  std::vector<std::unique_ptr<GaussianArrayTables>> tables;
  for (int precision = kMinKernelPrecision; precision <= kMaxKernelPrecision; ++precision) {
    tables.push_back(std::make_unique<GaussianArrayTables>(*GaussianArrayTables::Create(precision)));
  }
  const GaussianArrayTables& usual = *tables[kDefaultTablePrecision - kMinKernelPrecision];
  std::vector<Contender> all;
  for (const RansKernels& kernels : AllRansKernels()) {
    all.push_back(OurContender(set, usual, kernels, count, count, fmt::format("sluice, {}", kernels.name)));
  }
  AddZstdAndLz4(set, count, all);
  AddLibdeflate(set, count / 8, all);
  AddZlib(set, count / 16, all);
  Compare(set, "one stream, 12 bits", all, options.rounds, "zstd -3, int16", out);

  all.clear();
  for (const auto& table : tables) {
    all.push_back(OurContender(set, *table, BestRansKernels(), count, count,
                               fmt::format("sluice, {}, {} bits", BestRansKernels().name, table->precision())));
  }
  Compare(set, "precisions", all, options.rounds, "", out);

  all.clear();
  constexpr size_t kWidth = 768;
  for (const size_t tokens : {1, 4, 16, 64, 256, 1024}) {
    const size_t chunk = tokens * kWidth, whole = std::max(count / 4 / chunk, size_t{1}) * chunk;
    all.push_back(OurContender(set, usual, BestRansKernels(), chunk, std::min(whole, count),
                               fmt::format("{} tokens of 768, {} lanes", tokens, LanesFor(chunk))));
  }
  Compare(set, "chunks", all, options.rounds, "", out);
  const double overhead = TokenOverhead(set, usual.tables(), kWidth);
  fmt::print("a token frame of 768 symbols: {:.2f} bits over the ideal, its first byte included\n", overhead);
  out["token_frame_overhead_bits"][set.name] = overhead;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Entropy coder against general compressors, one core");
  app.add_option("--symbols", options.symbols, "symbols of each set")->check(CLI::Range(1 << 14, 1 << 28));
  app.add_option("--rounds", options.rounds, "rounds, of which the median counts")->check(CLI::Range(1, 1000));
  app.add_option("--json", options.json, "also write everything to this file");
  CLI11_PARSE(app, argc, argv);
  nlohmann::json out;
  out["machine"] = Machine();
  out["rounds"] = options.rounds;
  fmt::print("{}; millions of symbols a second, medians of {} rounds\n", Machine(), options.rounds);
  for (const auto& [name, highest, mean] : {std::tuple{"A", 16.0, 0.0}, {"B", 1.0, 0.0}, {"C", 16.0, 32.0}}) {
    MeasureSet(SymbolSet(name, highest, mean, options.symbols), options, out);
  }
  if (!options.json.empty()) std::ofstream(options.json) << out.dump(1) << "\n";
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
