// The archive's two commands. Packing maps its input and holds one chunk at a time; a batch is archived row after row,
// and its shape is one number in the header. Bytes go through as they are stored, so that NaN payloads survive.
#include "codec/activation_archive.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "format/hidden_file.h"
#include "format/npy.h"
#include "format/safetensors.h"

namespace sluice {
namespace {

struct TensorShape {
  uint64_t tokens;
  uint64_t row_tokens;
  uint32_t width;
};

Result<TensorShape> ShapeOf(const TensorView& tensor) {
  const bool float_type = tensor.dtype == DType::kF32 || tensor.dtype == DType::kF16 || tensor.dtype == DType::kBf16;
  const size_t rank = tensor.shape.size();
  if (!float_type || (rank != 2 && rank != 3) || tensor.bytes.empty() ||
      tensor.shape.back() > kMaxArchiveChunkElements) {
    return InvalidArgument(
        fmt::format("tensor \"{}\" is {} of {}; hidden states are F32, F16 or BF16 of [T, d] or [B, T, d]", tensor.name,
                    DTypeName(tensor.dtype), ShapeString(tensor.shape)));
  }
  return TensorShape{tensor.elements() / tensor.shape.back(), rank == 3 ? tensor.shape[1] : 0,
                     static_cast<uint32_t>(tensor.shape.back())};
}

Result<ArchiveStats> PackTensor(const TensorView& tensor, const std::filesystem::path& out,
                                const PackOptions& options) {
  SLUICE_RETURN_IF_ERROR(CheckFidelity(options.fidelity));
  SLUICE_ASSIGN_OR_RETURN(const TensorShape shape, ShapeOf(tensor));
  if (options.chunk_tokens == 0) return InvalidArgument("a chunk of 0 tokens");
  const ArchiveHeader header{tensor.dtype, static_cast<uint8_t>(options.fidelity.kind), shape.width, shape.row_tokens,
                             options.fidelity.kind == Fidelity::kLossless ? 0 : options.fidelity.bound};
  const bool append = options.append && std::filesystem::exists(out);
  SLUICE_ASSIGN_OR_RETURN(ArchiveWriter writer,
                          append ? ArchiveWriter::Append(out, header) : ArchiveWriter::Create(out, header));
  const uint64_t most = std::min(kMaxArchiveChunkTokens, std::max<uint64_t>(1, kMaxArchiveChunkElements / shape.width));
  const uint64_t chunk = std::min<uint64_t>(options.chunk_tokens, most);
  const size_t token_bytes = shape.width * DTypeSize(tensor.dtype);
  for (uint64_t begin = 0; begin < shape.tokens; begin += chunk) {
    const uint64_t count = std::min(chunk, shape.tokens - begin);
    const auto bytes = tensor.bytes.subspan(begin * token_bytes, count * token_bytes);
    const auto payload = EncodeActivations(bytes, tensor.dtype, count, shape.width, options.fidelity);
    if (!payload.ok()) return payload.status().WithContext(fmt::format("chunk at token {}", begin));
    SLUICE_RETURN_IF_ERROR(writer.Add(static_cast<uint32_t>(count), *payload));
  }
  SLUICE_RETURN_IF_ERROR(writer.Finish());
  return ArchiveStats{writer.bytes_written(), tensor.bytes.size(), shape.tokens, shape.width, true};
}

Status Save(const std::filesystem::path& out, const TensorView& view) {
  if (out.extension() == ".safetensors") return WriteSafetensors(out, std::span(&view, 1));
  if (out.extension() == ".npy") return WriteNpy(out, view);
  return InvalidArgument(fmt::format("{}: hidden states are saved to .safetensors and .npy files", out.string()));
}

}  // namespace

FidelitySpec FidelityOf(const ArchiveHeader& header) { return {static_cast<Fidelity>(header.fidelity), header.bound}; }

Result<ArchiveStats> PackHidden(const std::filesystem::path& in, std::string_view tensor,
                                const std::filesystem::path& out, const PackOptions& options) {
  std::error_code error;
  if (std::filesystem::equivalent(in, out, error))
    return InvalidArgument(fmt::format("{}: input and output are one file", in.string()));
  if (in.extension() == ".safetensors") {
    SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(in));
    const Result<TensorView> view = ChooseHidden(file, tensor);
    if (!view.ok()) return view.status().WithContext(in.string());
    return PackTensor(*view, out, options);
  }
  if (in.extension() != ".npy" || !tensor.empty()) {
    return InvalidArgument(
        fmt::format("{}: hidden states are read from .safetensors and (unnamed) .npy files", in.string()));
  }
  SLUICE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(in));
  const Result<TensorView> view = ParseNpy(file.bytes());
  if (!view.ok()) return view.status().WithContext(in.string());
  return PackTensor(*view, out, options);
}

Result<std::vector<uint8_t>> ReadTokens(const ArchiveReader& archive, uint64_t begin, uint64_t end) {
  if (begin >= end || end > archive.tokens()) {
    return InvalidArgument(fmt::format("tokens {} to {} of an archive of {}", begin, end, archive.tokens()));
  }
  const ArchiveHeader& header = archive.header();
  const FidelitySpec fidelity = FidelityOf(header);
  const size_t token_bytes = header.width * DTypeSize(DecodedType(header.source, fidelity));
  std::vector<uint8_t> out;
  for (size_t i = 0; i < archive.chunks().size(); ++i) {
    const ArchiveChunk& chunk = archive.chunks()[i];
    if (chunk.first_token + chunk.tokens <= begin || chunk.first_token >= end) continue;
    SLUICE_ASSIGN_OR_RETURN(const std::span<const uint8_t> payload, archive.Payload(i));
    const auto bytes = DecodeActivations(payload, header.source, chunk.tokens, header.width, fidelity);
    if (!bytes.ok()) return bytes.status().WithContext(fmt::format("chunk {} at byte {}", i, chunk.offset));
    const uint64_t from = std::max(begin, chunk.first_token) - chunk.first_token;
    const uint64_t to = std::min<uint64_t>(end - chunk.first_token, chunk.tokens);
    out.insert(out.end(), bytes->begin() + static_cast<ptrdiff_t>(from * token_bytes),
               bytes->begin() + static_cast<ptrdiff_t>(to * token_bytes));
  }
  return out;
}

Result<ArchiveStats> UnpackHidden(const std::filesystem::path& in, const std::filesystem::path& out,
                                  std::optional<std::pair<uint64_t, uint64_t>> range, uint64_t max_elements) {
  SLUICE_ASSIGN_OR_RETURN(const ArchiveReader archive, ArchiveReader::Open(in));
  const ArchiveHeader& header = archive.header();
  const auto [begin, end] = range.value_or(std::pair<uint64_t, uint64_t>(0, archive.tokens()));
  if (begin < end && end - begin > max_elements / header.width) {
    return InvalidArgument(
        fmt::format("{}: more than {} elements; unpack a range of tokens", in.string(), max_elements));
  }
  const Result<std::vector<uint8_t>> bytes = ReadTokens(archive, begin, end);
  if (!bytes.ok()) return bytes.status().WithContext(in.string());
  TensorView view{"hidden", DecodedType(header.source, FidelityOf(header)), {end - begin, header.width}, *bytes};
  if (!range && header.row_tokens != 0 && (end - begin) % header.row_tokens == 0) {
    view.shape = {(end - begin) / header.row_tokens, header.row_tokens, header.width};
  }
  SLUICE_RETURN_IF_ERROR(Save(out, view));
  const uint64_t source_bytes = (end - begin) * header.width * DTypeSize(header.source);
  std::error_code error;
  return ArchiveStats{std::filesystem::file_size(in, error), source_bytes, end - begin, header.width,
                      archive.complete()};
}

}  // namespace sluice
