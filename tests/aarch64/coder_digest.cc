// Encodes and decodes pseudo-random arrays with every kernel of this machine, and activation archives of every type and
// fidelity, and prints a digest of all bytes and integers. The digest must be the same on every architecture; what
// differs, the kernels' names, goes to stderr. No library's random numbers take part.
#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "codec/activation_coder.h"
#include "codec/gaussian_arrays.h"
#include "rans/rans_layout.h"

namespace sluice {
namespace {

class Random {
 public:
  uint32_t Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }
  /// Roughly Gaussian around zero with a standard deviation of 1/16 * `scale_q4`.
  int32_t Bell(uint64_t scale_q4) {
    int64_t sum = 0;
    for (int i = 0; i < 12; ++i) sum += Next() >> 16;
    const int64_t centered = sum - 6 * 65536;  // deviation 65536
    return static_cast<int32_t>(centered * static_cast<int64_t>(scale_q4) / (65536 * 16));
  }

 private:
  uint64_t state_ = 1;
};

class Digest {
 public:
  void Add(const void* from, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    for (size_t i = 0; i < size; ++i) hash_ = (hash_ ^ bytes[i]) * 1099511628211u;
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 14695981039346656037u;
};

struct Source {
  std::vector<int32_t> values;
  std::vector<uint8_t> scales;
  std::vector<int32_t> mean_q4;
};

Source MakeSource(size_t count, int codes, bool means, Random& random) {
  Source source;
  for (size_t i = 0; i < count; ++i) {
    source.scales.push_back(static_cast<uint8_t>(random.Next() % static_cast<uint32_t>(codes)));
    const int32_t mean = means ? static_cast<int32_t>(random.Next() % 6000) - 3000 : 0;
    if (means) source.mean_q4.push_back(mean);
    const bool outlier = random.Next() % 200 == 0;
    source.values.push_back(outlier ? static_cast<int32_t>(random.Next())
                                    : random.Bell(ScaleQ32(source.scales.back()) >> 28) + (mean >> 4));
  }
  return source;
}

/// Whether `kernels` brought the values back; adds bytes and values to the digest.
bool RoundTrips(const GaussianArrayTables& tables, const RansKernels& kernels, const Source& source, int lanes,
                Digest& digest) {
  GaussianArrayEncoder encoder(tables, kernels);
  const GaussianParameters parameters{source.scales, source.mean_q4};
  std::vector<uint8_t> bytes;
  if (!encoder.Begin(lanes, 99).ok() || !encoder.Prepend(source.values, parameters).ok()) return false;
  encoder.Finish(bytes);
  Result<GaussianArrayDecoder> decoder = GaussianArrayDecoder::Create(tables, bytes, lanes, kernels);
  std::vector<int32_t> values(source.values.size());
  if (!decoder.ok() || !decoder->Decode(parameters, std::span(values)).ok() || !decoder->Finish(99).ok()) return false;
  digest.Add(bytes.data(), bytes.size());
  digest.Add(values.data(), values.size() * sizeof(int32_t));
  return values == source.values;
}

/// Rows that resemble earlier ones, with channels of different spread, zeros and a few odd values, as float bits.
std::vector<float> Activations(size_t tokens, size_t width, Random& random) {
  std::vector<float> values(tokens * width);
  for (size_t t = 0; t < tokens; ++t) {
    const size_t earlier = t < 4 || random.Next() % 3 == 0 ? t : random.Next() % t;
    for (size_t c = 0; c < width; ++c) {
      const auto drawn = static_cast<float>(random.Bell(16 * (200 << c % 5))) / 4096;
      const float base = earlier == t ? static_cast<float>(c % 3) : values[earlier * width + c];
      values[t * width + c] = random.Next() % 50 == 0 ? 0 : base + drawn / (earlier == t ? 1 : 8);
    }
  }
  values[3] = std::bit_cast<float>(0x7FC00001u);
  values[5] = -std::bit_cast<float>(0x00000003u);
  return values;
}

/// Whether archives of all types and fidelities could be made and read; adds their bytes to the digest.
bool ArchivesRoundTrip(Digest& digest) {
  constexpr size_t kTokens = 600, kWidth = 24;
  constexpr std::array<FidelitySpec, 4> kFidelities = {
      {{Fidelity::kLossless, 0}, {Fidelity::kAbsolute, 0.01}, {Fidelity::kRelative, 0.01}, {Fidelity::kBits, 4}}};
  Random random;
  const std::vector<float> values = Activations(kTokens, kWidth, random);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBf16}) {
    const Result<std::vector<uint8_t>> bytes = FromFloats(values, dtype);
    if (!bytes.ok()) return false;
    for (const FidelitySpec& fidelity : kFidelities) {
      const auto packed = EncodeActivations(*bytes, dtype, kTokens, kWidth, fidelity);
      if (!packed.ok()) return false;
      const auto back = DecodeActivations(*packed, dtype, kTokens, kWidth, fidelity);
      if (!back.ok() || (fidelity.kind == Fidelity::kLossless && *back != *bytes)) return false;
      digest.Add(packed->data(), packed->size());
      digest.Add(back->data(), back->size());
    }
  }
  return true;
}

int Main() {
  Digest archives;
  if (!ArchivesRoundTrip(archives)) {
    std::printf("an archive did not come back\n");
    return 1;
  }
  Digest all;
  for (const RansKernels& kernels : AllRansKernels()) {
    Random random;
    Digest digest;
    for (int precision = kMinKernelPrecision; precision <= kMaxKernelPrecision; ++precision) {
      for (const int offsets : {1, 8}) {
        const GaussianArrayTables tables = *GaussianArrayTables::Create(precision, offsets);
        for (const int lanes : {1, 4, 8, 31, 32, 64}) {
          const Source source = MakeSource(5000, lanes == 8 ? kScaleCodes : kGaussianScales, lanes != 32, random);
          if (!RoundTrips(tables, kernels, source, lanes, digest)) {
            std::printf("%s: the values did not come back\n", std::string(kernels.name).c_str());
            return 1;
          }
        }
      }
    }
    std::fprintf(stderr, "%s %016llx\n", std::string(kernels.name).c_str(),
                 static_cast<unsigned long long>(digest.value()));
    if (kernels.name == PlainRansKernels().name) all = digest;
    if (digest.value() != all.value()) {
      std::printf("%s differs from plain code\n", std::string(kernels.name).c_str());
      return 1;
    }
  }
  std::printf("%016llx %016llx\n", static_cast<unsigned long long>(all.value()),
              static_cast<unsigned long long>(archives.value()));
  return 0;
}

}  // namespace
}  // namespace sluice

int main() { return sluice::Main(); }
