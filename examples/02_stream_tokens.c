/* Two ends of a stream, token by token. Give a pack to see the smallest frames: 02_stream_tokens [FILE.pack] */
#include <stdio.h>
#include <stdlib.h>

#include "sluice/sluice.h"

static void check(sluice_status status, const char* what) {
  if (status == SLUICE_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, sluice_status_name(status), sluice_last_error());
  exit(1);
}

int main(int argc, char** argv) {
  sluice_codec* codec = NULL;
  sluice_encoder* encoder = NULL;
  sluice_decoder* decoder = NULL;
  check(sluice_codec_open(argc > 1 ? argv[1] : "fp16", &codec), "open");
  uint32_t width = sluice_codec_width(codec) == 0 ? 64 : sluice_codec_width(codec);
  check(sluice_encoder_open(codec, width, SLUICE_F32, &encoder), "encoder");
  check(sluice_decoder_open(codec, &decoder), "decoder");

  float* token = malloc(width * sizeof(float));
  if (token == NULL) return 1;
  for (int t = 0; t < 4; ++t) {
    for (uint32_t c = 0; c < width; ++c) token[c] = (float)((t * 31 + (int)c * 7) % 13) - 6.0f;
    sluice_hidden in = {token, 1, 1, width, SLUICE_F32}, out;
    sluice_bytes bytes;
    check(sluice_encoder_push(encoder, &in, &bytes), "push");
    /* The bytes may arrive in pieces: the decoder asks for more. */
    sluice_bytes half = {bytes.data, bytes.size / 2}, rest = {bytes.data + half.size, bytes.size - half.size};
    check(sluice_decoder_feed(decoder, half), "feed");
    if (sluice_decoder_pull(decoder, &out) != SLUICE_TRUNCATED) return 1;
    check(sluice_decoder_feed(decoder, rest), "feed");
    check(sluice_decoder_pull(decoder, &out), "pull");
    printf("token %d: %zu bytes, first channels %.2f %.2f\n", t, bytes.size, out.values[0], out.values[1]);
  }
  sluice_bytes end;
  sluice_hidden nothing;
  check(sluice_encoder_finish(encoder, &end), "finish");
  check(sluice_decoder_feed(decoder, end), "feed");
  check(sluice_decoder_pull(decoder, &nothing), "the end");
  free(token);
  sluice_decoder_close(decoder);
  sluice_encoder_close(encoder);
  sluice_codec_close(codec);
  return nothing.values == NULL ? 0 : 1;
}
