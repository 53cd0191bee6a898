// One door to four compression libraries. Every call works on whole buffers whose sizes both sides know, so nothing is
// allocated on the word of the data, and the libraries' stream windows do not matter. Raw Deflate, without zlib's
// wrapper, so that zlib and libdeflate read each other: the frame has its own checksum.
#include "plain/compressor.h"

#include <fmt/format.h>
#include <libdeflate.h>
#include <lz4.h>
#include <lz4hc.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace sluice {

using Bytes = std::vector<uint8_t>;

/// One library at one level. Compress gives an empty result and Decompress false where the library refuses.
class ByteCompressor::Engine {
 public:
  virtual ~Engine() = default;
  virtual Bytes Compress(std::span<const uint8_t> bytes) = 0;
  /// Fills `out`, whose size is the one expected. False unless the result has exactly that size.
  virtual bool Decompress(std::span<const uint8_t> bytes, Bytes& out) = 0;
};

namespace {

constexpr size_t kMaxInput = size_t{1} << 30;
constexpr int kRawDeflate = -15;
constexpr int kZlibMemory = 8;
constexpr int kLz4HcFrom = 3;

constexpr std::array<CompressorInfo, 4> kInfos = {{{Compressor::kDeflate, "deflate", 1, 9, 6, 1032},
                                                   {Compressor::kLibdeflate, "libdeflate", 1, 12, 6, 1032},
                                                   {Compressor::kZstd, "zstd", 1, 22, 3, 1 << 15},
                                                   {Compressor::kLz4, "lz4", 1, 12, 1, 255}}};

void SetBuffers(std::span<const uint8_t> in, Bytes& out, z_stream* stream) {
  stream->next_in = const_cast<Bytef*>(in.data());
  stream->avail_in = static_cast<uInt>(in.size());
  stream->next_out = out.data();
  stream->avail_out = static_cast<uInt>(out.size());
}

class ZlibEngine : public ByteCompressor::Engine {
 public:
  explicit ZlibEngine(int level) : level_(level) {}
  ~ZlibEngine() override {
    if (deflater_ != nullptr) deflateEnd(deflater_.get());
    if (inflater_ != nullptr) inflateEnd(inflater_.get());
  }

  Bytes Compress(std::span<const uint8_t> bytes) override {
    if (deflater_ == nullptr) {
      auto stream = std::make_unique<z_stream>();
      if (deflateInit2(stream.get(), level_, Z_DEFLATED, kRawDeflate, kZlibMemory, Z_DEFAULT_STRATEGY) != Z_OK)
        return {};
      deflater_ = std::move(stream);
    }
    deflateReset(deflater_.get());
    Bytes out(deflateBound(deflater_.get(), bytes.size()));
    SetBuffers(bytes, out, deflater_.get());
    const int code = deflate(deflater_.get(), Z_FINISH);
    out.resize(code == Z_STREAM_END ? deflater_->total_out : 0);
    return out;
  }

  // One byte of room beyond `out` tells a longer result from an exact one.
  bool Decompress(std::span<const uint8_t> bytes, Bytes& out) override {
    if (inflater_ == nullptr) {
      auto stream = std::make_unique<z_stream>();
      if (inflateInit2(stream.get(), kRawDeflate) != Z_OK) return false;
      inflater_ = std::move(stream);
    }
    inflateReset(inflater_.get());
    const size_t size = out.size();
    out.resize(size + 1);
    SetBuffers(bytes, out, inflater_.get());
    const int code = inflate(inflater_.get(), Z_FINISH);
    out.resize(size);
    return code == Z_STREAM_END && inflater_->total_out == size && inflater_->avail_in == 0;
  }

 private:
  int level_;
  std::unique_ptr<z_stream> deflater_, inflater_;
};

/// Hands a library's state back to the library.
template <auto kFree>
struct FreedBy {
  void operator()(auto* state) const { kFree(state); }
};

class LibdeflateEngine : public ByteCompressor::Engine {
 public:
  explicit LibdeflateEngine(int level) : level_(level) {}

  Bytes Compress(std::span<const uint8_t> bytes) override {
    if (compressor_ == nullptr) compressor_.reset(libdeflate_alloc_compressor(level_));
    if (compressor_ == nullptr) return {};
    Bytes out(libdeflate_deflate_compress_bound(compressor_.get(), bytes.size()));
    out.resize(libdeflate_deflate_compress(compressor_.get(), bytes.data(), bytes.size(), out.data(), out.size()));
    return out;
  }

  bool Decompress(std::span<const uint8_t> bytes, Bytes& out) override {
    if (decompressor_ == nullptr) decompressor_.reset(libdeflate_alloc_decompressor());
    if (decompressor_ == nullptr) return false;
    size_t used = 0;
    const libdeflate_result code = libdeflate_deflate_decompress_ex(decompressor_.get(), bytes.data(), bytes.size(),
                                                                    out.data(), out.size(), &used, nullptr);
    return code == LIBDEFLATE_SUCCESS && used == bytes.size();
  }

 private:
  int level_;
  std::unique_ptr<libdeflate_compressor, FreedBy<libdeflate_free_compressor>> compressor_;
  std::unique_ptr<libdeflate_decompressor, FreedBy<libdeflate_free_decompressor>> decompressor_;
};

class ZstdEngine : public ByteCompressor::Engine {
 public:
  explicit ZstdEngine(int level) : level_(level) {}

  Bytes Compress(std::span<const uint8_t> bytes) override {
    if (compressor_ == nullptr) compressor_.reset(ZSTD_createCCtx());
    if (compressor_ == nullptr) return {};
    Bytes out(ZSTD_compressBound(bytes.size()));
    const size_t size =
        ZSTD_compressCCtx(compressor_.get(), out.data(), out.size(), bytes.data(), bytes.size(), level_);
    out.resize(ZSTD_isError(size) ? 0 : size);
    return out;
  }

  bool Decompress(std::span<const uint8_t> bytes, Bytes& out) override {
    if (decompressor_ == nullptr) decompressor_.reset(ZSTD_createDCtx());
    if (decompressor_ == nullptr) return false;
    return ZSTD_decompressDCtx(decompressor_.get(), out.data(), out.size(), bytes.data(), bytes.size()) == out.size();
  }

 private:
  int level_;
  std::unique_ptr<ZSTD_CCtx, FreedBy<ZSTD_freeCCtx>> compressor_;
  std::unique_ptr<ZSTD_DCtx, FreedBy<ZSTD_freeDCtx>> decompressor_;
};

class Lz4Engine : public ByteCompressor::Engine {
 public:
  explicit Lz4Engine(int level) : level_(level) {}

  Bytes Compress(std::span<const uint8_t> bytes) override {
    if (state_.empty())
      state_.resize((static_cast<size_t>(level_ >= kLz4HcFrom ? LZ4_sizeofStateHC() : LZ4_sizeofState()) + 7) / 8);
    const int in_size = static_cast<int>(bytes.size());
    Bytes out(static_cast<size_t>(LZ4_compressBound(in_size)));
    const char* from = reinterpret_cast<const char*>(bytes.data());
    char* to = reinterpret_cast<char*>(out.data());
    const int room = static_cast<int>(out.size());
    const int size = level_ >= kLz4HcFrom ? LZ4_compress_HC_extStateHC(state_.data(), from, to, in_size, room, level_)
                                          : LZ4_compress_fast_extState(state_.data(), from, to, in_size, room, 1);
    out.resize(static_cast<size_t>(std::max(size, 0)));
    return out;
  }

  bool Decompress(std::span<const uint8_t> bytes, Bytes& out) override {
    const int size =
        LZ4_decompress_safe(reinterpret_cast<const char*>(bytes.data()), reinterpret_cast<char*>(out.data()),
                            static_cast<int>(bytes.size()), static_cast<int>(out.size()));
    return size >= 0 && static_cast<size_t>(size) == out.size();
  }

 private:
  int level_;
  std::vector<uint64_t> state_;  // words, for the alignment that the library wants
};

std::unique_ptr<ByteCompressor::Engine> MakeEngine(Compressor compressor, int level) {
  switch (compressor) {
    case Compressor::kDeflate:
      return std::make_unique<ZlibEngine>(level);
    case Compressor::kLibdeflate:
      return std::make_unique<LibdeflateEngine>(level);
    case Compressor::kZstd:
      return std::make_unique<ZstdEngine>(level);
    case Compressor::kLz4:
      return std::make_unique<Lz4Engine>(level);
  }
  return nullptr;
}

}  // namespace

std::span<const CompressorInfo> Compressors() { return kInfos; }

Result<ByteCompressor> ByteCompressor::Make(Compressor compressor, int level) {
  const CompressorInfo& info = kInfos[static_cast<size_t>(compressor)];
  if (level < info.lowest || level > info.highest) {
    return InvalidArgument(fmt::format("{} has levels {} to {}, got {}", info.name, info.lowest, info.highest, level));
  }
  return ByteCompressor(info.name, MakeEngine(compressor, level));
}

ByteCompressor::ByteCompressor(std::string_view name, std::unique_ptr<Engine> engine)
    : name_(name), engine_(std::move(engine)) {}
ByteCompressor::ByteCompressor(ByteCompressor&&) noexcept = default;
ByteCompressor& ByteCompressor::operator=(ByteCompressor&&) noexcept = default;
ByteCompressor::~ByteCompressor() = default;

Result<std::vector<uint8_t>> ByteCompressor::Compress(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxInput) {
    return InvalidArgument(fmt::format("{} bytes to compress at once, at most {} are", bytes.size(), kMaxInput));
  }
  Bytes out = engine_->Compress(bytes);
  if (out.empty()) return Internal(fmt::format("{} failed to compress", name_));
  return out;
}

Result<std::vector<uint8_t>> ByteCompressor::Decompress(std::span<const uint8_t> bytes, size_t size) {
  if (bytes.size() > kMaxInput || size > kMaxInput) {
    return Corrupt(fmt::format("{} bytes that expand to {}, at most {} are allowed", bytes.size(), size, kMaxInput));
  }
  Bytes out(size);
  if (engine_->Decompress(bytes, out)) return out;
  return Corrupt(fmt::format("{}: {} bytes do not expand to exactly {}", name_, bytes.size(), size));
}

}  // namespace sluice
