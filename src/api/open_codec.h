#ifndef SLUICE_API_OPEN_CODEC_H_
#define SLUICE_API_OPEN_CODEC_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "codec/pack_codec.h"
#include "plain/hidden_stream.h"

namespace sluice {

/// As HiddenTypeOf. Errors: InvalidArgument.
Result<DType> SourceOf(int code);

/// A plain codec or one of a pack. Threads: const access from any number of threads.
class AnyCodec {
 public:
  /// A pack's path, or a plain codec's specification. Errors: those of PackCodec::Open and MakePlainCodec.
  static Result<AnyCodec> Open(const std::string& spec);

  /// 0 for plain codecs.
  uint32_t width() const { return pack_ ? pack_->pack().info().width : 0; }
  const HiddenCodec* plain() const { return plain_.get(); }
  const PackCodec* pack() const { return pack_.get(); }

  StreamHeader Header(uint32_t width, DType source, uint16_t flags) const;
  /// Errors: Mismatch when a stream is another codec's.
  Status CheckHeader(const StreamHeader& header) const;
  /// As one self-contained frame. Errors: InvalidArgument.
  Result<std::vector<uint8_t>> EncodeFrame(const HiddenStates& hidden) const;
  /// A whole stream or a self-contained frame. Errors: those of DecodeHidden; Mismatch for another codec's.
  Result<HiddenStates> Decode(std::span<const uint8_t> bytes, uint64_t max_elements) const;

 private:
  std::unique_ptr<HiddenCodec> plain_;
  std::unique_ptr<PackCodec> pack_;
};

}  // namespace sluice

#endif  // SLUICE_API_OPEN_CODEC_H_
