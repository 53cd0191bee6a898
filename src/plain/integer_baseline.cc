// The rivals on the learned codec's own integers, sized and timed together, so that a table has them from one run on
// the same data. A time is that of a round trip that was checked, and the least of its repeats, since other programs
// can only add to it.
#include "plain/integer_baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "plain/static_integers.h"

namespace sluice {
namespace {

constexpr GeneralCompressor kGenerals[] = {{Compressor::kDeflate, 6}, {Compressor::kLibdeflate, 6},
                                           {Compressor::kZstd, 1},    {Compressor::kZstd, 3},
                                           {Compressor::kZstd, 19},   {Compressor::kLz4, 1}};

}  // namespace

Result<std::array<std::unique_ptr<IntegerCodec>, 2>> MakeBothPackings(const GeneralCompressor& general) {
  SLUICE_ASSIGN_OR_RETURN(auto paper, MakePaperPackingCodec(general.compressor, general.level));
  SLUICE_ASSIGN_OR_RETURN(auto best, MakeBestPackingCodec(general.compressor, general.level));
  return std::array{std::move(paper), std::move(best)};
}

Result<RoundTrip> TimeRoundTrip(IntegerCodec& codec, MatrixView<const int32_t> y) {
  const auto start = Clock::now();
  SLUICE_ASSIGN_OR_RETURN(const IntegerMessages messages, codec.Encode(y));
  const double encode = SecondsSince(start);
  const auto middle = Clock::now();
  SLUICE_ASSIGN_OR_RETURN(const Matrix<int32_t> back, codec.Decode(messages, y.rows(), y.cols()));
  const double decode = SecondsSince(middle);
  if (!std::equal(y.all().begin(), y.all().end(), back.data())) {
    return Internal(fmt::format("{} ({}) did not give the integers back", codec.name(), codec.packing()));
  }
  return RoundTrip{messages.bytes(), encode, decode};
}

Result<IntegerBaselines> IntegerBaselines::Create(MatrixView<const int32_t> sample, int repeats) {
  if (repeats < 1) return InvalidArgument(fmt::format("{} repeats of a measurement, expected at least 1", repeats));
  IntegerBaselines baselines(repeats);
  for (const GeneralCompressor& general : kGenerals) {
    SLUICE_ASSIGN_OR_RETURN(auto packings, MakeBothPackings(general));
    baselines.AddCodec(std::move(packings[0]), true);
    baselines.AddCodec(std::move(packings[1]), false);
  }
  baselines.AddCodec(MakeStaticIntegers(), false);
  if (sample.size() > 0) {
    SLUICE_ASSIGN_OR_RETURN(auto fixed, MakeFixedStaticIntegers(sample));
    baselines.AddCodec(std::move(fixed), false);
  }
  return baselines;
}

void IntegerBaselines::AddCodec(std::unique_ptr<IntegerCodec> codec, bool paper_packing) {
  measures_.push_back({.method = codec->name(), .packing = codec->packing(), .paper_packing = paper_packing});
  codecs_.push_back(std::move(codec));
}

Status IntegerBaselines::Add(MatrixView<const int32_t> y) {
  for (size_t i = 0; i < codecs_.size(); ++i) {
    IntegerCodec& codec = *codecs_[i];
    SLUICE_RETURN_IF_ERROR(codec.Prepare(y));
    double encode = std::numeric_limits<double>::infinity(), decode = encode;
    uint64_t bytes = 0;
    for (int repeat = 0; repeat < repeats_; ++repeat) {
      SLUICE_ASSIGN_OR_RETURN(const RoundTrip trip, TimeRoundTrip(codec, y));
      encode = std::min(encode, trip.encode_seconds);
      decode = std::min(decode, trip.decode_seconds);
      bytes = trip.bytes;
    }
    IntegerMeasure& measure = measures_[i];
    measure.packing = codec.packing();
    measure.bytes += bytes;
    measure.encode_seconds += encode;
    measure.decode_seconds += decode;
  }
  elements_ += y.size();
  tokens_ += y.rows();
  return OkStatus();
}

Result<uint64_t> PaperPackingBytes(Compressor compressor, int level, MatrixView<const int32_t> y) {
  SLUICE_ASSIGN_OR_RETURN(const auto codec, MakePaperPackingCodec(compressor, level));
  if (y.size() == 0) return uint64_t{0};
  SLUICE_ASSIGN_OR_RETURN(const IntegerMessages messages, codec->Encode(y));
  return messages.bytes();
}

Result<BestPacking> BestPackingBytes(Compressor compressor, int level, MatrixView<const int32_t> y) {
  SLUICE_ASSIGN_OR_RETURN(const auto codec, MakeBestPackingCodec(compressor, level));
  SLUICE_ASSIGN_OR_RETURN(const IntegerMessages messages, codec->Encode(y));
  return BestPacking{messages.bytes(), codec->packing()};
}

}  // namespace sluice
