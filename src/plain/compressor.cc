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

#include <array>
#include <utility>

namespace sluice {
namespace {

constexpr size_t kMaxInput = size_t{1} << 30;
constexpr int kRawDeflate = -15;
constexpr int kLz4HcFrom = 3;

constexpr std::array<CompressorInfo, 4> kInfos = {{{Compressor::kDeflate, "deflate", 1, 9, 6},
                                                   {Compressor::kLibdeflate, "libdeflate", 1, 12, 6},
                                                   {Compressor::kZstd, "zstd", 1, 22, 3},
                                                   {Compressor::kLz4, "lz4", 1, 12, 1}}};

using Bytes = std::vector<uint8_t>;

Status Failed(std::string_view library) { return Internal(fmt::format("{} failed to compress", library)); }

Result<Bytes> ZlibCompress(std::span<const uint8_t> bytes, int level) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, kRawDeflate, 8, Z_DEFAULT_STRATEGY) != Z_OK) return Failed("zlib");
  Bytes out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) return Failed("zlib");
  return out;
}

// One byte of room beyond `out` tells a longer result from an exact one.
bool ZlibDecompress(std::span<const uint8_t> bytes, Bytes& out) {
  z_stream stream{};
  if (inflateInit2(&stream, kRawDeflate) != Z_OK) return false;
  const size_t size = out.size();
  out.resize(size + 1);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = inflate(&stream, Z_FINISH);
  const bool exact = code == Z_STREAM_END && stream.total_out == size && stream.avail_in == 0;
  inflateEnd(&stream);
  out.resize(size);
  return exact;
}

bool LibdeflateDecompress(std::span<const uint8_t> bytes, Bytes& out) {
  libdeflate_decompressor* state = libdeflate_alloc_decompressor();
  if (state == nullptr) return false;
  size_t used = 0;
  const libdeflate_result code =
      libdeflate_deflate_decompress_ex(state, bytes.data(), bytes.size(), out.data(), out.size(), &used, nullptr);
  libdeflate_free_decompressor(state);
  return code == LIBDEFLATE_SUCCESS && used == bytes.size();
}

Result<Bytes> LibdeflateCompress(libdeflate_compressor* state, std::span<const uint8_t> bytes) {
  Bytes out(libdeflate_deflate_compress_bound(state, bytes.size()));
  out.resize(libdeflate_deflate_compress(state, bytes.data(), bytes.size(), out.data(), out.size()));
  if (out.empty()) return Failed("libdeflate");
  return out;
}

Result<Bytes> ZstdCompress(ZSTD_CCtx* state, std::span<const uint8_t> bytes, int level) {
  Bytes out(ZSTD_compressBound(bytes.size()));
  const size_t size = ZSTD_compressCCtx(state, out.data(), out.size(), bytes.data(), bytes.size(), level);
  if (ZSTD_isError(size)) return Failed("zstd");
  out.resize(size);
  return out;
}

Result<Bytes> Lz4Compress(std::span<const uint8_t> bytes, int level) {
  const int in_size = static_cast<int>(bytes.size());
  Bytes out(static_cast<size_t>(LZ4_compressBound(in_size)));
  const char* from = reinterpret_cast<const char*>(bytes.data());
  char* to = reinterpret_cast<char*>(out.data());
  const int size = level >= kLz4HcFrom ? LZ4_compress_HC(from, to, in_size, static_cast<int>(out.size()), level)
                                       : LZ4_compress_default(from, to, in_size, static_cast<int>(out.size()));
  if (size <= 0) return Failed("lz4");
  out.resize(static_cast<size_t>(size));
  return out;
}

bool Lz4Decompress(std::span<const uint8_t> bytes, Bytes& out) {
  const int size = LZ4_decompress_safe(reinterpret_cast<const char*>(bytes.data()), reinterpret_cast<char*>(out.data()),
                                       static_cast<int>(bytes.size()), static_cast<int>(out.size()));
  return size >= 0 && static_cast<size_t>(size) == out.size();
}

}  // namespace

std::span<const CompressorInfo> Compressors() { return kInfos; }

Result<ByteCompressor> ByteCompressor::Make(Compressor compressor, int level) {
  const CompressorInfo& info = kInfos[static_cast<size_t>(compressor)];
  if (level < info.lowest || level > info.highest) {
    return InvalidArgument(fmt::format("{} has levels {} to {}, got {}", info.name, info.lowest, info.highest, level));
  }
  return ByteCompressor(compressor, level);
}

ByteCompressor::ByteCompressor(ByteCompressor&& other) noexcept
    : compressor_(other.compressor_), level_(other.level_), state_(std::exchange(other.state_, nullptr)) {}

ByteCompressor::~ByteCompressor() {
  if (state_ == nullptr) return;
  if (compressor_ == Compressor::kZstd) ZSTD_freeCCtx(static_cast<ZSTD_CCtx*>(state_));
  if (compressor_ == Compressor::kLibdeflate) libdeflate_free_compressor(static_cast<libdeflate_compressor*>(state_));
}

Result<std::vector<uint8_t>> ByteCompressor::Compress(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxInput) {
    return InvalidArgument(fmt::format("{} bytes to compress at once, at most {} are", bytes.size(), kMaxInput));
  }
  switch (compressor_) {
    case Compressor::kDeflate:
      return ZlibCompress(bytes, level_);
    case Compressor::kLz4:
      return Lz4Compress(bytes, level_);
    case Compressor::kZstd:
      if (state_ == nullptr) state_ = ZSTD_createCCtx();
      if (state_ == nullptr) return Failed("zstd");
      return ZstdCompress(static_cast<ZSTD_CCtx*>(state_), bytes, level_);
    case Compressor::kLibdeflate:
      if (state_ == nullptr) state_ = libdeflate_alloc_compressor(level_);
      if (state_ == nullptr) return Failed("libdeflate");
      return LibdeflateCompress(static_cast<libdeflate_compressor*>(state_), bytes);
  }
  return Internal("no such compressor");
}

Result<std::vector<uint8_t>> ByteCompressor::Decompress(std::span<const uint8_t> bytes, size_t size) {
  if (bytes.size() > kMaxInput || size > kMaxInput) {
    return Corrupt(fmt::format("{} bytes that expand to {}, at most {} are allowed", bytes.size(), size, kMaxInput));
  }
  Bytes out(size);
  bool exact = false;
  switch (compressor_) {
    case Compressor::kDeflate:
      exact = ZlibDecompress(bytes, out);
      break;
    case Compressor::kLibdeflate:
      exact = LibdeflateDecompress(bytes, out);
      break;
    case Compressor::kZstd:
      exact = ZSTD_decompress(out.data(), size, bytes.data(), bytes.size()) == size;
      break;
    case Compressor::kLz4:
      exact = Lz4Decompress(bytes, out);
      break;
  }
  if (exact) return out;
  return Corrupt(fmt::format("{}: {} bytes do not expand to exactly {}", kInfos[static_cast<size_t>(compressor_)].name,
                             bytes.size(), size));
}

}  // namespace sluice
