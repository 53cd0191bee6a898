// NumPy's .npy: magic, version, header size, a Python dictionary as text, data. The dictionary that NumPy writes has
// three known keys and no nesting but the shape's tuple, so a scanner of that shape is enough and safer than a Python
// parser.
#include "format/npy.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "base/bytes.h"
#include "base/file.h"

namespace sluice {
namespace {

constexpr std::array<uint8_t, 6> kNpyMagic = {0x93, 'N', 'U', 'M', 'P', 'Y'};
constexpr size_t kAlignment = 64;

// Scans {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class DictScanner {
 public:
  explicit DictScanner(std::string_view text) : text_(text) {}

  Status Scan() {
    SLUICE_RETURN_IF_ERROR(Expect('{'));
    while (!Accept('}')) {
      SLUICE_ASSIGN_OR_RETURN(const std::string_view key, Quoted());
      SLUICE_RETURN_IF_ERROR(Expect(':'));
      SLUICE_RETURN_IF_ERROR(Value(key));
      if (!Accept(',')) {
        SLUICE_RETURN_IF_ERROR(Expect('}'));
        break;
      }
    }
    SkipSpace();
    if (!text_.empty()) return Corrupt("header: text after the dictionary");
    if (seen_ != 7) return Corrupt("header: descr, fortran_order and shape are all needed");
    return OkStatus();
  }

  std::string_view descr;
  bool fortran_order = false;
  std::vector<uint64_t> shape;

 private:
  void SkipSpace() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size())); }

  bool Accept(char wanted) {
    SkipSpace();
    if (text_.empty() || text_[0] != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }

  Status Expect(char wanted) {
    return Accept(wanted) ? OkStatus()
                          : Corrupt(fmt::format("header: '{}' expected before \"{}\"", wanted, text_.substr(0, 20)));
  }

  Result<std::string_view> Quoted() {
    SkipSpace();
    const char quote = text_.empty() ? ' ' : text_[0];
    const size_t end = quote == '\'' || quote == '"' ? text_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) return Corrupt("header: a quoted string expected");
    const std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }

  Status See(int key) {
    if ((seen_ & key) != 0) return Corrupt("header: a key stands there twice");
    seen_ |= key;
    return OkStatus();
  }

  Status Value(std::string_view key) {
    if (key == "descr") {
      SLUICE_RETURN_IF_ERROR(See(1));
      SkipSpace();
      if (!text_.empty() && text_[0] == '[') return Unsupported("header: structured arrays are not read");
      SLUICE_ASSIGN_OR_RETURN(descr, Quoted());
      return OkStatus();
    }
    if (key == "fortran_order") {
      SLUICE_RETURN_IF_ERROR(See(2));
      SkipSpace();
      fortran_order = text_.starts_with("True");
      if (!fortran_order && !text_.starts_with("False"))
        return Corrupt("header: fortran_order is neither True nor False");
      text_.remove_prefix(fortran_order ? 4 : 5);
      return OkStatus();
    }
    if (key != "shape") return Corrupt(fmt::format("header: unknown key \"{}\"", key));
    SLUICE_RETURN_IF_ERROR(See(4));
    return Shape();
  }

  Status Shape() {
    SLUICE_RETURN_IF_ERROR(Expect('('));
    while (!Accept(')')) {
      SkipSpace();
      uint64_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
      if (error != std::errc()) return Corrupt("header: shape is not a tuple of integers");
      if (shape.size() == 8) return Unsupported("header: more than 8 dimensions");
      shape.push_back(extent);
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      if (!Accept(',')) return Expect(')');
    }
    return OkStatus();
  }

  std::string_view text_;
  int seen_ = 0;
};

Result<std::string_view> HeaderText(ByteReader& reader) {
  SLUICE_ASSIGN_OR_RETURN(const auto magic, reader.GetBytes(kNpyMagic.size()));
  if (!std::equal(magic.begin(), magic.end(), kNpyMagic.begin())) return Corrupt("not a .npy file");
  SLUICE_ASSIGN_OR_RETURN(const uint8_t major, reader.Get<uint8_t>());
  SLUICE_ASSIGN_OR_RETURN(const uint8_t minor, reader.Get<uint8_t>());
  if ((major != 1 && major != 2) || minor != 0) {
    return Unsupported(fmt::format(".npy version {}.{}, versions 1.0 and 2.0 are read", major, minor));
  }
  size_t size = 0;
  if (major == 1) {
    SLUICE_ASSIGN_OR_RETURN(size, reader.Get<uint16_t>());
  } else {
    SLUICE_ASSIGN_OR_RETURN(size, reader.Get<uint32_t>());
  }
  if (size > kMaxNpyHeader)
    return Corrupt(fmt::format("a header of {} bytes, at most {} are read", size, kMaxNpyHeader));
  SLUICE_ASSIGN_OR_RETURN(const auto text, reader.GetBytes(size));
  return std::string_view(reinterpret_cast<const char*>(text.data()), text.size());
}

}  // namespace

Result<TensorView> ParseNpy(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  SLUICE_ASSIGN_OR_RETURN(const std::string_view text, HeaderText(reader));
  DictScanner dict(text);
  SLUICE_RETURN_IF_ERROR(dict.Scan());
  if (dict.fortran_order) return Unsupported("Fortran order: save a C-ordered copy (numpy.ascontiguousarray)");
  if (dict.descr != "<f4" && dict.descr != "<f2") {
    const bool maybe_bf16 = dict.descr.ends_with("V2") || dict.descr == "bfloat16";
    return Unsupported(fmt::format("type \"{}\", only \"<f4\" and \"<f2\" are read{}", dict.descr,
                                   maybe_bf16 ? "; keep bfloat16 in .safetensors" : ""));
  }
  TensorView view{"", dict.descr == "<f4" ? DType::kF32 : DType::kF16, dict.shape, {}};
  uint64_t size = DTypeSize(view.dtype);
  for (uint64_t extent : view.shape) {
    if (__builtin_mul_overflow(size, extent, &size))
      return Corrupt(fmt::format("shape {} overflows", ShapeString(view.shape)));
  }
  SLUICE_ASSIGN_OR_RETURN(view.bytes, reader.GetBytes(size));
  if (reader.remaining() != 0) return Corrupt(fmt::format("{} bytes after the data", reader.remaining()));
  return view;
}

Result<std::string> NpyPrefix(const TensorView& tensor) {
  if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16) {
    return Unsupported(fmt::format(".npy holds F32 and F16, not {}: use .safetensors", DTypeName(tensor.dtype)));
  }
  std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                 tensor.dtype == DType::kF32 ? "<f4" : "<f2", fmt::join(tensor.shape, ", "),
                                 tensor.shape.size() == 1 ? "," : "");
  const size_t before = kNpyMagic.size() + 4;
  dict.append(kAlignment - 1 - (before + dict.size()) % kAlignment, ' ');
  dict += '\n';
  ByteWriter header;
  header.PutBytes(kNpyMagic);
  header.Put<uint8_t>(1);
  header.Put<uint8_t>(0);
  header.Put<uint16_t>(static_cast<uint16_t>(dict.size()));
  header.PutString(dict);
  return std::string(header.bytes().begin(), header.bytes().end());
}

Status WriteNpy(const std::filesystem::path& path, const TensorView& tensor) {
  SLUICE_ASSIGN_OR_RETURN(const std::string prefix, NpyPrefix(tensor));
  SLUICE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  SLUICE_RETURN_IF_ERROR(file.Write(AsBytes(prefix)));
  SLUICE_RETURN_IF_ERROR(file.Write(tensor.bytes));
  return file.Commit();
}

}  // namespace sluice
