// libsentencepiece encodes every part; this decides what a part is. Given a megabyte at once the library manages
// 0.3 MB/s, because its working memory leaves the caches. A BPE model that changes nothing but spaces can be cut where
// no piece crosses (char_join.h), exactly: each word is then encoded once and remembered. With a dummy prefix, which
// the library puts before everything it is given, a cut must be followed by a space, and the prefix takes that space's
// place.
//
// The settings that decide this are not in the library's interface, so they are read from the file, a protocol buffer;
// reading it also finds truncated files, which the library reports without a reason.
#include "text/sentencepiece/library_model.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include "base/bytes.h"
#include "text/bpe_vocab.h"
#include "text/char_join.h"
#include "text/piece_cache.h"
#include "text/progress_meter.h"
#include "text/utf8.h"

namespace sluice {
namespace {

/// One field of a protocol buffer message: its number, and its integer or its bytes.
struct Field {
  uint64_t number = 0;
  uint64_t integer = 0;
  std::span<const uint8_t> bytes;
};

/// Errors: Truncated or Corrupt with the offset in the message.
Result<Field> ReadField(ByteReader& reader) {
  Field field;
  const size_t start = reader.offset();
  SLUICE_ASSIGN_OR_RETURN(const uint64_t tag, reader.GetVarint());
  field.number = tag >> 3;
  switch (tag & 7) {
    case 0: {
      SLUICE_ASSIGN_OR_RETURN(field.integer, reader.GetVarint());
      return field;
    }
    case 1: {
      SLUICE_ASSIGN_OR_RETURN(field.bytes, reader.GetBytes(8));
      return field;
    }
    case 2: {
      SLUICE_ASSIGN_OR_RETURN(const uint64_t size, reader.GetVarint());
      SLUICE_ASSIGN_OR_RETURN(field.bytes, reader.GetBytes(size));
      return field;
    }
    case 5: {
      SLUICE_ASSIGN_OR_RETURN(field.bytes, reader.GetBytes(4));
      return field;
    }
    default:
      return Corrupt(fmt::format("offset {}: no protocol buffer field begins with {}", start, tag));
  }
}

/// What of the model's settings decides how it may be driven. Defaults are the format's.
struct Settings {
  uint64_t model_type = 1;  // 1 unigram, 2 BPE
  bool suffix_spaces = false;
  bool charsmap = false;
  bool prefix = true;
  bool squeeze_spaces = true;
  bool escape_spaces = true;
  size_t pieces = 0;

  bool CanCut() const { return model_type == 2 && !suffix_spaces && !charsmap && !squeeze_spaces && escape_spaces; }
};

Status ReadTrainerSettings(std::span<const uint8_t> message, Settings& settings) {
  constexpr uint64_t kModelType = 3;
  constexpr uint64_t kWhitespaceAsSuffix = 24;
  ByteReader reader(message);
  while (reader.remaining() > 0) {
    SLUICE_ASSIGN_OR_RETURN(const Field field, ReadField(reader));
    if (field.number == kModelType) settings.model_type = field.integer;
    if (field.number == kWhitespaceAsSuffix) settings.suffix_spaces = field.integer != 0;
  }
  return OkStatus();
}

Status ReadNormalizerSettings(std::span<const uint8_t> message, Settings& settings) {
  ByteReader reader(message);
  while (reader.remaining() > 0) {
    SLUICE_ASSIGN_OR_RETURN(const Field field, ReadField(reader));
    if (field.number == 2) settings.charsmap = !field.bytes.empty();
    if (field.number == 3) settings.prefix = field.integer != 0;
    if (field.number == 4) settings.squeeze_spaces = field.integer != 0;
    if (field.number == 5) settings.escape_spaces = field.integer != 0;
  }
  return OkStatus();
}

Result<Settings> ReadSettings(std::string_view model) {
  constexpr uint64_t kPiece = 1;
  constexpr uint64_t kTrainer = 2;
  constexpr uint64_t kNormalizer = 3;
  Settings settings;
  ByteReader reader(AsBytes(model));
  while (reader.remaining() > 0) {
    SLUICE_ASSIGN_OR_RETURN(const Field field, ReadField(reader));
    if (field.number == kPiece) ++settings.pieces;
    if (field.number == kTrainer) SLUICE_RETURN_IF_ERROR(ReadTrainerSettings(field.bytes, settings));
    if (field.number == kNormalizer) SLUICE_RETURN_IF_ERROR(ReadNormalizerSettings(field.bytes, settings));
  }
  if (settings.pieces == 0 || settings.pieces > kMaxVocabulary) {
    return Corrupt(fmt::format("{} pieces, expected 1 to {}", settings.pieces, kMaxVocabulary));
  }
  return settings;
}

Status FromLibrary(const sentencepiece::util::Status& status, Status (*make)(std::string)) {
  return status.ok() ? OkStatus() : make(fmt::format("libsentencepiece: {}", status.error_message()));
}

class SentencePieceModel final : public Tokenizer {
 public:
  SentencePieceModel(std::unique_ptr<sentencepiece::SentencePieceProcessor> library, const Settings& settings,
                     const Sha256Digest& identity)
      : Tokenizer(identity), library_(std::move(library)), prefix_(settings.prefix), join_(true) {
    bool has_bytes = false;
    for (int id = 0; id < library_->GetPieceSize(); ++id) {
      has_bytes |= library_->IsByte(id);
      if (library_->IsControl(id) || library_->IsByte(id) || library_->IsUnknown(id)) continue;
      if (ValidateUtf8(library_->IdToPiece(id)).ok()) join_.AddPiece(library_->IdToPiece(id));
    }
    space_id_ = library_->PieceToId(kSpaceMark);
    can_cut_ = settings.CanCut() && !library_->IsUnknown(space_id_);
    cut_ = !has_bytes ? CharJoin::Cut::kBeforeSpace : prefix_ ? CharJoin::Cut::kBehindSpace : CharJoin::Cut::kAnywhere;
  }

  int32_t vocab_size() const override { return library_->GetPieceSize(); }
  std::optional<int32_t> bos() const override { return IfDefined(library_->bos_id()); }
  std::optional<int32_t> eos() const override { return IfDefined(library_->eos_id()); }
  std::string_view kind() const override { return "sentencepiece"; }

 private:
  static std::optional<int32_t> IfDefined(int id) { return id < 0 ? std::nullopt : std::optional<int32_t>(id); }

  Result<std::vector<int32_t>> DoEncode(std::string_view text, const EncodeProgress& progress) const override {
    SLUICE_RETURN_IF_ERROR(ValidateUtf8(text));
    std::vector<int32_t> ids;
    if (!can_cut_) {
      SLUICE_RETURN_IF_ERROR(FromLibrary(library_->Encode(text, &ids), Internal));
      return ids;
    }
    PieceCache cache(text.size());
    ProgressMeter meter(progress);
    for (size_t at = 0; at < text.size();) {
      const size_t end = join_.PartEnd(text, at, cut_);
      const std::string_view part = text.substr(at, end - at);
      Status status;
      if (at == 0) {
        status = AppendPart(part, ids);  // its prefix is its own: not to be remembered
      } else {
        cache.Append(part, ids, [&] { status = AppendInnerPart(part, ids); });
      }
      SLUICE_RETURN_IF_ERROR(status);
      SLUICE_RETURN_IF_ERROR(meter.At(end));
      at = end;
    }
    return ids;
  }

  Status AppendPart(std::string_view part, std::vector<int32_t>& ids) const {
    std::vector<int> part_ids;
    SLUICE_RETURN_IF_ERROR(FromLibrary(library_->Encode(part, &part_ids), Internal));
    ids.insert(ids.end(), part_ids.begin(), part_ids.end());
    return OkStatus();
  }

  /// A part that follows a cut.
  Status AppendInnerPart(std::string_view part, std::vector<int32_t>& ids) const {
    if (!prefix_) return AppendPart(part, ids);
    if (part == " ") {  // the library takes the empty text, prefix or not, for nothing
      ids.push_back(space_id_);
      return OkStatus();
    }
    if (part.front() == ' ') return AppendPart(part.substr(1), ids);
    const size_t begin = ids.size();
    SLUICE_RETURN_IF_ERROR(AppendPart(part, ids));
    if (begin == ids.size() || ids[begin] != space_id_) return Internal("libsentencepiece joined its prefix to a part");
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(begin));
    return OkStatus();
  }

  Result<std::string> DoDecode(std::span<const int32_t> ids) const override {
    std::string text;
    const std::vector<int> given(ids.begin(), ids.end());
    SLUICE_RETURN_IF_ERROR(FromLibrary(library_->Decode(given, &text), Internal));
    return text;
  }

  std::unique_ptr<sentencepiece::SentencePieceProcessor> library_;
  bool prefix_;
  CharJoin join_;
  CharJoin::Cut cut_ = CharJoin::Cut::kBeforeSpace;
  int32_t space_id_ = 0;
  bool can_cut_ = false;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> ParseWithLibrary(std::string_view model, const Sha256Digest& identity) {
  SLUICE_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(model));
  try {
    auto library = std::make_unique<sentencepiece::SentencePieceProcessor>();
    SLUICE_RETURN_IF_ERROR(FromLibrary(library->LoadFromSerializedProto(model), Corrupt));
    return std::unique_ptr<Tokenizer>(new SentencePieceModel(std::move(library), settings, identity));
  } catch (const std::exception& error) {
    return Corrupt(fmt::format("libsentencepiece: {}", error.what()));
  }
}

}  // namespace sluice
