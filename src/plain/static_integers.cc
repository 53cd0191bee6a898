// Static tables, sent or known. Sending exact histograms would cost more than they save in a chunk of a few hundred
// tokens, so a histogram is sent as logarithms of its counts in half octaves, which lose about 0.007 bits an element
// (the divergence of a log-uniform error of a quarter octave either way), and those are entropy-coded themselves.
#include "plain/static_integers.h"

#include <fmt/format.h>

#include <cmath>

#include "base/bytes.h"
#include "base/hash.h"
#include "prob/static_table.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"

namespace sluice {
namespace {

constexpr int kPrecision = kDefaultTablePrecision;
constexpr uint64_t kMaxTableEntries = uint64_t{1} << 24;
constexpr uint32_t kMaxCode = 63;
constexpr uint64_t kUnseenWeight = 16;  // a quarter of one occurrence

// What a code says of a count, in 1/64 of an occurrence.
uint64_t WeightOf(uint32_t code) {
  if (code == 0) return kUnseenWeight;
  const uint32_t octave = (code - 1) / 2;
  return uint64_t{code % 2 == 1 ? 64u : 91u} << octave;
}

uint32_t CodeOf(uint64_t count) {
  if (count == 0) return 0;
  return 1 + static_cast<uint32_t>(std::lround(2 * std::log2(static_cast<double>(count))));
}

std::vector<int32_t> Column(MatrixView<const int32_t> y, size_t c) {
  std::vector<int32_t> column(y.rows());
  for (size_t t = 0; t < y.rows(); ++t) column[t] = y.row(t)[c];
  return column;
}

// A channel's histogram as it is sent: codes of the support's values, then the escape's.
struct Histogram {
  int32_t first = 0;
  std::vector<int32_t> codes;

  int32_t count() const { return static_cast<int32_t>(codes.size()) - 1; }

  static Result<Histogram> Of(const std::vector<int32_t>& values) {
    SLUICE_ASSIGN_OR_RETURN(const StaticTable support, StaticTable::Fit(values, kPrecision));
    std::vector<uint64_t> counts(support.count() + 1);
    for (const int32_t value : values) ++counts[support.SymbolOf(value)];
    Histogram histogram{support.first(), {}};
    for (const uint64_t count : counts) histogram.codes.push_back(static_cast<int32_t>(CodeOf(count)));
    return histogram;
  }

  // A channel without escapes has a table without an escape, unless it has one value only: no symbol may own all.
  Result<StaticTable> ToTable() const {
    std::vector<uint64_t> weights;
    for (const int32_t code : codes) weights.push_back(WeightOf(static_cast<uint32_t>(code)));
    const uint64_t escape = weights.back();
    weights.pop_back();
    if (codes.back() == 0 && weights.size() > 1) return StaticTable::ClosedFromWeights(first, weights, kPrecision);
    return StaticTable::FromWeights(first, weights, escape, kPrecision);
  }
};

void WriteTable(const StaticTable& table, ByteWriter& writer) {
  writer.PutVarint(ZigZag(table.first()));
  writer.PutVarint(table.count());
  for (const uint32_t frequency : table.Frequencies()) writer.PutVarint(frequency);
}

Result<StaticTable> ReadTable(ByteReader& reader) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t first, reader.GetVarint());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t count, reader.GetVarint());
  if (UnZigZag(first) != static_cast<int32_t>(UnZigZag(first)) || count >= uint64_t{1} << kPrecision) {
    return Corrupt(fmt::format("static: a table of {} values from {}", count, UnZigZag(first)));
  }
  std::vector<uint32_t> frequencies(count + 1);
  for (uint32_t& frequency : frequencies) {
    SLUICE_ASSIGN_OR_RETURN(const uint64_t read, reader.GetVarint());
    if (read > uint64_t{1} << kPrecision) return Corrupt(fmt::format("static: a frequency of {}", read));
    frequency = static_cast<uint32_t>(read);
  }
  return StaticTable::FromFrequencies(static_cast<int32_t>(UnZigZag(first)), frequencies, false, kPrecision);
}

// Closes the stream: damage shows, and lanes carry it for nothing.
uint32_t SealOf(MatrixView<const int32_t> y) {
  return Checksum32({reinterpret_cast<const uint8_t*>(y.data()), y.size() * sizeof(int32_t)}) % kRansSealLimit;
}

void PushElements(MatrixView<const int32_t> y, const std::vector<StaticTable>& tables, RansEncoder& rans) {
  for (size_t t = 0; t < y.rows(); ++t) {
    for (size_t c = 0; c < y.cols(); ++c) EncodeStatic(tables[c], y.row(t)[c], rans);
  }
}

Matrix<int32_t> PopElements(const std::vector<StaticTable>& tables, size_t tokens, RansDecoder& rans) {
  Matrix<int32_t> y(tokens, tables.size());
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t c = 0; c < tables.size(); ++c) y.row(t)[c] = SaturateToInt32(DecodeStatic(tables[c], rans));
  }
  return y;
}

class StaticIntegers : public IntegerCodec {
 public:
  std::string name() const override { return "static"; }
  std::string packing() const override { return "rANS, a table for each channel in each chunk"; }

  Result<IntegerMessages> Encode(MatrixView<const int32_t> y) override {
    if (y.size() == 0) return InvalidArgument("no integers to encode");
    SLUICE_ASSIGN_OR_RETURN(const std::vector<Histogram> histograms, HistogramsOf(y));
    ByteWriter writer;
    SLUICE_ASSIGN_OR_RETURN(RansEncoder rans, RansEncoder::Create(LanesFor(y.size()), kPrecision));
    SLUICE_RETURN_IF_ERROR(WriteHistograms(histograms, writer, rans));
    std::vector<StaticTable> tables;
    for (const Histogram& histogram : histograms) {
      SLUICE_ASSIGN_OR_RETURN(StaticTable table, histogram.ToTable());
      tables.push_back(std::move(table));
    }
    PushElements(y, tables, rans);
    writer.PutBytes(rans.Finish(SealOf(y)));
    return IntegerMessages{{std::move(writer).Take()}};
  }

  Result<Matrix<int32_t>> Decode(const IntegerMessages& messages, size_t tokens, size_t width) override {
    if (messages.parts.size() != 1) return Corrupt(fmt::format("{} messages, expected 1", messages.parts.size()));
    ByteReader reader(messages.parts[0]);
    SLUICE_ASSIGN_OR_RETURN(const StaticTable firsts, ReadTable(reader));
    SLUICE_ASSIGN_OR_RETURN(const StaticTable counts, ReadTable(reader));
    SLUICE_ASSIGN_OR_RETURN(const StaticTable codes, ReadTable(reader));
    SLUICE_ASSIGN_OR_RETURN(const std::span<const uint8_t> stream, reader.GetBytes(reader.remaining()));
    SLUICE_ASSIGN_OR_RETURN(RansDecoder rans, RansDecoder::Create(stream, LanesFor(tokens * width), kPrecision));
    std::vector<StaticTable> tables;
    uint64_t entries = 0;
    for (size_t c = 0; c < width; ++c) {
      const int64_t first = DecodeStatic(firsts, rans), count = DecodeStatic(counts, rans);
      entries += static_cast<uint64_t>(count);
      if (count < 1 || count >= int64_t{1} << kPrecision || entries > kMaxTableEntries ||
          first != SaturateToInt32(first)) {
        return Corrupt(fmt::format("static: channel {}: {} values from {}", c, count, first));
      }
      Histogram histogram{static_cast<int32_t>(first), std::vector<int32_t>(static_cast<size_t>(count) + 1)};
      for (int32_t& code : histogram.codes) {
        const int64_t read = DecodeStatic(codes, rans);
        if (read < 0 || read > int64_t{kMaxCode}) return Corrupt(fmt::format("static: channel {}: code {}", c, read));
        code = static_cast<int32_t>(read);
      }
      auto table = histogram.ToTable();
      if (!table.ok()) return Corrupt(fmt::format("static: channel {}: {}", c, table.status().message()));
      tables.push_back(std::move(*table));
    }
    Matrix<int32_t> y = PopElements(tables, tokens, rans);
    SLUICE_RETURN_IF_ERROR(rans.Finish(SealOf(y.View())));
    return y;
  }

 private:
  static Result<std::vector<Histogram>> HistogramsOf(MatrixView<const int32_t> y) {
    std::vector<Histogram> histograms;
    uint64_t entries = 0;
    for (size_t c = 0; c < y.cols(); ++c) {
      SLUICE_ASSIGN_OR_RETURN(Histogram histogram, Histogram::Of(Column(y, c)));
      entries += static_cast<uint64_t>(histogram.count());
      histograms.push_back(std::move(histogram));
    }
    if (entries > kMaxTableEntries) {
      return InvalidArgument(fmt::format("static: {} table entries, at most {} are sent", entries, kMaxTableEntries));
    }
    return histograms;
  }

  static Status WriteHistograms(const std::vector<Histogram>& histograms, ByteWriter& writer, RansEncoder& rans) {
    std::vector<int32_t> all_firsts, all_counts, all_codes;
    for (const Histogram& histogram : histograms) {
      all_firsts.push_back(histogram.first);
      all_counts.push_back(histogram.count());
      all_codes.insert(all_codes.end(), histogram.codes.begin(), histogram.codes.end());
    }
    SLUICE_ASSIGN_OR_RETURN(const StaticTable firsts, StaticTable::Fit(all_firsts, kPrecision));
    SLUICE_ASSIGN_OR_RETURN(const StaticTable counts, StaticTable::Fit(all_counts, kPrecision));
    SLUICE_ASSIGN_OR_RETURN(const StaticTable codes, StaticTable::Fit(all_codes, kPrecision));
    for (const StaticTable* table : {&firsts, &counts, &codes}) WriteTable(*table, writer);
    for (const Histogram& histogram : histograms) {
      EncodeStatic(firsts, histogram.first, rans);
      EncodeStatic(counts, histogram.count(), rans);
      for (const int32_t code : histogram.codes) EncodeStatic(codes, code, rans);
    }
    return OkStatus();
  }
};

class FixedStaticIntegers : public IntegerCodec {
 public:
  explicit FixedStaticIntegers(std::vector<StaticTable> tables) : tables_(std::move(tables)) {}

  std::string name() const override { return "static-fixed"; }
  std::string packing() const override { return "rANS, a table for each channel from a sample"; }

  Result<IntegerMessages> Encode(MatrixView<const int32_t> y) override {
    if (y.size() == 0 || y.cols() != tables_.size()) {
      return InvalidArgument(fmt::format("static-fixed: {} tokens of width {}, the tables are for width {}", y.rows(),
                                         y.cols(), tables_.size()));
    }
    SLUICE_ASSIGN_OR_RETURN(RansEncoder rans, RansEncoder::Create(LanesFor(y.size()), kPrecision));
    PushElements(y, tables_, rans);
    return IntegerMessages{{rans.Finish(SealOf(y))}};
  }

  Result<Matrix<int32_t>> Decode(const IntegerMessages& messages, size_t tokens, size_t width) override {
    if (messages.parts.size() != 1) return Corrupt(fmt::format("{} messages, expected 1", messages.parts.size()));
    if (width != tables_.size()) {
      return Mismatch(fmt::format("static-fixed: width {}, the tables are for width {}", width, tables_.size()));
    }
    SLUICE_ASSIGN_OR_RETURN(RansDecoder rans,
                            RansDecoder::Create(messages.parts[0], LanesFor(tokens * width), kPrecision));
    Matrix<int32_t> y = PopElements(tables_, tokens, rans);
    SLUICE_RETURN_IF_ERROR(rans.Finish(SealOf(y.View())));
    return y;
  }

 private:
  std::vector<StaticTable> tables_;
};

}  // namespace

std::unique_ptr<IntegerCodec> MakeStaticIntegers() { return std::make_unique<StaticIntegers>(); }

Result<std::unique_ptr<IntegerCodec>> MakeFixedStaticIntegers(MatrixView<const int32_t> sample) {
  if (sample.size() == 0) return InvalidArgument("static-fixed: no integers in the sample");
  std::vector<StaticTable> tables;
  for (size_t c = 0; c < sample.cols(); ++c) {
    SLUICE_ASSIGN_OR_RETURN(StaticTable table, StaticTable::Fit(Column(sample, c), kPrecision));
    tables.push_back(std::move(table));
  }
  return std::unique_ptr<IntegerCodec>(std::make_unique<FixedStaticIntegers>(std::move(tables)));
}

}  // namespace sluice
