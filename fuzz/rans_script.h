#ifndef SLUICE_FUZZ_RANS_SCRIPT_H_
#define SLUICE_FUZZ_RANS_SCRIPT_H_

#include <cstdint>
#include <optional>

#include "fuzz_input.h"
#include "prob/gaussian_tables.h"
#include "prob/static_table.h"

namespace sluice {

/// Gaussian tables of a precision, made once.
const GaussianTables& FuzzGaussians(int precision);

/// Which elements a damaged rANS stream is asked for, read from the front of an input: lanes, precision, weights of a
/// table, a seal, how many elements of which kinds.
class RansScript {
 public:
  explicit RansScript(FuzzInput& input);

  int lanes;  ///< 0 to 65: two of them are out of range
  int precision;
  uint32_t seal;
  uint32_t count;

  /// What element `index` may be given for some drawn value: a value that its table can hold.
  int64_t Fit(uint32_t index, int64_t drawn) const {
    return KindOf(index) == Kind::kBits ? drawn & ((int64_t{1} << BitsOf(index)) - 1) : drawn;
  }

  template <IntervalSource Source>
  int64_t Decode(uint32_t index, Source& source) const {
    switch (KindOf(index)) {
      case Kind::kBits:
        return source.PopBits(BitsOf(index));
      case Kind::kGaussian:
        return DecodeGaussian(FuzzGaussians(precision), MeanOf(index), ScaleOf(index), source);
      default:
        return DecodeStatic(*table_, source);
    }
  }
  template <IntervalSink Sink>
  void Encode(uint32_t index, int64_t value, Sink& sink) const {
    switch (KindOf(index)) {
      case Kind::kBits:
        return sink.PushBits(static_cast<uint32_t>(value), BitsOf(index));
      case Kind::kGaussian:
        return EncodeGaussian(FuzzGaussians(precision), static_cast<int32_t>(value), MeanOf(index), ScaleOf(index),
                              sink);
      default:
        return EncodeStatic(*table_, value, sink);
    }
  }

 private:
  enum class Kind : uint8_t { kBits, kGaussian, kStatic };

  Kind KindOf(uint32_t index) const {
    const int kind = kinds_ >> (2 * (index % 4)) & 3;
    return kind == 0 ? Kind::kBits : kind == 1 ? Kind::kGaussian : Kind::kStatic;
  }
  static int BitsOf(uint32_t index) { return static_cast<int>(index % 33); }
  static int ScaleOf(uint32_t index) { return static_cast<int>(index % kScaleCodes); }
  static int32_t MeanOf(uint32_t index) { return static_cast<int32_t>(index * 2654435761u) >> 20; }

  std::optional<StaticTable> table_;
  uint8_t kinds_;
};

}  // namespace sluice

#endif  // SLUICE_FUZZ_RANS_SCRIPT_H_
