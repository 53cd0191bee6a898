// The C interface over the rooms. Each function is a shell: it checks its pointers, calls the C++ that does the work,
// and turns its Status into a code and a message kept for the thread. Whatever might be thrown ends here.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "api/open_codec.h"
#include "api/stream_ends.h"
#include "codec/activation_archive.h"
#include "sluice/sluice.h"

// The macros of base/status.h name a variable like the C type; it does no harm.
#pragma GCC diagnostic ignored "-Wshadow"

using sluice::InvalidArgument;
using sluice::OkStatus;
using sluice::Result;
using sluice::Status;

struct sluice_codec {
  sluice::AnyCodec codec;
};
struct sluice_encoder {
  sluice::StreamEncoder encoder;
};
struct sluice_decoder {
  sluice::StreamDecoder decoder;
};
struct sluice_checkpoint {
  std::unique_ptr<sluice::CodecCheckpoint> checkpoint;
};

namespace {

thread_local std::string g_last_error;

sluice_status Report(const Status& status) {
  if (!status.ok()) g_last_error = status.message();
  return static_cast<sluice_status>(status.code());
}

// Runs `work` and reports; nothing thrown gets out.
template <typename Work>
sluice_status Guard(Work&& work) noexcept {
  try {
    return Report(work());
  } catch (const std::exception& error) {
    try {
      g_last_error = error.what();
    } catch (...) {
      g_last_error.clear();
    }
  } catch (...) {
    g_last_error.clear();
  }
  return SLUICE_INTERNAL;
}

Status NotNull(std::initializer_list<const void*> pointers) {
  const bool all = std::all_of(pointers.begin(), pointers.end(), [](const void* p) { return p != nullptr; });
  return all ? OkStatus() : InvalidArgument("a pointer is null");
}

Result<sluice::HiddenStates> FromC(const sluice_hidden& hidden) {
  SLUICE_RETURN_IF_ERROR(NotNull({hidden.values}));
  SLUICE_ASSIGN_OR_RETURN(const sluice::DType source, sluice::SourceOf(static_cast<int>(hidden.source)));
  const uint64_t limit = sluice::kMaxFrameElements;
  if (hidden.batch == 0 || hidden.tokens == 0 || hidden.width == 0 || hidden.batch > limit ||
      hidden.tokens > limit / hidden.batch || hidden.width > limit / (hidden.batch * hidden.tokens)) {
    return InvalidArgument("hidden states: batch, tokens and width must be at least 1 and hold at most 2^26 elements");
  }
  sluice::HiddenStates states;
  states.batch = hidden.batch;
  states.tokens = hidden.tokens;
  states.rank = hidden.batch == 1 ? 2 : 3;
  states.source = source;
  states.values = sluice::Matrix<float>(hidden.batch * hidden.tokens, hidden.width);
  std::copy_n(hidden.values, hidden.batch * hidden.tokens * hidden.width, states.values.data());
  return states;
}

sluice_hidden ToC(const sluice::HiddenStates& states) {
  const bool empty = states.values.rows() == 0;
  return {empty ? nullptr : states.values.data(), states.batch, states.tokens,
          static_cast<uint32_t>(states.values.cols()),
          static_cast<sluice_source>(sluice::HiddenTypeCode(states.source))};
}

template <typename T>
Result<T*> Allocate(size_t count) {
  auto* memory = static_cast<T*>(std::malloc(std::max<size_t>(1, count) * sizeof(T)));
  if (memory == nullptr) return sluice::Internal("no memory");
  return memory;
}

std::span<const uint8_t> SpanOf(sluice_bytes bytes) { return {bytes.data, bytes.data == nullptr ? 0 : bytes.size}; }

}  // namespace

extern "C" {

const char* sluice_version(void) { return SLUICE_VERSION; }

const char* sluice_status_name(sluice_status status) {
  return sluice::StatusCodeName(static_cast<sluice::StatusCode>(status)).data();
}

const char* sluice_last_error(void) { return g_last_error.c_str(); }

void sluice_free(void* memory) { std::free(memory); }

sluice_status sluice_codec_open(const char* spec, sluice_codec** codec) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({spec, codec}));
    SLUICE_ASSIGN_OR_RETURN(sluice::AnyCodec opened, sluice::AnyCodec::Open(spec));
    *codec = new sluice_codec{std::move(opened)};
    return OkStatus();
  });
}

void sluice_codec_close(sluice_codec* codec) { delete codec; }

uint32_t sluice_codec_width(const sluice_codec* codec) { return codec == nullptr ? 0 : codec->codec.width(); }

sluice_status sluice_encode(const sluice_codec* codec, const sluice_hidden* hidden, uint8_t** frame, size_t* size) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({codec, hidden, frame, size}));
    SLUICE_ASSIGN_OR_RETURN(const sluice::HiddenStates states, FromC(*hidden));
    SLUICE_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, codec->codec.EncodeFrame(states));
    SLUICE_ASSIGN_OR_RETURN(*frame, Allocate<uint8_t>(bytes.size()));
    std::memcpy(*frame, bytes.data(), bytes.size());
    *size = bytes.size();
    return OkStatus();
  });
}

sluice_status sluice_decode(const sluice_codec* codec, sluice_bytes bytes, uint64_t max_elements,
                            sluice_hidden* hidden) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({codec, hidden}));
    const uint64_t limit = max_elements == 0 ? sluice::kDefaultMaxElements : max_elements;
    SLUICE_ASSIGN_OR_RETURN(const sluice::HiddenStates states, codec->codec.Decode(SpanOf(bytes), limit));
    const size_t count = states.values.rows() * states.values.cols();
    SLUICE_ASSIGN_OR_RETURN(float* const values, Allocate<float>(count));
    std::copy_n(states.values.data(), count, values);
    *hidden = ToC(states);
    hidden->values = values;
    return OkStatus();
  });
}

sluice_status sluice_encoder_open(const sluice_codec* codec, uint32_t width, sluice_source source,
                                  sluice_encoder** encoder) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({codec, encoder}));
    SLUICE_ASSIGN_OR_RETURN(const sluice::DType type, sluice::SourceOf(static_cast<int>(source)));
    SLUICE_ASSIGN_OR_RETURN(sluice::StreamEncoder made, sluice::StreamEncoder::Make(codec->codec, width, type));
    *encoder = new sluice_encoder{std::move(made)};
    return OkStatus();
  });
}

sluice_status sluice_encoder_push(sluice_encoder* encoder, const sluice_hidden* hidden, sluice_bytes* bytes) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder, hidden, bytes}));
    SLUICE_ASSIGN_OR_RETURN(const sluice::HiddenStates states, FromC(*hidden));
    SLUICE_ASSIGN_OR_RETURN(const std::span<const uint8_t> out, encoder->encoder.Push(states));
    *bytes = {out.data(), out.size()};
    return OkStatus();
  });
}

sluice_status sluice_encoder_finish(sluice_encoder* encoder, sluice_bytes* bytes) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder, bytes}));
    SLUICE_ASSIGN_OR_RETURN(const std::span<const uint8_t> out, encoder->encoder.Finish());
    *bytes = {out.data(), out.size()};
    return OkStatus();
  });
}

void sluice_encoder_close(sluice_encoder* encoder) { delete encoder; }

sluice_status sluice_decoder_open(const sluice_codec* codec, sluice_decoder** decoder) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({codec, decoder}));
    *decoder = new sluice_decoder{sluice::StreamDecoder(codec->codec)};
    return OkStatus();
  });
}

sluice_status sluice_decoder_feed(sluice_decoder* decoder, sluice_bytes bytes) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({decoder}));
    decoder->decoder.Feed(SpanOf(bytes));
    return OkStatus();
  });
}

sluice_status sluice_decoder_pull(sluice_decoder* decoder, sluice_hidden* hidden) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({decoder, hidden}));
    SLUICE_ASSIGN_OR_RETURN(const sluice::HiddenStates* const states, decoder->decoder.Pull());
    *hidden = ToC(*states);
    return OkStatus();
  });
}

void sluice_decoder_close(sluice_decoder* decoder) { delete decoder; }

sluice_status sluice_decoder_set_limit(sluice_decoder* decoder, uint64_t max_elements) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({decoder}));
    decoder->decoder.LimitElements(max_elements == 0 ? sluice::kMaxFrameElements : max_elements);
    return OkStatus();
  });
}

sluice_status sluice_encoder_set_point(sluice_encoder* encoder, int point) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder}));
    return encoder->encoder.SetPoint(point);
  });
}

sluice_status sluice_encoder_set_target(sluice_encoder* encoder, double bits_per_token) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder}));
    return encoder->encoder.SetTarget(bits_per_token);
  });
}

sluice_status sluice_encoder_set_tokens(sluice_encoder* encoder, const int32_t* ids, size_t count) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder, ids}));
    return encoder->encoder.SetTokens({ids, count});
  });
}

sluice_status sluice_encoder_send_tokens(sluice_encoder* encoder) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder}));
    return encoder->encoder.SendTokens();
  });
}

sluice_status sluice_encoder_trim(sluice_encoder* encoder, size_t tokens) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder}));
    return encoder->encoder.Trim(tokens);
  });
}

sluice_status sluice_encoder_checkpoint(const sluice_encoder* encoder, sluice_checkpoint** checkpoint) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder, checkpoint}));
    *checkpoint = new sluice_checkpoint{encoder->encoder.Checkpoint()};
    return OkStatus();
  });
}

sluice_status sluice_encoder_restore(sluice_encoder* encoder, const sluice_checkpoint* checkpoint) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({encoder, checkpoint}));
    return encoder->encoder.Restore(*checkpoint->checkpoint);
  });
}

sluice_status sluice_decoder_set_tokens(sluice_decoder* decoder, const int32_t* ids, size_t count) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({decoder, ids}));
    return decoder->decoder.SetTokens({ids, count});
  });
}

sluice_status sluice_decoder_tokens(const sluice_decoder* decoder, const int32_t** ids, size_t* count) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({decoder, ids, count}));
    const std::span<const int32_t> tokens = decoder->decoder.tokens();
    *ids = tokens.data();
    *count = tokens.size();
    return OkStatus();
  });
}

sluice_status sluice_decoder_trim(sluice_decoder* decoder, size_t tokens) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({decoder}));
    return decoder->decoder.Trim(tokens);
  });
}

sluice_status sluice_decoder_checkpoint(const sluice_decoder* decoder, sluice_checkpoint** checkpoint) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({decoder, checkpoint}));
    *checkpoint = new sluice_checkpoint{decoder->decoder.Checkpoint()};
    return OkStatus();
  });
}

sluice_status sluice_decoder_restore(sluice_decoder* decoder, const sluice_checkpoint* checkpoint) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({decoder, checkpoint}));
    return decoder->decoder.Restore(*checkpoint->checkpoint);
  });
}

void sluice_checkpoint_close(sluice_checkpoint* checkpoint) { delete checkpoint; }

sluice_status sluice_archive_pack(const char* in, const char* tensor, const char* archive, sluice_fidelity fidelity,
                                  double bound) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({in, archive}));
    if (fidelity < SLUICE_LOSSLESS || fidelity > SLUICE_BITS) return InvalidArgument("an unknown fidelity");
    sluice::PackOptions options;
    options.fidelity = {static_cast<sluice::Fidelity>(fidelity), bound};
    return sluice::PackHidden(in, tensor == nullptr ? "" : tensor, archive, options).status();
  });
}

sluice_status sluice_archive_unpack(const char* archive, const char* out, uint64_t first, uint64_t last) {
  return Guard([&]() -> Status {
    SLUICE_RETURN_IF_ERROR(NotNull({archive, out}));
    if (last == 0) return sluice::UnpackHidden(archive, out).status();
    return sluice::UnpackHidden(archive, out, std::pair{first, last}).status();
  });
}

}  // extern "C"
