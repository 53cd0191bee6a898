// The archive's two commands. Packing maps its input and holds one chunk at a time; a batch is archived row after row,
// and its shape is one number in the header. Bytes go through as they are stored, so that NaN payloads survive.
#include "codec/activation_archive.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
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
  const size_t rank = tensor.shape.size();
  if (!IsHiddenType(tensor.dtype) || (rank != 2 && rank != 3) || tensor.bytes.empty() ||
      tensor.shape.back() > kMaxArchiveChunkElements) {
    return InvalidArgument(
        fmt::format("tensor \"{}\" is {} of {}; hidden states are F32, F16 or BF16 of [T, d] or [B, T, d]", tensor.name,
                    DTypeName(tensor.dtype), ShapeString(tensor.shape)));
  }
  return TensorShape{tensor.elements() / tensor.shape.back(), rank == 3 ? tensor.shape[1] : 0,
                     static_cast<uint32_t>(tensor.shape.back())};
}

uint64_t ChunkTokens(uint32_t asked, uint32_t width) {
  const uint64_t usual = std::min<uint64_t>(kDefaultArchiveChunkTokens, kDefaultArchiveChunkElements / width);
  const uint64_t wanted = asked != 0 ? asked : std::max<uint64_t>(1, usual);
  return std::min({wanted, kMaxArchiveChunkTokens, std::max<uint64_t>(1, kMaxArchiveChunkElements / width)});
}

// What was packed of a mapped file need not stay in memory.
using Forget = std::function<void(const uint8_t* end)>;

Result<ArchiveStats> PackTensor(const TensorView& tensor, const std::filesystem::path& in,
                                const std::filesystem::path& out, const PackOptions& options, const Forget& forget) {
  SLUICE_RETURN_IF_ERROR(CheckFidelity(options.fidelity));
  const Result<TensorShape> checked = ShapeOf(tensor);
  if (!checked.ok()) return checked.status().WithContext(in.string());
  const TensorShape shape = *checked;
  const ArchiveHeader header{tensor.dtype, static_cast<uint8_t>(options.fidelity.kind), shape.width, shape.row_tokens,
                             options.fidelity.kind == Fidelity::kLossless ? 0 : options.fidelity.bound};
  std::error_code unknown;
  const bool append = options.append && std::filesystem::exists(out, unknown);
  const uint64_t chunk = ChunkTokens(options.chunk_tokens, shape.width);
  const size_t token_bytes = shape.width * DTypeSize(tensor.dtype);
  const auto bytes_at = [&](uint64_t begin) {
    return tensor.bytes.subspan(begin * token_bytes, std::min(chunk, shape.tokens - begin) * token_bytes);
  };
  const auto encode = [&](uint64_t begin) -> Result<std::vector<uint8_t>> {
    const auto bytes = bytes_at(begin);
    auto payload = EncodeActivations(bytes, tensor.dtype, bytes.size() / token_bytes, shape.width, options.fidelity);
    return payload.ok() ? std::move(payload) : payload.status().WithContext(fmt::format("chunk at token {}", begin));
  };
  // What cannot be met shows at the first chunk, before an archive that stands there is given up.
  SLUICE_ASSIGN_OR_RETURN(std::vector<uint8_t> payload, encode(0));
  SLUICE_ASSIGN_OR_RETURN(ArchiveWriter writer,
                          append ? ArchiveWriter::Append(out, header) : ArchiveWriter::Create(out, header));
  const uint64_t bytes_before = append ? writer.bytes_written() : 0;
  for (uint64_t begin = 0; begin < shape.tokens; begin += chunk) {
    const auto bytes = bytes_at(begin);
    const uint64_t count = bytes.size() / token_bytes;
    if (begin > 0) {
      SLUICE_ASSIGN_OR_RETURN(payload, encode(begin));
    }
    SLUICE_RETURN_IF_ERROR(writer.Add(static_cast<uint32_t>(count), payload));
    forget(bytes.data() + bytes.size());
    if (options.progress) SLUICE_RETURN_IF_ERROR(options.progress(begin + count, shape.tokens));
  }
  SLUICE_RETURN_IF_ERROR(writer.Finish());
  return ArchiveStats{writer.bytes_written(), tensor.bytes.size(), writer.bytes_written() - bytes_before,
                      shape.tokens,           shape.width,         true};
}

Result<std::string> PrefixFor(const std::filesystem::path& out, const TensorView& view) {
  if (out.extension() == ".safetensors") return SafetensorsPrefix(view);
  if (out.extension() == ".npy") return NpyPrefix(view);
  return InvalidArgument(fmt::format("{}: hidden states are saved to .safetensors and .npy files", out.string()));
}

// The tokens of one chunk that lie in [begin, end).
Status VisitChunk(const ArchiveReader& archive, size_t index, uint64_t begin, uint64_t end, const TokenSink& sink) {
  const ArchiveHeader& header = archive.header();
  const ArchiveChunk& chunk = archive.chunks()[index];
  const FidelitySpec fidelity = FidelityOf(header);
  SLUICE_ASSIGN_OR_RETURN(const std::span<const uint8_t> payload, archive.Payload(index));
  const auto bytes = DecodeActivations(payload, header.source, chunk.tokens, header.width, fidelity);
  if (!bytes.ok()) return bytes.status().WithContext(fmt::format("chunk {} at byte {}", index, chunk.offset));
  const size_t token_bytes = header.width * DTypeSize(DecodedType(header.source, fidelity));
  const uint64_t from = std::max(begin, chunk.first_token) - chunk.first_token;
  const uint64_t to = std::min<uint64_t>(end - chunk.first_token, chunk.tokens);
  return sink(std::span(*bytes).subspan(from * token_bytes, (to - from) * token_bytes));
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
    return PackTensor(*view, in, out, options, [&file](const uint8_t* end) { file.ForgetBefore(end); });
  }
  if (in.extension() != ".npy" || !tensor.empty()) {
    return InvalidArgument(
        fmt::format("{}: hidden states are read from .safetensors and (unnamed) .npy files", in.string()));
  }
  SLUICE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(in));
  const Result<TensorView> view = ParseNpy(file.bytes());
  if (!view.ok()) return view.status().WithContext(in.string());
  return PackTensor(*view, in, out, options,
                    [&file](const uint8_t* end) { file.ForgetBefore(static_cast<size_t>(end - file.bytes().data())); });
}

Status VisitTokens(const ArchiveReader& archive, uint64_t begin, uint64_t end, const TokenSink& sink) {
  if (begin >= end || end > archive.tokens()) {
    return InvalidArgument(fmt::format("tokens {} to {} of an archive of {}", begin, end, archive.tokens()));
  }
  const auto& chunks = archive.chunks();
  const auto after =
      std::upper_bound(chunks.begin(), chunks.end(), begin,
                       [](uint64_t token, const ArchiveChunk& chunk) { return token < chunk.first_token; });
  for (auto i = static_cast<size_t>(after - chunks.begin() - 1); i < chunks.size(); ++i) {
    if (chunks[i].first_token >= end) break;
    SLUICE_RETURN_IF_ERROR(VisitChunk(archive, i, begin, end, sink));
    archive.ForgetThrough(i);
  }
  return OkStatus();
}

Result<std::vector<uint8_t>> ReadTokens(const ArchiveReader& archive, uint64_t begin, uint64_t end) {
  std::vector<uint8_t> out;
  SLUICE_RETURN_IF_ERROR(VisitTokens(archive, begin, end, [&out](std::span<const uint8_t> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
    return OkStatus();
  }));
  return out;
}

Result<ArchiveStats> UnpackHidden(const std::filesystem::path& in, const std::filesystem::path& out,
                                  std::optional<std::pair<uint64_t, uint64_t>> range, const ArchiveProgress& progress) {
  std::error_code error;
  if (std::filesystem::equivalent(in, out, error))
    return InvalidArgument(fmt::format("{}: input and output are one file", in.string()));
  SLUICE_ASSIGN_OR_RETURN(const ArchiveReader archive, ArchiveReader::Open(in));
  const ArchiveHeader& header = archive.header();
  const auto [begin, end] = range.value_or(std::pair<uint64_t, uint64_t>(0, archive.tokens()));
  if (begin >= end || end > archive.tokens()) {
    return InvalidArgument(
        fmt::format("{}: tokens {} to {} of an archive of {}", in.string(), begin, end, archive.tokens()));
  }
  const DType dtype = DecodedType(header.source, FidelityOf(header));
  TensorView view{"hidden", dtype, {end - begin, header.width}, {}};
  if (!range && header.row_tokens != 0 && (end - begin) % header.row_tokens == 0) {
    view.shape = {(end - begin) / header.row_tokens, header.row_tokens, header.width};
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string prefix, PrefixFor(out, view));
  SLUICE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(out));
  SLUICE_RETURN_IF_ERROR(file.Write(AsBytes(prefix)));
  uint64_t done = 0;
  const uint64_t total = end - begin;
  const Status visited = VisitTokens(archive, begin, end, [&](std::span<const uint8_t> bytes) -> Status {
    SLUICE_RETURN_IF_ERROR(file.Write(bytes));
    done += bytes.size() / (header.width * DTypeSize(dtype));
    return progress ? progress(done, total) : OkStatus();
  });
  if (!visited.ok()) return visited.WithContext(in.string());
  SLUICE_RETURN_IF_ERROR(file.Commit());
  const uint64_t source_bytes = (end - begin) * header.width * DTypeSize(header.source);
  return ArchiveStats{
      std::filesystem::file_size(in, error), source_bytes, 0, end - begin, header.width, archive.complete()};
}

}  // namespace sluice
