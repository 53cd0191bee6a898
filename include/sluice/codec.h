#ifndef SLUICE_CODEC_H_
#define SLUICE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sluice/sluice.h"

/// sluice in C++: the C interface with owners and vectors, in this header alone, so that no type of the standard
/// library crosses the border of the shared library. Nothing here throws except what the standard containers throw.
namespace sluice::api {

/// A value, or the status and message that explain its absence.
template <typename T>
struct Outcome {
  sluice_status status = SLUICE_OK;
  std::string message;
  std::optional<T> value;

  explicit operator bool() const { return status == SLUICE_OK; }
  T& operator*() { return *value; }
  T* operator->() { return &*value; }
};

/// The failure of the call before.
template <typename T>
Outcome<T> Failed(sluice_status status) {
  return {status, sluice_last_error(), std::nullopt};
}

/// Hidden states [batch, tokens, width], row-major.
struct Hidden {
  std::vector<float> values;
  uint64_t batch = 1;
  uint64_t tokens = 0;
  uint32_t width = 0;
  sluice_source source = SLUICE_F32;

  sluice_hidden View() const { return {values.data(), batch, tokens, width, source}; }
  static Hidden Copy(const sluice_hidden& from) {
    return {{from.values, from.values + from.batch * from.tokens * from.width},
            from.batch,
            from.tokens,
            from.width,
            from.source};
  }
};

using Bytes = std::vector<uint8_t>;

/// The state of one end after some frames, to come back to. Must not outlive its codec.
class Checkpoint {
 private:
  friend class Encoder;
  friend class Decoder;
  struct Close {
    void operator()(sluice_checkpoint* checkpoint) const { sluice_checkpoint_close(checkpoint); }
  };
  explicit Checkpoint(sluice_checkpoint* handle) : handle_(handle) {}
  std::unique_ptr<sluice_checkpoint, Close> handle_;
};

/// The sending end of one stream.
class Encoder {
 public:
  /// Bytes that continue the stream; the first ones begin with its header.
  Outcome<Bytes> Push(const Hidden& hidden) {
    const sluice_hidden view = hidden.View();
    sluice_bytes bytes{};
    const sluice_status status = sluice_encoder_push(handle_.get(), &view, &bytes);
    if (status != SLUICE_OK) return Failed<Bytes>(status);
    return {SLUICE_OK, {}, Bytes(bytes.data, bytes.data + bytes.size)};
  }
  /// The end of the stream.
  Outcome<Bytes> Finish() {
    sluice_bytes bytes{};
    const sluice_status status = sluice_encoder_finish(handle_.get(), &bytes);
    if (status != SLUICE_OK) return Failed<Bytes>(status);
    return {SLUICE_OK, {}, Bytes(bytes.data, bytes.data + bytes.size)};
  }

  /// Takes back the last tokens of a stream of one row, at most 63, as the other end must at the same place.
  sluice_status Trim(size_t tokens) { return sluice_encoder_trim(handle_.get(), tokens); }
  /// The state now, and back to it on this or another such end of the same codec.
  Outcome<Checkpoint> Keep() const {
    sluice_checkpoint* checkpoint = nullptr;
    const sluice_status status = sluice_encoder_checkpoint(handle_.get(), &checkpoint);
    if (status != SLUICE_OK) return Failed<Checkpoint>(status);
    return {SLUICE_OK, {}, Checkpoint(checkpoint)};
  }
  sluice_status Restore(const Checkpoint& checkpoint) {
    return sluice_encoder_restore(handle_.get(), checkpoint.handle_.get());
  }
  /// Ids of the next frame's tokens, for packs made with side information; both ends must be told.
  sluice_status SetTokens(const std::vector<int32_t>& ids) {
    return sluice_encoder_set_tokens(handle_.get(), ids.data(), ids.size());
  }
  /// Before the first frame: the stream carries the ids.
  sluice_status SendTokens() { return sluice_encoder_send_tokens(handle_.get()); }
  /// The operating point of the frames that follow, 0 the finest; or a rate that the encoder meets by choosing.
  sluice_status SetPoint(int point) { return sluice_encoder_set_point(handle_.get(), point); }
  sluice_status SetTarget(double bits_per_token) { return sluice_encoder_set_target(handle_.get(), bits_per_token); }

 private:
  friend class Codec;
  struct Close {
    void operator()(sluice_encoder* encoder) const { sluice_encoder_close(encoder); }
  };
  explicit Encoder(sluice_encoder* handle) : handle_(handle) {}
  std::unique_ptr<sluice_encoder, Close> handle_;
};

/// The receiving end of one stream.
class Decoder {
 public:
  /// Takes the next bytes of the stream, cut anywhere.
  sluice_status Feed(const Bytes& bytes) { return sluice_decoder_feed(handle_.get(), {bytes.data(), bytes.size()}); }
  /// The next frame; empty (0 tokens) at the end. SLUICE_TRUNCATED asks for more bytes.
  Outcome<Hidden> Pull() {
    sluice_hidden hidden{};
    const sluice_status status = sluice_decoder_pull(handle_.get(), &hidden);
    if (status != SLUICE_OK) return Failed<Hidden>(status);
    return {SLUICE_OK, {}, hidden.values == nullptr ? Hidden() : Hidden::Copy(hidden)};
  }

  /// The most floats of a frame from now on; 0: 2^26, the most that the format allows. A frame of more is
  /// SLUICE_INVALID_ARGUMENT.
  sluice_status SetLimit(uint64_t max_elements) { return sluice_decoder_set_limit(handle_.get(), max_elements); }
  /// Takes back the last tokens of a stream of one row, at most 63, as the other end must at the same place.
  sluice_status Trim(size_t tokens) { return sluice_decoder_trim(handle_.get(), tokens); }
  /// The state now, and back to it on this or another such end of the same codec.
  Outcome<Checkpoint> Keep() const {
    sluice_checkpoint* checkpoint = nullptr;
    const sluice_status status = sluice_decoder_checkpoint(handle_.get(), &checkpoint);
    if (status != SLUICE_OK) return Failed<Checkpoint>(status);
    return {SLUICE_OK, {}, Checkpoint(checkpoint)};
  }
  sluice_status Restore(const Checkpoint& checkpoint) {
    return sluice_decoder_restore(handle_.get(), checkpoint.handle_.get());
  }
  /// Ids of the next frame's tokens, for packs made with side information; both ends must be told.
  sluice_status SetTokens(const std::vector<int32_t>& ids) {
    return sluice_decoder_set_tokens(handle_.get(), ids.data(), ids.size());
  }
  /// Those that the frame pulled last carried.
  std::vector<int32_t> Tokens() const {
    const int32_t* ids = nullptr;
    size_t count = 0;
    if (sluice_decoder_tokens(handle_.get(), &ids, &count) != SLUICE_OK) return {};
    return {ids, ids + count};
  }

 private:
  friend class Codec;
  struct Close {
    void operator()(sluice_decoder* decoder) const { sluice_decoder_close(decoder); }
  };
  explicit Decoder(sluice_decoder* handle) : handle_(handle) {}
  std::unique_ptr<sluice_decoder, Close> handle_;
};

/// A codec. Threads: any number at once. Encoders and decoders must not outlive it.
class Codec {
 public:
  /// The path of a pack, or a plain codec by name: "fp16", "int8", "q80", "zstd:3" ...
  static Outcome<Codec> Open(const std::string& spec) {
    sluice_codec* codec = nullptr;
    const sluice_status status = sluice_codec_open(spec.c_str(), &codec);
    if (status != SLUICE_OK) return Failed<Codec>(status);
    return {SLUICE_OK, {}, Codec(codec)};
  }
  /// The width that it codes; 0 for any.
  uint32_t width() const { return sluice_codec_width(handle_.get()); }

  /// One self-contained frame.
  Outcome<Bytes> Encode(const Hidden& hidden) const {
    const sluice_hidden view = hidden.View();
    uint8_t* frame = nullptr;
    size_t size = 0;
    const sluice_status status = sluice_encode(handle_.get(), &view, &frame, &size);
    if (status != SLUICE_OK) return Failed<Bytes>(status);
    const std::unique_ptr<uint8_t, void (*)(void*)> owner(frame, sluice_free);
    return {SLUICE_OK, {}, Bytes(frame, frame + size)};
  }
  /// A self-contained frame or a whole stream of at most `max_elements` floats; 0: 2^30.
  Outcome<Hidden> Decode(const Bytes& bytes, uint64_t max_elements = 0) const {
    sluice_hidden hidden{};
    const sluice_status status = sluice_decode(handle_.get(), {bytes.data(), bytes.size()}, max_elements, &hidden);
    if (status != SLUICE_OK) return Failed<Hidden>(status);
    const std::unique_ptr<void, void (*)(void*)> owner(const_cast<float*>(hidden.values), sluice_free);
    return {SLUICE_OK, {}, Hidden::Copy(hidden)};
  }
  Outcome<Encoder> NewEncoder(uint32_t width, sluice_source source = SLUICE_F32) const {
    sluice_encoder* encoder = nullptr;
    const sluice_status status = sluice_encoder_open(handle_.get(), width, source, &encoder);
    if (status != SLUICE_OK) return Failed<Encoder>(status);
    return {SLUICE_OK, {}, Encoder(encoder)};
  }
  Outcome<Decoder> NewDecoder() const {
    sluice_decoder* decoder = nullptr;
    const sluice_status status = sluice_decoder_open(handle_.get(), &decoder);
    if (status != SLUICE_OK) return Failed<Decoder>(status);
    return {SLUICE_OK, {}, Decoder(decoder)};
  }

 private:
  struct Close {
    void operator()(sluice_codec* codec) const { sluice_codec_close(codec); }
  };
  explicit Codec(sluice_codec* handle) : handle_(handle) {}
  std::unique_ptr<sluice_codec, Close> handle_;
};

}  // namespace sluice::api

#endif  // SLUICE_CODEC_H_
