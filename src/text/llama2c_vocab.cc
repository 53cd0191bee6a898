// llama2.c (Karpathy 2023) keeps of a SentencePiece model the pieces and their scores. Its rule: of all neighbours that
// together spell a piece, join those of the highest score, the leftmost of equals. Which two pieces spell a third is
// known beforehand, so the rule becomes an ordinary table of merges, ranked by falling score.
#include "text/llama2c_vocab.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/bytes.h"
#include "text/bpe_vocab.h"
#include "text/char_bpe.h"
#include "text/utf8.h"

namespace sluice {
namespace {

/// Finding the merges of a piece takes time in the square of its length.
constexpr int32_t kMaxPieceBytes = 128;
constexpr int32_t kBos = 1;
constexpr int32_t kEos = 2;
constexpr size_t kControls = 3;

struct Pieces {
  std::vector<std::string> text;
  std::vector<float> scores;
};

Result<Pieces> ReadPieces(std::span<const uint8_t> file) {
  ByteReader reader(file);
  SLUICE_ASSIGN_OR_RETURN(const int32_t longest, reader.Get<int32_t>());
  if (longest < 1 || longest > kMaxPieceBytes) {
    return Corrupt(fmt::format("offset 0: longest piece of {} bytes, expected 1 to {}", longest, kMaxPieceBytes));
  }
  Pieces pieces;
  while (reader.remaining() > 0) {
    const std::string where = fmt::format("piece {} at offset {}", pieces.text.size(), reader.offset());
    if (pieces.text.size() == kMaxVocabulary) return Corrupt(fmt::format("more than {} pieces", kMaxVocabulary));
    const Result<float> score = reader.Get<float>();
    if (!score.ok()) return score.status().WithContext(where);
    const Result<int32_t> size = reader.Get<int32_t>();
    if (!size.ok()) return size.status().WithContext(where);
    if (*size < 1 || *size > longest) {
      return Corrupt(fmt::format("{}: {} bytes, expected 1 to {}", where, *size, longest));
    }
    if (!std::isfinite(*score)) return Corrupt(where + ": its score is not a number");
    const Result<std::span<const uint8_t>> bytes = reader.GetBytes(static_cast<size_t>(*size));
    if (!bytes.ok()) return bytes.status().WithContext(where);
    pieces.text.emplace_back(bytes->begin(), bytes->end());
    pieces.scores.push_back(*score);
  }
  return pieces;
}

/// Score -> its place among the distinct scores, the highest first.
std::vector<uint32_t> RankByScore(const std::vector<float>& scores) {
  std::vector<float> order = scores;
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  std::vector<uint32_t> ranks;
  ranks.reserve(scores.size());
  for (const float score : scores) {
    ranks.push_back(
        static_cast<uint32_t>(std::lower_bound(order.begin(), order.end(), score, std::greater<>()) - order.begin()));
  }
  return ranks;
}

/// Every way in which two pieces spell a third.
PairTable FindMerges(const std::vector<std::string>& pieces, const std::vector<uint32_t>& ranks,
                     const std::unordered_map<std::string_view, int32_t>& ids) {
  PairTable merges(pieces.size() * 2);
  for (size_t id = kControls; id < pieces.size(); ++id) {
    const std::string_view piece = pieces[id];
    if (!ids.contains(piece)) continue;
    for (size_t at = Utf8Length(piece[0]); at < piece.size(); at += Utf8Length(piece[at])) {
      const auto left = ids.find(piece.substr(0, at));
      const auto right = ids.find(piece.substr(at));
      if (left == ids.end() || right == ids.end()) continue;
      merges.Insert(static_cast<uint32_t>(left->second), static_cast<uint32_t>(right->second),
                    {ranks[id], static_cast<int32_t>(id)});
    }
  }
  return merges;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> ParseLlama2cVocab(std::span<const uint8_t> file, const Sha256Digest& identity) {
  SLUICE_ASSIGN_OR_RETURN(Pieces pieces, ReadPieces(file));
  CharBpeSpec spec;
  SLUICE_ASSIGN_OR_RETURN(spec.byte_ids, FindBytePieces(pieces.text));
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t id = 0; id < pieces.text.size(); ++id) {
    const auto [entry, is_new] = ids.emplace(pieces.text[id], static_cast<int32_t>(id));
    if (!is_new) return Corrupt(fmt::format("pieces {} and {} are the same", entry->second, id));
  }
  // What is left are the pieces that text is made of.
  for (size_t id = 0; id < kControls; ++id) ids.erase(pieces.text[id]);
  for (const int32_t id : spec.byte_ids) ids.erase(pieces.text[static_cast<size_t>(id)]);
  spec.kind = "llama2c-bpe";
  spec.merges = FindMerges(pieces.text, RankByScore(pieces.scores), ids);
  spec.pieces = std::move(pieces.text);
  spec.control.assign(spec.pieces.size(), false);
  std::fill_n(spec.control.begin(), std::min(kControls, spec.pieces.size()), true);
  spec.bos = kBos;
  spec.eos = kEos;
  return MakeCharBpe(std::move(spec), identity);
}

}  // namespace sluice
