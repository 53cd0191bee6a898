#ifndef SLUICE_SLUICE_H_
#define SLUICE_SLUICE_H_

#include <stddef.h>
#include <stdint.h>

/* sluice in C: compresses hidden states of transformers, and gives them back (docs/api.md).
 *
 * Every function that can fail returns a sluice_status; what was wrong is then told by sluice_last_error. Handles are
 * opaque; each belongs to one thread at a time, except that a codec may be used by any number of encoders and decoders
 * in any number of threads. Memory that a function gives belongs to the handle, and lives until its next call, or is
 * named to be freed with sluice_free. No exception leaves the library. */

#if defined(_WIN32)
#define SLUICE_API
#else
#define SLUICE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The values are stable. */
typedef enum sluice_status {
  SLUICE_OK = 0,
  SLUICE_INVALID_ARGUMENT = 1, /* the caller asked for something that cannot be */
  SLUICE_TRUNCATED = 2,        /* the input ends early: more bytes may help */
  SLUICE_CORRUPT = 3,          /* the input is damaged */
  SLUICE_UNSUPPORTED = 4,      /* the input is newer than this library */
  SLUICE_MISMATCH = 5,         /* the input belongs to another model, codec or cut */
  SLUICE_INTERNAL = 6,         /* a bug, or no memory */
  SLUICE_IO = 7,               /* the system refused to open, read or write */
  SLUICE_INTERRUPTED = 8
} sluice_status;

/* What hidden states were before they became float. Recorded, not enforced. */
typedef enum sluice_source { SLUICE_F32 = 1, SLUICE_F16 = 2, SLUICE_BF16 = 3 } sluice_source;

/* How close to the original an archive stays. */
typedef enum sluice_fidelity {
  SLUICE_LOSSLESS = 0,
  SLUICE_ABSOLUTE = 1, /* |x' - x| <= bound */
  SLUICE_RELATIVE = 2, /* |x' - x| <= bound * |x| */
  SLUICE_BITS = 3      /* at most `bound` bits an element */
} sluice_fidelity;

/* The hidden states of `batch` rows of `tokens` tokens of `width` channels, row after row. */
typedef struct sluice_hidden {
  const float* values;
  uint64_t batch;
  uint64_t tokens;
  uint32_t width;
  sluice_source source;
} sluice_hidden;

typedef struct sluice_bytes {
  const uint8_t* data;
  size_t size;
} sluice_bytes;

typedef struct sluice_codec sluice_codec;
typedef struct sluice_encoder sluice_encoder;
typedef struct sluice_decoder sluice_decoder;
typedef struct sluice_checkpoint sluice_checkpoint;

/* "0.1.0". */
SLUICE_API const char* sluice_version(void);
/* Name of a status, "Corrupt". */
SLUICE_API const char* sluice_status_name(sluice_status status);
/* What was wrong in the last call of this thread that failed: what, where, expected and got. */
SLUICE_API const char* sluice_last_error(void);
/* Frees what the functions that say so have given. Null is allowed. */
SLUICE_API void sluice_free(void* memory);

/* Opens a codec: the path of a pack, or a plain codec by name: "fp16", "int8", "q80", "zstd:3" ... */
SLUICE_API sluice_status sluice_codec_open(const char* spec, sluice_codec** codec);
/* Encoders and decoders made from it must be closed before. Null is allowed. */
SLUICE_API void sluice_codec_close(sluice_codec* codec);
/* The width that it codes; 0 for plain codecs, which code any. */
SLUICE_API uint32_t sluice_codec_width(const sluice_codec* codec);

/* All of `hidden` as one self-contained frame. `*frame` is to be freed with sluice_free. */
SLUICE_API sluice_status sluice_encode(const sluice_codec* codec, const sluice_hidden* hidden, uint8_t** frame,
                                       size_t* size);
/* A self-contained frame, or a whole stream, of this codec. `hidden->values` are to be freed with sluice_free. At most
 * `max_elements` floats are made; 0 means 2^30. */
SLUICE_API sluice_status sluice_decode(const sluice_codec* codec, sluice_bytes bytes, uint64_t max_elements,
                                       sluice_hidden* hidden);

/* Begins a stream of hidden states of one width. */
SLUICE_API sluice_status sluice_encoder_open(const sluice_codec* codec, uint32_t width, sluice_source source,
                                             sluice_encoder** encoder);
/* Encodes the next tokens. `bytes` continue the stream, and hold its header the first time; they live until the next
 * call. One token of one row takes the fewest bytes that the codec can. */
SLUICE_API sluice_status sluice_encoder_push(sluice_encoder* encoder, const sluice_hidden* hidden, sluice_bytes* bytes);
/* The end of the stream. Nothing can be pushed afterwards. */
SLUICE_API sluice_status sluice_encoder_finish(sluice_encoder* encoder, sluice_bytes* bytes);
SLUICE_API void sluice_encoder_close(sluice_encoder* encoder);
/* The operating point of the frames that follow, 0 the finest; or the rate that the encoder then meets by choosing among
 * them, for codecs that have more than one. */
SLUICE_API sluice_status sluice_encoder_set_point(sluice_encoder* encoder, int point);
SLUICE_API sluice_status sluice_encoder_set_target(sluice_encoder* encoder, double bits_per_token);
/* The ids of the next frame's tokens, for packs made with side information; both ends must be told. */
SLUICE_API sluice_status sluice_encoder_set_tokens(sluice_encoder* encoder, const int32_t* ids, size_t count);
/* Before the first frame: the stream carries the ids, entropy-coded, for a decoder that does not know them. Who reads the
 * stream with the pack can read the text. */
SLUICE_API sluice_status sluice_encoder_send_tokens(sluice_encoder* encoder);
/* Takes back the last tokens of a stream of one row, at most 63: what follows is coded as if they had not been. The other
 * end must do the same before it takes the next frame. */
SLUICE_API sluice_status sluice_encoder_trim(sluice_encoder* encoder, size_t tokens);
/* The state after the frames so far, and back to it, as often as wanted, on this or any encoder of the same codec. Each
 * end keeps its own, at the same places of the stream. A checkpoint must not outlive its codec. */
SLUICE_API sluice_status sluice_encoder_checkpoint(const sluice_encoder* encoder, sluice_checkpoint** checkpoint);
SLUICE_API sluice_status sluice_encoder_restore(sluice_encoder* encoder, const sluice_checkpoint* checkpoint);
SLUICE_API void sluice_checkpoint_close(sluice_checkpoint* checkpoint);

SLUICE_API sluice_status sluice_decoder_open(const sluice_codec* codec, sluice_decoder** decoder);
/* Takes the next bytes of the stream, cut anywhere; they may be empty. */
SLUICE_API sluice_status sluice_decoder_feed(sluice_decoder* decoder, sluice_bytes bytes);
/* The next frame; `hidden->values` live until the next call, and are null at the end of the stream. SLUICE_TRUNCATED
 * asks for more bytes and harms nothing; after any other error the stream cannot be read on. */
SLUICE_API sluice_status sluice_decoder_pull(sluice_decoder* decoder, sluice_hidden* hidden);
SLUICE_API void sluice_decoder_close(sluice_decoder* decoder);
/* At most `max_elements` floats are made of any frame from now on; 0 means 2^26, the most that the format allows, which
 * holds without this call. A frame of more is SLUICE_INVALID_ARGUMENT, as soon as its first bytes say so. */
SLUICE_API sluice_status sluice_decoder_set_limit(sluice_decoder* decoder, uint64_t max_elements);
/* As of the encoder. */
SLUICE_API sluice_status sluice_decoder_set_tokens(sluice_decoder* decoder, const int32_t* ids, size_t count);
/* The ids that the frame pulled last carried, until the next call; none (0) where the stream carries none. */
SLUICE_API sluice_status sluice_decoder_tokens(const sluice_decoder* decoder, const int32_t** ids, size_t* count);
SLUICE_API sluice_status sluice_decoder_trim(sluice_decoder* decoder, size_t tokens);
SLUICE_API sluice_status sluice_decoder_checkpoint(const sluice_decoder* decoder, sluice_checkpoint** checkpoint);
SLUICE_API sluice_status sluice_decoder_restore(sluice_decoder* decoder, const sluice_checkpoint* checkpoint);

/* A .safetensors (its tensor `tensor`, or null: its only one) or .npy file into an archive that needs no codec. */
SLUICE_API sluice_status sluice_archive_pack(const char* in, const char* tensor, const char* archive,
                                             sluice_fidelity fidelity, double bound);
/* The tokens [first, last) of an archive into a .safetensors or .npy file; last = 0 means all. */
SLUICE_API sluice_status sluice_archive_unpack(const char* archive, const char* out, uint64_t first, uint64_t last);

#ifdef __cplusplus
}
#endif

#endif  // SLUICE_SLUICE_H_
