#ifndef SLUICE_NETS_CONTEXT_SAMPLE_H_
#define SLUICE_NETS_CONTEXT_SAMPLE_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "format/pack.h"
#include "format/stream.h"
#include "nets/context_weights.h"

namespace sluice {

/// Numbers that are the same everywhere: no library's generator takes part.
class SampleNumbers {
 public:
  explicit SampleNumbers(uint64_t seed) : state_(seed * 2 + 1) {}
  uint32_t Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }
  /// In [-most, most].
  int32_t Within(int32_t most) { return static_cast<int32_t>(Next() % static_cast<uint32_t>(2 * most + 1)) - most; }
  /// Roughly Gaussian, deviation `sixteenths` / 16.
  int32_t Bell(int32_t sixteenths) {
    int64_t sum = -6 * 65536;
    for (int i = 0; i < 12; ++i) sum += Next() >> 16;
    return static_cast<int32_t>((sum * sixteenths + (int64_t{1} << 19)) >> 20);
  }
  float Float() { return static_cast<float>(Within(1 << 20)) / (1 << 20); }

 private:
  uint64_t state_;
};

/// A pack of codec "context" that nobody trained, for tests and benchmarks: deviations fall from `largest` / 16 to
/// `smallest` / 16 over the channels, means and scales vary with what was decoded before.
struct ContextSample {
  ContextShape shape;
  size_t block = 0;  ///< width of the transform's blocks; 0: one dense block
  int32_t largest = 64, smallest = 5;
  size_t class_width = 8;
  size_t class_groups = 0;  ///< 0: classes are coded whole
  uint8_t precision = 14;
  size_t named_points = 1;  ///< how many of the points the pack names
  bool id_tables = true;    ///< of classes always; of token ids where a stream carries them
  bool old_shape = true;    ///< six fields: all hidden units predict scales, nothing is direct

  /// Deviation of a channel's latents, in 1/16.
  int32_t Deviation(size_t channel) const {
    return largest - static_cast<int32_t>(static_cast<size_t>(largest - smallest) * channel / shape.width);
  }
  std::vector<uint8_t> Make() const;
};

inline std::vector<uint8_t> ContextSample::Make() const {
  SampleNumbers random(3);
  const size_t d = shape.width, m = shape.hidden, rows = shape.ids + 1, wide = block > 0 ? block : d;
  const bool named = shape.names != TokenNames::kNone;
  PackWriter pack({.codec = "context",
                   .flags = static_cast<uint16_t>(shape.names == TokenNames::kTokens ? kSideTokens : 0),
                   .width = static_cast<uint32_t>(d),
                   .cut = 1,
                   .precision_bits = precision});
  const auto ints = [&](const char* name, std::vector<uint64_t> size, auto next) {
    ByteWriter bytes;
    uint64_t count = 1;
    for (const uint64_t n : size) count *= n;
    for (uint64_t i = 0; i < count; ++i) bytes.Put(next(i));
    const DType type = sizeof(next(0)) == 1                       ? DType::kI8
                       : std::is_same_v<decltype(next(0)), float> ? DType::kF32
                                                                  : DType::kI32;
    pack.AddTensor({name, type, std::move(size), bytes.bytes()});
  };
  const auto weights = [&](int32_t most) {
    return [&random, most](uint64_t) { return static_cast<int8_t>(random.Within(most)); };
  };
  const auto constant = [](int32_t value) { return [value](uint64_t) { return value; }; };
  const auto bias = [&](int32_t most) { return [&random, most](uint64_t) { return random.Within(most); }; };
  const size_t units = old_shape ? m : shape.scale_units;
  const int32_t fields[] = {static_cast<int32_t>(m),
                            static_cast<int32_t>(shape.groups),
                            static_cast<int32_t>(shape.points),
                            static_cast<int32_t>(shape.names),
                            static_cast<int32_t>(shape.ids),
                            shape.pair_bits,
                            static_cast<int32_t>(shape.direct),
                            shape.latents ? 1 : 0,
                            static_cast<int32_t>(units)};
  ints("shape", {old_shape ? 6u : 9u}, [&](uint64_t i) { return fields[i]; });
  if (shape.latents) {
    ints("input.weights", {m, d}, weights(40));
    ints("input.shifts", {m}, constant(10));
  }
  ints("past.weights", {m, 2 * m}, weights(40));
  ints("past.shifts", {m}, constant(10));
  ints("output.weights", {2 * d, m}, [&](uint64_t i) {
    const auto weight = static_cast<int8_t>(random.Within(60));
    return i / m < d || i % m < units ? weight : int8_t{0};
  });
  ints("output.shifts", {2 * d}, constant(m < 40 ? 10 : 13));
  ints("base_bias", {m}, bias(3000));
  ints("feature_bias", {m}, bias(3000));
  ints("point_bias", {shape.points, m}, bias(500));
  // ln(deviation) in units of 2^-10, with ln 2 = 710 / 1024 between powers of two.
  ints("output_bias", {2 * d}, [&](uint64_t i) {
    if (i < d) return random.Within(1000);
    int32_t value = -4 * 710;
    for (int32_t s = Deviation(i - d); s > 1; s /= 2) value += 710;
    return value;
  });
  ints("channel_exponent", {d}, constant(0));
  if (named) {
    for (const char* name : {"now", "previous", "before", "feature_now", "feature_previous"}) {
      ints((std::string("table.") + name).c_str(), {rows, m}, weights(30));
    }
    if (shape.pair_bits > 0) ints("table.pair", {uint64_t{1} << shape.pair_bits, m}, weights(20));
    if (shape.direct > 0) ints("table.direct_now", {rows, 2 * d}, weights(12));
    if (shape.direct > 1) ints("table.direct_previous", {rows, 2 * d}, weights(8));
  }
  const auto floats = [&](float offset, float factor) {
    return [&random, offset, factor](uint64_t) { return offset + factor * random.Float(); };
  };
  // Rotations by a quarter in pairs of channels: orthonormal, and no library has a say.
  const auto axes = [wide](uint64_t i) {
    const uint64_t row = i / wide % wide, column = i % wide;
    if (row == column) return row % 2 == 0 && row + 1 == wide ? 1.0f : 0.6f;
    return row / 2 == column / 2 ? (row % 2 == 0 ? 0.8f : -0.8f) : 0.0f;
  };
  ints("offset", {d}, floats(0, 0.5f));
  ints("axes", {d / wide, wide, wide}, axes);
  ints("inverse", {d / wide, wide, wide},
       [&](uint64_t i) { return axes(i / (wide * wide) * wide * wide + i % wide * wide + i / wide % wide); });
  ints("gain", {d}, floats(4, 1));
  ints("centroid", {d}, floats(0.5f, 0.5f));
  // As trained codecs have them: by falling deviation over all blocks, but for networks that see no latents.
  const size_t blocks = d / wide;
  ints("order", {d}, [&](uint64_t i) {
    if (blocks > 1 && shape.latents) return static_cast<int32_t>(i % blocks * wide + i / blocks);
    return static_cast<int32_t>(i ^ (i % 2 == 0 && i + 1 == d ? 0 : 1));
  });
  if (shape.names == TokenNames::kClasses) {
    const size_t r = std::min(d, class_width);
    ints("class_axes", {r, d}, floats(0, 1));
    ints("class_means", {shape.ids, r}, floats(0, 2));
  }
  if (shape.names == TokenNames::kClasses || (shape.names == TokenNames::kTokens && id_tables)) {
    // Tables of so many symbols, each with one that is more likely.
    const auto tables = [&](size_t count, size_t symbols) {
      const auto total = uint32_t{1} << precision, one = static_cast<uint32_t>(total / symbols);
      std::vector<PackTable> made;
      for (size_t t = 0; t < count; ++t) {
        std::vector<uint32_t> frequencies(symbols, one);
        frequencies[t % symbols] += total - one * static_cast<uint32_t>(symbols);
        made.push_back({0, true, std::move(frequencies)});
      }
      return made;
    };
    pack.AddTables(shape.names == TokenNames::kClasses ? "classes" : "ids",
                   tables(rows, class_groups > 0 ? class_groups : shape.ids));
    if (class_groups > 0) {
      std::vector<PackTable> places;
      const auto size = [&](uint64_t g) {
        return static_cast<int32_t>(shape.ids * (g + 1) / class_groups - shape.ids * g / class_groups);
      };
      for (size_t g = 0; g < class_groups; ++g) {
        const auto of_group = tables(class_groups + 1, static_cast<size_t>(size(g)));
        places.insert(places.end(), of_group.begin(), of_group.end());
      }
      ints("class_sizes", {class_groups}, size);
      pack.AddTables("class_places", std::move(places));
    }
  }
  std::vector<OperatingPoint> points;
  for (size_t p = 0; p < named_points; ++p) points.push_back({"p" + std::to_string(p), 0, 0});
  pack.SetOperatingPoints(std::move(points));
  return *pack.Serialize();
}

}  // namespace sluice

#endif  // SLUICE_NETS_CONTEXT_SAMPLE_H_
