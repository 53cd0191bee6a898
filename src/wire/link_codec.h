#ifndef SLUICE_WIRE_LINK_CODEC_H_
#define SLUICE_WIRE_LINK_CODEC_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codec/certificate.h"
#include "codec/pack_codec.h"
#include "wire/stage_runner.h"

namespace sluice {

/// The codec of one link, whatever its family. Threads: any.
class LinkCodec {
 public:
  virtual ~LinkCodec() = default;

  virtual std::string name() const = 0;
  /// Bytes that are equal for equal codecs only.
  virtual std::string identity() const = 0;
  /// Of a float codec: what else has to be equal for its sums to be; else empty.
  virtual std::string profile() const { return ""; }
  /// Errors: Mismatch when it has no certificate; those of Requirement::Judge.
  virtual Result<PointVerdicts> Judge(const Requirement& requirement) const;
  /// The cut it was made for; -1 when any will do.
  virtual int64_t cut() const { return -1; }
  virtual uint32_t longest_chunk() const = 0;
  /// How many operating points a sender may choose from.
  virtual size_t points() const { return 1; }
  /// The one that a sender uses.
  virtual int point() const { return 0; }
  /// The same codec, whose senders use this operating point. Errors: InvalidArgument when it has no such point.
  virtual Result<std::unique_ptr<LinkCodec>> AtPoint(int point) const;
  /// Header of its streams.
  virtual StreamHeader Header() const = 0;
  virtual Status CheckHeader(const StreamHeader& header) const = 0;
  virtual std::unique_ptr<FrameEncoder> NewEncoder() const = 0;
  virtual std::unique_ptr<FrameDecoder> NewDecoder() const = 0;
};

/// Where a link runs: streams carry it.
struct LinkPlace {
  Sha256Digest model{};
  uint32_t width = 0;
  int64_t cut = 0;  ///< -1: whatever the pack was made for
};

/// The codecs that need no training framework: a plain codec's specification, or a pack's path, which `@N` may follow:
/// senders then use its operating point N, receivers read every point.
/// Errors: those of PackCodec::Open and MakePlainCodec; InvalidArgument for a point that the pack has not; Mismatch for
/// a pack of another model, cut or width.
Result<std::unique_ptr<LinkCodec>> OpenLinkCodec(const std::string& spec, const LinkPlace& place);

/// Whether OpenLinkCodec takes it for a pack.
bool IsPackSpec(const std::string& spec);

/// One frame as it travels.
struct LinkFrame {
  uint32_t tokens = 0;
  bool stored = false;  ///< 32-bit floats, because the codec could not take the values
  std::vector<uint8_t> payload;
};

/// The sending end of a session's link. Threads: one at a time.
class LinkSender {
 public:
  /// `codec` outlives it.
  static Result<LinkSender> Make(const LinkCodec& codec);
  /// Data: [T, d]. Errors: InvalidArgument for the shape.
  Result<LinkFrame> Push(MatrixView<const float> hidden);

 private:
  LinkSender(std::unique_ptr<FrameEncoder> encoder, StreamWriter writer, uint32_t longest)
      : encoder_(std::move(encoder)), writer_(std::move(writer)), longest_(longest) {}

  std::unique_ptr<FrameEncoder> encoder_;
  StreamWriter writer_;
  uint32_t longest_;
};

/// The receiving end. Threads: one at a time.
class LinkReceiver {
 public:
  /// `codec` outlives it. Frames of an operating point whose verdict is an error are refused with it.
  explicit LinkReceiver(const LinkCodec& codec, PointVerdicts verdicts = {})
      : codec_(&codec), decoder_(codec.NewDecoder()), verdicts_(std::move(verdicts)) {}
  /// [tokens, d]. Errors: Truncated, Corrupt, Unsupported or Mismatch for a payload that is not one whole frame of this
  /// codec with as many tokens as it says; found out before anything is allocated for them. None may follow then.
  Result<Matrix<float>> Pull(const LinkFrame& frame);

 private:
  Status Open(std::span<const uint8_t> payload);
  Result<Matrix<float>> ReadStored(const LinkFrame& frame) const;

  const LinkCodec* codec_;
  std::unique_ptr<FrameDecoder> decoder_;
  PointVerdicts verdicts_;
  std::optional<StreamReader> reader_;
  std::vector<uint8_t> bytes_;
};

}  // namespace sluice

#endif  // SLUICE_WIRE_LINK_CODEC_H_
