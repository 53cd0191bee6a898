#ifndef SLUICE_TESTS_GOLDEN_FORMAT_CONTEXT_INTEGERS_H_
#define SLUICE_TESTS_GOLDEN_FORMAT_CONTEXT_INTEGERS_H_

#include <cstdint>
#include <filesystem>
#include <span>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "codec/context_frames.h"
#include "format/stream.h"

namespace sluice {

/// The ids in NAME.ids beside NAME.slc, none when there is no such file.
inline Result<std::vector<int32_t>> IdsBeside(std::filesystem::path stream) {
  std::vector<int32_t> ids;
  if (!std::filesystem::exists(stream.replace_extension(".ids"))) return ids;
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(stream));
  std::istringstream numbers(text);
  for (int32_t id = 0; numbers >> id;) ids.push_back(id);
  return ids;
}

/// What the checksums of a stream of codec "context" cover, frame by frame: the classes or ids that the frame carries,
/// then its latents. Data: `ids`, of all tokens, row after row, where both ends know them. Errors: of the stream.
inline Result<std::vector<int32_t>> ContextIntegersOf(std::span<const uint8_t> bytes, const Pack& pack,
                                                      std::span<const int32_t> ids) {
  SLUICE_ASSIGN_OR_RETURN(const ContextParts parts, ContextParts::FromPack(pack));
  SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(bytes));
  const TokenNames names = parts.weights.shape.names;
  const bool carried = names == TokenNames::kClasses || (reader.header().flags & kIdsInStream) != 0;
  ContextEnd end(parts);
  std::vector<int32_t> all;
  for (size_t begin = 0;;) {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<Frame> frame, reader.Next());
    if (!frame) return all;
    const size_t count = size_t{frame->batch} * frame->tokens;
    ContextIntegers integers;
    for (size_t row = 0; row < frame->batch && names == TokenNames::kTokens && !carried; ++row) {
      const auto part = ids.subspan(row * (ids.size() / frame->batch) + begin, frame->tokens);
      integers.tokens.insert(integers.tokens.end(), part.begin(), part.end());
    }
    integers.classes.resize(carried ? count : 0);
    integers.latents.resize(count * pack.info().width);
    SLUICE_RETURN_IF_ERROR(end.BeginFrame(frame->batch, reader.header().BeginsAnew()));
    if (frame->type == FrameType::kToken) {
      SLUICE_ASSIGN_OR_RETURN(const size_t size, end.DecodeToken(*frame, integers));
      SLUICE_RETURN_IF_ERROR(reader.Consume(size, {integers.classes, integers.latents}));
    } else {
      SLUICE_RETURN_IF_ERROR(end.DecodeChunk(frame->sections[0], integers));
      SLUICE_RETURN_IF_ERROR(frame->Verify({integers.classes, integers.latents}));
    }
    all.insert(all.end(), integers.classes.begin(), integers.classes.end());
    all.insert(all.end(), integers.latents.begin(), integers.latents.end());
    begin += frame->tokens;
  }
}

}  // namespace sluice

#endif  // SLUICE_TESTS_GOLDEN_FORMAT_CONTEXT_INTEGERS_H_
