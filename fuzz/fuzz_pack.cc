// Packs. Proves, for every input and for the same with its sizes and its checksum mended: the reader blames the input
// and stays inside of it; every tensor that it gives is aligned, inside the file and of the size of its shape; tables
// and operating points stay within their limits and with what the bytes explain; a codec that is made of a pack decodes
// what it encodes; the certificate changes neither the
// identity nor anything else; what was read can be written and read again as the same.
#include <algorithm>
#include <memory>
#include <numeric>

#include "codec/pack_stream.h"
#include "fix_checksums.h"
#include "format/pack.h"
#include "fuzz_input.h"

namespace sluice {
namespace {

void CheckTensor(const TensorView& tensor, std::span<const uint8_t> file) {
  FUZZ_REQUIRE(tensor.shape.size() <= kMaxPackRank);
  const uint64_t elements =
      std::accumulate(tensor.shape.begin(), tensor.shape.end(), uint64_t{1}, std::multiplies<uint64_t>());
  FUZZ_REQUIRE(elements * DTypeSize(tensor.dtype) == tensor.bytes.size());
  FUZZ_REQUIRE(tensor.bytes.data() >= file.data());
  FUZZ_REQUIRE(tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size());
  FUZZ_REQUIRE(static_cast<size_t>(tensor.bytes.data() - file.data()) % kPackAlignment == 0);
}

void CheckParts(const Pack& pack, std::span<const uint8_t> file) {
  for (const auto& [name, tensor] : pack.tensors()) {
    FUZZ_REQUIRE(name == tensor.name && pack.HasTensor(name));
    FUZZ_REQUIRE(pack.Tensor(name, tensor.dtype, tensor.shape).ok());
    CheckTensor(tensor, file);
  }
  size_t frequencies = 0;
  for (const auto& [name, tables] : pack.tables()) {
    FUZZ_REQUIRE(tables.size() <= kMaxPackTables && pack.Tables(name, tables.size()).ok());
    for (const PackTable& table : tables) frequencies += table.frequencies.size();
  }
  FUZZ_REQUIRE(frequencies <= file.size() && pack.operating_points().size() <= kMaxOperatingPoints);
  FUZZ_REQUIRE(pack.metadata().size() <= kMaxPackJson && pack.certificate().size() <= kMaxPackJson);
}

/// The same parts in the order of their names.
Result<std::vector<uint8_t>> Rewrite(const Pack& pack) {
  PackWriter writer(pack.info());
  for (const auto& [name, tables] : pack.tables()) writer.AddTables(name, tables);
  for (const auto& [name, tensor] : pack.tensors()) writer.AddTensor(tensor);
  writer.SetOperatingPoints(pack.operating_points());
  writer.SetMetadata(std::string(pack.metadata()));
  return writer.Serialize();
}

/// What a codec of the pack encodes, it decodes.
void TryCodec(std::span<const uint8_t> bytes) {
  constexpr uint32_t kMaxWidth = 64;
  const Result<std::unique_ptr<PackCodec>> codec = PackCodec::Make(*Pack::FromBytes(bytes));
  RequireInputFault(codec.status());
  if (!codec.ok() || (*codec)->pack().info().width > kMaxWidth) return;
  HiddenStates hidden;
  hidden.tokens = 3;
  hidden.values = Matrix<float>(hidden.tokens, (*codec)->pack().info().width);
  for (size_t i = 0; i < hidden.values.View().size(); ++i) hidden.values.data()[i] = static_cast<float>(i) - 4;
  Result<StreamWriter> writer = StreamWriter::ToMemory((*codec)->Header(DType::kF32));
  FUZZ_REQUIRE(writer.ok());
  const Status encoded = EncodeHidden(**codec, hidden, 2, *writer);
  RequireInputFault(encoded);
  if (!encoded.ok()) return;
  FUZZ_REQUIRE(writer->Finish().ok());
  const std::vector<uint8_t> stream = writer->Take();
  FUZZ_REQUIRE(DecodeHidden(**codec, stream).ok());
}

void TryPack(std::span<const uint8_t> bytes) {
  const Result<Pack> pack = Pack::FromBytes(bytes);
  RequireInputFault(pack.status());
  if (!pack.ok()) return;
  CheckParts(*pack, bytes);
  TryCodec(bytes);
  const Result<std::vector<uint8_t>> bare = WithCertificate(bytes, "");
  FUZZ_REQUIRE(bare.ok() && Pack::FromBytes(*bare)->hash() == pack->hash());
  const Result<std::vector<uint8_t>> certified = WithCertificate(*bare, pack->certificate());
  FUZZ_REQUIRE(certified.ok() && std::ranges::equal(*certified, bytes));
  const Result<std::vector<uint8_t>> again = Rewrite(*pack);
  FUZZ_REQUIRE(again.ok());
  const Result<Pack> same = Pack::FromBytes(*again);
  FUZZ_REQUIRE(same.ok() && same->info() == pack->info() && same->tables() == pack->tables());
  FUZZ_REQUIRE(same->tensors().size() == pack->tensors().size() && same->metadata() == pack->metadata());
  FUZZ_REQUIRE(*Rewrite(*same) == *again);
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return sluice::TryAsItIsAndMended(data, size, sluice::TryPack, sluice::RepairPack);
}
