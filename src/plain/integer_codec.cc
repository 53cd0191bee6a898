// General compressors on the same integers that the learned codec sends. The paper hands them 32-bit records one token
// at a time, which costs them dearly; the best packing is what a fair user would do, and both are reported. Planes of
// zigzag numbers are among the candidates because the high bytes of two's complement are noise around zero.
#include "plain/integer_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/bytes.h"

namespace sluice {
namespace {

enum class Layout : uint8_t { kWhole, kPlanes, kZigZagPlanes };

struct Packing {
  size_t width;  // bytes of an element: 1, 2 or 4
  bool channel_major;
  Layout layout;
};

constexpr std::array<size_t, 3> kWidths = {1, 2, 4};
constexpr int kLayouts = 3;

uint8_t IdOf(const Packing& packing) {
  const auto width = static_cast<int>(std::find(kWidths.begin(), kWidths.end(), packing.width) - kWidths.begin());
  return static_cast<uint8_t>((width * 2 + packing.channel_major) * kLayouts + static_cast<int>(packing.layout));
}

std::optional<Packing> PackingOf(uint8_t id) {
  const size_t width = id / (2 * kLayouts);
  if (width >= kWidths.size()) return std::nullopt;
  return Packing{kWidths[width], id / kLayouts % 2 == 1, static_cast<Layout>(id % kLayouts)};
}

std::string NameOf(const Packing& packing) {
  constexpr std::array<std::string_view, kLayouts> kNames = {"", ", byte planes", ", byte planes of zigzag"};
  return fmt::format("int{}, {}{}", 8 * packing.width, packing.channel_major ? "channel-major" : "token-major",
                     kNames[static_cast<size_t>(packing.layout)]);
}

size_t NarrowestWidth(MatrixView<const int32_t> y) {
  const auto [low, high] = std::minmax_element(y.all().begin(), y.all().end());
  if (*low >= INT8_MIN && *high <= INT8_MAX) return 1;
  return *low >= INT16_MIN && *high <= INT16_MAX ? 2 : 4;
}

// Calls visit(place in the packed order, index in y).
template <typename Visit>
void InOrder(const Packing& packing, size_t tokens, size_t width, Visit visit) {
  size_t i = 0;
  if (packing.channel_major) {
    for (size_t c = 0; c < width; ++c) {
      for (size_t t = 0; t < tokens; ++t) visit(i++, t * width + c);
    }
  } else {
    for (; i < tokens * width; ++i) visit(i, i);
  }
}

std::vector<uint8_t> Pack(MatrixView<const int32_t> y, const Packing& packing) {
  const bool planes = packing.layout != Layout::kWhole, zigzag = packing.layout == Layout::kZigZagPlanes;
  const size_t count = y.size();
  std::vector<uint8_t> bytes(count * packing.width);
  InOrder(packing, y.rows(), y.cols(), [&](size_t i, size_t at) {
    const int32_t value = y.data()[at];
    const uint64_t word = zigzag ? ZigZag(value) : static_cast<uint64_t>(value);
    for (size_t b = 0; b < packing.width; ++b) {
      bytes[planes ? b * count + i : i * packing.width + b] = static_cast<uint8_t>(word >> (8 * b));
    }
  });
  return bytes;
}

Matrix<int32_t> Unpack(std::span<const uint8_t> bytes, const Packing& packing, size_t tokens, size_t width) {
  const bool planes = packing.layout != Layout::kWhole, zigzag = packing.layout == Layout::kZigZagPlanes;
  const size_t count = tokens * width;
  const auto unused = static_cast<int>(32 - 8 * packing.width);
  Matrix<int32_t> y(tokens, width);
  InOrder(packing, tokens, width, [&](size_t i, size_t at) {
    uint32_t word = 0;
    for (size_t b = 0; b < packing.width; ++b) {
      word |= uint32_t{bytes[planes ? b * count + i : i * packing.width + b]} << (8 * b);
    }
    y.data()[at] = zigzag ? static_cast<int32_t>(UnZigZag(word)) : static_cast<int32_t>(word << unused) >> unused;
  });
  return y;
}

Status CheckNotEmpty(MatrixView<const int32_t> y) {
  return y.size() == 0 ? InvalidArgument("no integers to encode") : OkStatus();
}

Status CheckCount(const IntegerMessages& messages, size_t expected) {
  if (messages.parts.size() == expected) return OkStatus();
  return Corrupt(fmt::format("{} messages, expected {}", messages.parts.size(), expected));
}

class GeneralCodec : public IntegerCodec {
 public:
  GeneralCodec(std::string name, ByteCompressor compressor)
      : name_(std::move(name)), compressor_(std::move(compressor)) {}

  std::string name() const override { return name_; }

 protected:
  ByteCompressor& compressor() { return compressor_; }

 private:
  std::string name_;
  ByteCompressor compressor_;
};

class PaperPackingCodec : public GeneralCodec {
 public:
  using GeneralCodec::GeneralCodec;

  std::string packing() const override { return "int32, one token at a time"; }

  Result<IntegerMessages> Encode(MatrixView<const int32_t> y) override {
    SLUICE_RETURN_IF_ERROR(CheckNotEmpty(y));
    IntegerMessages messages;
    for (size_t t = 0; t < y.rows(); ++t) {
      const std::span<const int32_t> row = y.row(t);
      SLUICE_ASSIGN_OR_RETURN(std::vector<uint8_t> bytes,
                              compressor().Compress({reinterpret_cast<const uint8_t*>(row.data()), row.size_bytes()}));
      messages.parts.push_back(std::move(bytes));
    }
    return messages;
  }

  Result<Matrix<int32_t>> Decode(const IntegerMessages& messages, size_t tokens, size_t width) override {
    SLUICE_RETURN_IF_ERROR(CheckCount(messages, tokens));
    Matrix<int32_t> y(tokens, width);
    for (size_t t = 0; t < tokens; ++t) {
      SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes,
                              compressor().Decompress(messages.parts[t], width * sizeof(int32_t)));
      std::memcpy(y.row(t).data(), bytes.data(), bytes.size());
    }
    return y;
  }
};

class BestPackingCodec : public GeneralCodec {
 public:
  using GeneralCodec::GeneralCodec;

  std::string packing() const override { return chosen_.has_value() ? NameOf(*chosen_) : "not chosen yet"; }

  Status Prepare(MatrixView<const int32_t> y) override {
    SLUICE_RETURN_IF_ERROR(CheckNotEmpty(y));
    const size_t width = NarrowestWidth(y);
    size_t least = 0;
    std::optional<Packing> best;
    for (const bool channel_major : {false, true}) {
      for (const Layout layout : {Layout::kWhole, Layout::kPlanes, Layout::kZigZagPlanes}) {
        if (layout != Layout::kWhole && width == 1) continue;
        const Packing packing{width, channel_major, layout};
        SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, compressor().Compress(Pack(y, packing)));
        if (best.has_value() && bytes.size() >= least) continue;
        best = packing;
        least = bytes.size();
      }
    }
    chosen_ = best;
    return OkStatus();
  }

  Result<IntegerMessages> Encode(MatrixView<const int32_t> y) override {
    SLUICE_RETURN_IF_ERROR(CheckNotEmpty(y));
    if (!chosen_.has_value() || NarrowestWidth(y) > chosen_->width) SLUICE_RETURN_IF_ERROR(Prepare(y));
    SLUICE_ASSIGN_OR_RETURN(std::vector<uint8_t> bytes, compressor().Compress(Pack(y, *chosen_)));
    bytes.insert(bytes.begin(), IdOf(*chosen_));
    return IntegerMessages{{std::move(bytes)}};
  }

  Result<Matrix<int32_t>> Decode(const IntegerMessages& messages, size_t tokens, size_t width) override {
    SLUICE_RETURN_IF_ERROR(CheckCount(messages, 1));
    const std::span<const uint8_t> message = messages.parts[0];
    if (message.empty()) return Truncated("a message of 0 bytes, expected its packing");
    const std::optional<Packing> packing = PackingOf(message[0]);
    if (!packing.has_value()) return Corrupt(fmt::format("packing {} is not known", message[0]));
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes,
                            compressor().Decompress(message.subspan(1), tokens * width * packing->width));
    return Unpack(bytes, *packing, tokens, width);
  }

 private:
  std::optional<Packing> chosen_;
};

template <typename Codec>
Result<std::unique_ptr<IntegerCodec>> MakeGeneral(Compressor compressor, int level) {
  SLUICE_ASSIGN_OR_RETURN(ByteCompressor made, ByteCompressor::Make(compressor, level));
  std::string name = fmt::format("{}:{}", Compressors()[static_cast<size_t>(compressor)].name, level);
  return std::unique_ptr<IntegerCodec>(std::make_unique<Codec>(std::move(name), std::move(made)));
}

}  // namespace

uint64_t IntegerMessages::bytes() const {
  uint64_t total = 0;
  for (const auto& part : parts) total += part.size();
  return total;
}

Status IntegerCodec::Prepare(MatrixView<const int32_t>) { return OkStatus(); }

Result<std::unique_ptr<IntegerCodec>> MakePaperPackingCodec(Compressor compressor, int level) {
  return MakeGeneral<PaperPackingCodec>(compressor, level);
}

Result<std::unique_ptr<IntegerCodec>> MakeBestPackingCodec(Compressor compressor, int level) {
  return MakeGeneral<BestPackingCodec>(compressor, level);
}

}  // namespace sluice
