// BPE over the characters of a text: each is a piece of the vocabulary or, failing that, the tokens of its UTF-8 bytes,
// which never merge. Two file formats come to this: llama2.c's (merges are implied by the scores of the pieces) and
// Hugging Face's conversion of SentencePiece models (merges are listed). Text is cut where no piece can cross
// (char_join.h), and the parts are remembered.
#include "text/char_bpe.h"

#include <fmt/format.h>

#include <unordered_map>

#include "text/bpe_merge.h"
#include "text/char_join.h"
#include "text/piece_cache.h"
#include "text/progress_meter.h"
#include "text/utf8.h"

namespace sluice {
namespace {

/// A symbol that BpeMerger leaves alone, for byte `byte`.
constexpr int32_t ByteSymbol(uint8_t byte) { return -2 - static_cast<int32_t>(byte); }

class CharBpe final : public Tokenizer {
 public:
  CharBpe(CharBpeSpec spec, const Sha256Digest& identity)
      : Tokenizer(identity), spec_(std::move(spec)), join_(spec_.space == kSpaceMark) {
    std::vector<bool> is_byte(spec_.pieces.size());
    for (const int32_t id : spec_.byte_ids) is_byte[static_cast<size_t>(id)] = true;
    decoded_.resize(spec_.pieces.size());
    for (size_t id = 0; id < spec_.pieces.size(); ++id) {
      const std::string& piece = spec_.pieces[id];
      if (spec_.control[id] || is_byte[id] || piece.empty()) continue;
      join_.AddPiece(piece);
      if (piece.size() == Utf8Length(piece[0])) chars_.emplace(join_.CharAt(piece, 0), static_cast<int32_t>(id));
      decoded_[id] = WithSpaces(piece);
    }
    for (size_t byte = 0; byte < 256; ++byte) {
      decoded_[static_cast<size_t>(spec_.byte_ids[byte])] = std::string(1, static_cast<char>(byte));
    }
  }

  int32_t vocab_size() const override { return static_cast<int32_t>(spec_.pieces.size()); }
  std::optional<int32_t> bos() const override { return spec_.bos; }
  std::optional<int32_t> eos() const override { return spec_.eos; }
  std::string_view kind() const override { return spec_.kind; }

 private:
  std::string WithSpaces(std::string_view piece) const {
    std::string text;
    while (!piece.empty()) {
      const bool mark = piece.starts_with(spec_.space);
      text += mark ? std::string_view(" ") : piece.substr(0, 1);
      piece.remove_prefix(mark ? spec_.space.size() : 1);
    }
    return text;
  }

  Result<std::vector<int32_t>> DoEncode(std::string_view text, const EncodeProgress& progress) const override {
    SLUICE_RETURN_IF_ERROR(ValidateUtf8(text));
    std::string prefixed;
    if (spec_.prefix && !text.empty()) {
      prefixed.reserve(text.size() + 1);
      prefixed.append(1, ' ').append(text);
      text = prefixed;
    }
    std::vector<int32_t> ids;
    std::vector<int32_t> symbols;
    BpeMerger merger(spec_.merges);
    PieceCache cache(text.size());
    ProgressMeter meter(progress);
    for (size_t at = 0; at < text.size();) {
      const size_t end = join_.PartEnd(text, at, CharJoin::Cut::kAnywhere);
      const std::string_view part = text.substr(at, end - at);
      cache.Append(part, ids, [&] {
        const size_t begin = ids.size();
        ToSymbols(part, symbols);
        merger.Append(symbols, ids);
        for (size_t i = begin; i < ids.size(); ++i) {
          if (ids[i] < 0) ids[i] = spec_.byte_ids[static_cast<size_t>(-2 - ids[i])];
        }
      });
      at = end;
      SLUICE_RETURN_IF_ERROR(meter.At(at));
    }
    return ids;
  }

  void ToSymbols(std::string_view part, std::vector<int32_t>& symbols) const {
    symbols.clear();
    for (size_t at = 0; at < part.size();) {
      const size_t size = Utf8Length(part[at]);
      const auto known = chars_.find(join_.CharAt(part, at));
      if (known != chars_.end()) {
        symbols.push_back(known->second);
      } else {
        for (size_t i = 0; i < size; ++i) symbols.push_back(ByteSymbol(static_cast<uint8_t>(part[at + i])));
      }
      at += size;
    }
  }

  Result<std::string> DoDecode(std::span<const int32_t> ids) const override {
    std::string text;
    bool first = true;
    for (const int32_t id : ids) {
      if (spec_.control[static_cast<size_t>(id)]) continue;
      std::string_view piece = decoded_[static_cast<size_t>(id)];
      if (first && spec_.prefix && piece.starts_with(' ')) piece.remove_prefix(1);
      first = false;
      text += piece;
    }
    return text;
  }

  CharBpeSpec spec_;
  CharJoin join_;
  std::unordered_map<uint32_t, int32_t> chars_;  // code point -> piece of that one character
  std::vector<std::string> decoded_;             // bytes of each id
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeCharBpe(CharBpeSpec spec, const Sha256Digest& identity) {
  for (size_t id = 0; id < spec.pieces.size(); ++id) {
    const Status valid = ValidateUtf8(spec.pieces[id]);
    if (!valid.ok()) return Corrupt(fmt::format("piece {}: {}", id, valid.message()));
  }
  return std::unique_ptr<Tokenizer>(new CharBpe(std::move(spec), identity));
}

Result<std::array<int32_t, 256>> FindBytePieces(const std::vector<std::string>& pieces) {
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t id = 0; id < pieces.size(); ++id) ids.emplace(pieces[id], static_cast<int32_t>(id));
  std::array<int32_t, 256> bytes{};
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto found = ids.find(fmt::format("<0x{:02X}>", byte));
    if (found == ids.end()) return Corrupt(fmt::format("no piece <0x{:02X}> for that byte", byte));
    bytes[byte] = found->second;
  }
  return bytes;
}

}  // namespace sluice
