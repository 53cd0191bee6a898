// Codec "context" on integers that are the same everywhere: for networks of the sizes of both presets, in either
// version of the shape, and for token ids that the frames carry, a digest of all bytes of its frames and of the
// integers decoded from them, with frames of one row and of 64. Every kernel of this machine, beside the last of the
// other kind, must give one digest, the last two alone as well as in two threads at once. No library's random numbers
// take part.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "codec/context_frames.h"
#include "nets/context_sample.h"

namespace sluice {
namespace {

constexpr size_t kWidth = 768;

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

struct SampleFrame {
  uint32_t rows;
  int point;
  ContextIntegers sent;
};

std::vector<SampleFrame> SampleFrames(const ContextSample& sample, size_t elements) {
  SampleNumbers random(21);
  std::vector<SampleFrame> frames;
  for (size_t done = 0; done < elements;) {
    const size_t index = frames.size();
    const uint32_t rows = index % 2 == 0 ? 1 : 64, tokens = rows == 1 ? 65 : 64;
    SampleFrame frame{rows, static_cast<int>(index % sample.shape.points), {}};
    for (size_t t = 0; t < tokens; ++t) {
      frame.sent.classes.push_back(static_cast<int32_t>(random.Next() % sample.shape.ids));
      for (size_t j = 0; j < kWidth; ++j) {
        const bool outlier = random.Next() % 500 == 0;
        frame.sent.latents.push_back(outlier ? random.Within(1 << 20) : random.Bell(sample.Deviation(j)));
      }
    }
    done += tokens * kWidth;
    frames.push_back(std::move(frame));
  }
  return frames;
}

// 0 when something does not come back.
uint64_t Run(const std::vector<SampleFrame>& frames, const ContextParts& parts, const IntegerKernels& integers,
             const RansKernels& rans) {
  Digest digest;
  ContextEnd encoder(parts, integers, rans), decoder(parts, integers, rans);
  std::vector<uint8_t> payload;
  for (const auto& [rows, point, sent] : frames) {
    ContextIntegers got;
    if (!encoder.BeginFrame(rows, true).ok() || !encoder.EncodeChunk(sent, point, payload).ok()) return 0;
    got.classes.resize(sent.classes.size());
    got.latents.resize(sent.latents.size());
    if (!decoder.BeginFrame(rows, true).ok() || !decoder.DecodeChunk(payload, got).ok()) return 0;
    if (got.latents != sent.latents || got.classes != sent.classes) return 0;
    digest.Add(payload.data(), payload.size());
    digest.Add(got.latents.data(), got.latents.size() * sizeof(int32_t));
  }
  return digest.value();
}

// Packs whose shape has six fields: `names` are classes, or token ids that the frames carry, with a table of pairs.
ContextSample SixFields(size_t hidden, TokenNames names) {
  ContextSample sample;
  sample.shape = {.width = kWidth,
                  .hidden = hidden,
                  .groups = 4,
                  .points = 6,
                  .names = names,
                  .ids = 32,
                  .pair_bits = names == TokenNames::kTokens ? 6 : 0};
  sample.block = 64;
  sample.precision = 12;
  return sample;
}

// As the presets are now: classes in groups, with direct rows.
ContextSample Direct(size_t hidden, bool latents) {
  ContextSample sample = SixFields(hidden, TokenNames::kClasses);
  sample.old_shape = false;
  sample.shape.groups = latents ? 4 : 1;
  sample.shape.latents = latents;
  sample.shape.pair_bits = 6;
  sample.shape.direct = 2;
  sample.shape.scale_units = 16;
  sample.class_groups = 6;
  return sample;
}

struct Kernels {
  const IntegerKernels& integers;
  const RansKernels& rans;
};

// Every kernel with the last of the other kind, and those two with each other once.
std::vector<Kernels> KernelsToCompare() {
  std::vector<Kernels> all;
  const auto integers = AllIntegerKernels();
  for (const IntegerKernels& one : integers.first(integers.size() - 1)) all.push_back({one, AllRansKernels().back()});
  for (const RansKernels& rans : AllRansKernels()) all.push_back({integers.back(), rans});
  return all;
}

bool Print(const char* name, const ContextSample& sample, size_t elements) {
  const auto bytes = sample.Make();
  const ContextParts parts = *ContextParts::FromPack(*Pack::FromBytes(bytes));
  const std::vector<SampleFrame> frames = SampleFrames(sample, elements);
  const std::vector<Kernels> kernels = KernelsToCompare();
  const auto run = [&](const Kernels& with) { return Run(frames, parts, with.integers, with.rans); };
  const uint64_t alone = run(kernels.back());
  for (size_t i = 0; i < kernels.size(); i += 2) {
    const Kernels &one = kernels[i], &other = kernels[std::min(i + 1, kernels.size() - 1)];
    uint64_t digests[2] = {};
    std::thread second([&] { digests[1] = run(other); });
    digests[0] = run(one);
    second.join();
    std::fprintf(stderr, "%s: %s, %s: %016" PRIx64 "; %s, %s: %016" PRIx64 "\n", name,
                 std::string(one.integers.name).c_str(), std::string(one.rans.name).c_str(), digests[0],
                 std::string(other.integers.name).c_str(), std::string(other.rans.name).c_str(), digests[1]);
    if (alone == 0 || digests[0] != alone || digests[1] != alone) {
      std::printf("%s: kernels or threads differ, or integers did not come back\n", name);
      return false;
    }
  }
  std::printf("%s %zu %016" PRIx64 "\n", name, elements, alone);
  return true;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  const size_t elements = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100'000;
  using sluice::TokenNames;
  const bool same = sluice::Print("sluice", sluice::SixFields(160, TokenNames::kClasses), elements) &&
                    sluice::Print("fast", sluice::SixFields(64, TokenNames::kClasses), elements) &&
                    sluice::Print("sluice-ids", sluice::SixFields(160, TokenNames::kTokens), elements) &&
                    sluice::Print("sluice-direct", sluice::Direct(160, true), elements) &&
                    sluice::Print("fast-direct", sluice::Direct(48, false), elements);
  return same ? 0 : 1;
}
