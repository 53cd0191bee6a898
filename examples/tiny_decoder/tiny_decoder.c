/* tiny_decoder: reads streams, self-contained frames and archives of sluice with the C library alone, written from the
 * documents docs/format.md and docs/numerics.md, to show that they suffice. It is made to be read and is slow.
 *
 *   tiny_decoder [--pack PACK] [--ids FILE] [--integers FILE] IN OUT
 *
 *   --pack PACK      for streams of the codecs "static" and "context"; else IN is an archive, or a stream of the plain
 *                    codecs fp32, fp16, bf16, int8 or q80
 *   --ids FILE       the token ids of all tokens, row after row, numbers with white space between: for streams whose
 *                    codec needs them and that do not carry them
 *   --integers FILE  also writes what the checksums of a pack's streams cover, as little-endian int32: for each frame
 *                    the classes or ids that it carries, then its latents
 *
 * OUT gets the hidden states as little-endian f32, [T, d] or [B, T, d]; those of an archive in the type that it gives.
 * A line on standard output says their shape. On an error the status' name is printed on standard error and is the exit
 * code: 2 InvalidArgument, 3 Truncated, 4 Corrupt, 5 Unsupported, 6 Mismatch, 7 Io.
 *
 * The parts, with the sections of format.md: bytes (1), numbers of 128 bits, XXH3, SHA-256, entropy-coded streams
 * (A.1 to A.3), Gaussian tables (A.4), packs (6), codec "static" (7), codec "context" (8) with its network and its
 * floats (numerics.md), plain codecs (4), streams (3), archives (5). */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

enum { INVALID = 2, TRUNCATED = 3, CORRUPT = 4, UNSUPPORTED = 5, MISMATCH = 6, IO = 7 };

static void fail(int code) {
  static const char* const names[] = {"",         "",  "InvalidArgument", "Truncated", "Corrupt", "Unsupported",
                                      "Mismatch", "Io"};
  fprintf(stderr, "%s\n", names[code]);
  exit(code);
}
static void check(int sound, int code) {
  if (!sound) fail(code);
}
static void* allocate(u64 count, size_t size) {
  void* memory = calloc((size_t)(count ? count : 1), size);
  check(memory != NULL, IO);
  return memory;
}

/* Bytes (1) */

static u16 le16(const u8* p) { return (u16)(p[0] | p[1] << 8); }
static u32 le32(const u8* p) { return le16(p) | (u32)le16(p + 2) << 16; }
static u64 le64(const u8* p) { return le32(p) | (u64)le32(p + 4) << 32; }
static void put32(u32 v, u8* p) {
  for (int i = 0; i < 4; ++i) p[i] = (u8)(v >> (8 * i));
}
static int32_t int_at(const u8* p, u64 i) { return (int32_t)le32(p + 4 * i); }
static int small_at(const u8* p, u64 i) { return p[i] < 128 ? p[i] : p[i] - 256; }
static float float_of(u32 bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
static float half(u32 h) {
  u32 e = h >> 10 & 31, m = h & 1023;
  double v = e == 0 ? ldexp(m, -24) : ldexp(1024 + m, (int)e - 25);
  if (e == 31) return float_of((h & 0x8000) << 16 | 0x7F800000 | m << 13);
  return (float)(h & 0x8000 ? -v : v);
}

/* A piece of input; what is asked for beyond its end is the error `early`. */
typedef struct {
  const u8* p;
  u64 left;
  int early;
} Reader;

static const u8* take(Reader* r, u64 n) {
  const u8* at = r->p;
  check(n <= r->left, r->early);
  r->p += n;
  r->left -= n;
  return at;
}
static u64 varint(Reader* r) {
  u64 value = 0;
  for (int i = 0; i < 10; ++i) {
    u8 b = *take(r, 1);
    check(i < 9 || b <= 1, CORRUPT);
    value |= (u64)(b & 127) << (7 * i);
    if (b < 128) {
      check(b != 0 || i == 0, CORRUPT);
      return value;
    }
  }
  fail(CORRUPT);
  return 0;
}

/* Numbers: signed shifts that round down, products of 128 bits */

static i64 clamp(i64 v, i64 low, i64 high) { return v < low ? low : v > high ? high : v; }
static i64 down(i64 v, int k) { return v < 0 ? ~(~v >> k) : v >> k; }

typedef struct {
  u64 high, low;
} u128;

static u128 product(u64 a, u64 b) {
  u64 al = (u32)a, ah = a >> 32, bl = (u32)b, bh = b >> 32;
  u64 ll = al * bl, hl = ah * bl, lh = al * bh, mid = (ll >> 32) + (u32)hl + lh;
  u128 p = {ah * bh + (hl >> 32) + (mid >> 32), mid << 32 | (u32)ll};
  return p;
}
static u128 plus(u128 v, u64 a) {
  u128 sum = {v.high + (v.low + a < a), v.low + a};
  return sum;
}
static int below(u128 a, u128 b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }
/* v >> k, 0 < k < 64, where 64 bits hold it. */
static u64 shifted(u128 v, int k) { return v.high << (64 - k) | v.low >> k; }
/* v / by, rounded down, where 64 bits hold it; by is below 2^63. */
static u64 quotient(u128 v, u64 by) {
  u64 q = 0, rest = 0;
  for (int i = 127; i >= 0; --i) {
    rest = rest << 1 | ((i >= 64 ? v.high >> (i - 64) : v.low >> i) & 1);
    q = q << 1 | (rest >= by);
    if (rest >= by) rest -= by;
  }
  return q;
}

/* XXH3_64bits_withSeed, by the specification of xxHash */

static const u8 secret0[192] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4,
    0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e,
    0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43,
    0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
    0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19,
    0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8, 0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7,
    0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78,
    0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16,
    0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f,
    0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e};
#define P32_1 0x9E3779B1u
#define P32_2 0x85EBCA77u
#define P32_3 0xC2B2AE3Du
#define P64_1 0x9E3779B185EBCA87u
#define P64_2 0xC2B2AE3D27D4EB4Fu
#define P64_3 0x165667B19E3779F9u
#define P64_4 0x85EBCA77C2B2AE63u
#define P64_5 0x27D4EB2F165667C5u

static u64 fold(u64 a, u64 b) {
  u128 p = product(a, b);
  return p.low ^ p.high;
}
static u64 swap64(u64 v) {
  u64 r = 0;
  for (int i = 0; i < 8; ++i) r = r << 8 | (v >> (8 * i) & 255);
  return r;
}
static u64 rotl(u64 v, int n) { return v << n | v >> (64 - n); }
static u64 avalanche3(u64 h) {
  h = (h ^ h >> 37) * 0x165667919E3779F9u;
  return h ^ h >> 32;
}
static u64 avalanche64(u64 h) {
  h = (h ^ h >> 33) * P64_2;
  h = (h ^ h >> 29) * P64_3;
  return h ^ h >> 32;
}
static u64 mix16(const u8* in, const u8* s, u64 seed) {
  return fold(le64(in) ^ (le64(s) + seed), le64(in + 8) ^ (le64(s + 8) - seed));
}
static u64 short_hash(const u8* in, u64 n, u64 seed) {
  const u8* s = secret0;
  if (n == 0) return avalanche64(seed ^ le64(s + 56) ^ le64(s + 64));
  if (n <= 3) {
    u32 c = (u32)in[0] << 16 | (u32)in[n >> 1] << 24 | in[n - 1] | (u32)n << 8;
    return avalanche64(c ^ ((u64)(le32(s) ^ le32(s + 4)) + seed));
  }
  if (n <= 8) {
    u32 low = (u32)seed;
    u64 turned = seed ^ (u64)(low >> 24 | (low >> 8 & 0xFF00) | (low << 8 & 0xFF0000) | low << 24) << 32;
    u64 h = (le32(in + n - 4) + ((u64)le32(in) << 32)) ^ ((le64(s + 8) ^ le64(s + 16)) - turned);
    h ^= rotl(h, 49) ^ rotl(h, 24);
    h *= 0x9FB21C651E98DF25u;
    h = (h ^ ((h >> 35) + n)) * 0x9FB21C651E98DF25u;
    return h ^ h >> 28;
  }
  u64 lo = le64(in) ^ ((le64(s + 24) ^ le64(s + 32)) + seed);
  u64 hi = le64(in + n - 8) ^ ((le64(s + 40) ^ le64(s + 48)) - seed);
  return avalanche3(n + swap64(lo) + hi + fold(lo, hi));
}
static u64 middle_hash(const u8* in, u64 n, u64 seed) {
  const u8* s = secret0;
  u64 acc = n * P64_1;
  if (n <= 128) {
    for (u64 i = (n - 1) / 32 + 1; i-- > 0;) {
      acc += mix16(in + 16 * i, s + 32 * i, seed) + mix16(in + n - 16 * (i + 1), s + 32 * i + 16, seed);
    }
    return avalanche3(acc);
  }
  for (u64 i = 0; i < 8; ++i) acc += mix16(in + 16 * i, s + 16 * i, seed);
  acc = avalanche3(acc);
  for (u64 i = 8; i < n / 16; ++i) acc += mix16(in + 16 * i, s + 16 * (i - 8) + 3, seed);
  return avalanche3(acc + mix16(in + n - 16, s + 136 - 17, seed));
}
static void stripe(u64* acc, const u8* in, const u8* s) {
  for (int i = 0; i < 8; ++i) {
    u64 data = le64(in + 8 * i), key = data ^ le64(s + 8 * i);
    acc[i ^ 1] += data;
    acc[i] += (u64)(u32)key * (key >> 32);
  }
}
static u64 long_hash(const u8* in, u64 n, u64 seed) {
  u64 acc[8] = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1};
  u8 s[192];
  u64 stripes = (n - 1) / 64;
  for (int i = 0; i < 24; ++i) {
    u64 v = le64(secret0 + 8 * i) + (i % 2 ? 0 - seed : seed);
    put32((u32)v, s + 8 * i);
    put32((u32)(v >> 32), s + 8 * i + 4);
  }
  for (u64 i = 0; i < stripes; ++i) {
    stripe(acc, in + 64 * i, s + 8 * (i % 16));
    if (i % 16 != 15) continue;
    for (int k = 0; k < 8; ++k) acc[k] = ((acc[k] ^ acc[k] >> 47) ^ le64(s + 128 + 8 * k)) * P32_1;
  }
  stripe(acc, in + n - 64, s + 128 - 7);
  u64 h = n * P64_1;
  for (int i = 0; i < 4; ++i) h += fold(acc[2 * i] ^ le64(s + 11 + 16 * i), acc[2 * i + 1] ^ le64(s + 19 + 16 * i));
  return avalanche3(h);
}
/* C(bytes, seed) */
static u32 checksum(const u8* in, u64 n, u64 seed) {
  u64 h = n <= 16 ? short_hash(in, n, seed) : n <= 240 ? middle_hash(in, n, seed) : long_hash(in, n, seed);
  return (u32)(h ^ h >> 32);
}
static u32 checksum_integers(const int32_t* y, u64 n, u32 seed) {
  u8* bytes = allocate(n, 4);
  for (u64 i = 0; i < n; ++i) put32((u32)y[i], bytes + 4 * i);
  u32 c = checksum(bytes, 4 * n, seed);
  free(bytes);
  return c;
}

/* SHA-256 (FIPS 180-4), for a pack's hash */

static u32 rotr(u32 v, int n) { return v >> n | v << (32 - n); }
/* The first 32 bits of the fraction of the cube (or square) root of a prime. */
static u32 root_bits(int prime, int cube) {
  u64 low = 0, high = (u64)8 << 32; /* largest r with r^3 <= prime * 2^96, or r^2 <= prime * 2^64 */
  if (!cube) high = (u64)32 << 32;
  while (high - low > 1) {
    long double mid = (long double)((low + high) / 2) / 4294967296.0L;
    long double power = cube ? mid * mid * mid : mid * mid;
    if (power <= prime) {
      low = (low + high) / 2;
    } else {
      high = (low + high) / 2;
    }
  }
  return (u32)low;
}
static void sha_block(u32* h, const u32* k, const u8* p) {
  u32 w[64], v[8];
  for (int i = 0; i < 16; ++i)
    w[i] = (u32)p[4 * i] << 24 | (u32)p[4 * i + 1] << 16 | (u32)p[4 * i + 2] << 8 | p[4 * i + 3];
  for (int i = 16; i < 64; ++i) {
    u32 a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[i - 7] + (rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
  }
  memcpy(v, h, sizeof(v));
  for (int i = 0; i < 64; ++i) {
    u32 t1 = v[7] + (rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
    u32 t2 = (rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    memmove(v + 1, v, 7 * sizeof(u32));
    v[4] += t1;
    v[0] = t1 + t2;
  }
  for (int i = 0; i < 8; ++i) h[i] += v[i];
}
/* The first 8 bytes of the digest, as a little-endian number. */
static u64 sha_id(const u8* p, u64 n) {
  u32 h[8], k[64];
  u8 last[128] = {0};
  int found = 0;
  for (int prime = 2; found < 64; ++prime) {
    int divisor = 2;
    while (prime % divisor != 0) ++divisor;
    if (divisor != prime) continue;
    if (found < 8) h[found] = root_bits(prime, 0);
    k[found++] = root_bits(prime, 1);
  }
  u64 whole = n / 64 * 64, rest = n - whole, size = rest < 56 ? 64 : 128;
  for (u64 i = 0; i < whole; i += 64) sha_block(h, k, p + i);
  memcpy(last, p + whole, rest);
  last[rest] = 0x80;
  for (int i = 0; i < 8; ++i) last[size - 1 - i] = (u8)(8 * n >> (8 * i));
  for (u64 i = 0; i < size; i += 64) sha_block(h, k, last + i);
  u8 digest[8];
  for (int i = 0; i < 8; ++i) digest[i] = (u8)(h[i / 4] >> (24 - 8 * (i % 4)));
  return le64(digest);
}

/* Probability tables and entropy-coded streams (A.1 to A.3) */

typedef struct {
  i64 first;
  u32 count;   /* of values; symbol `count` is the escape, or the last value of a closed table */
  u32* starts; /* count + 2 */
} Table;

static u32 find_symbol(const Table* t, u32 slot) {
  u32 low = 0, high = t->count + 1;
  while (high - low > 1) {
    u32 mid = (low + high) / 2;
    if (t->starts[mid] <= slot) {
      low = mid;
    } else {
      high = mid;
    }
  }
  return low;
}

/* A stream with lanes (A.2), or the range of a token frame (7.2). */
typedef struct {
  const u8 *p, *end, *raw;
  u64 raw_bits, left, x[64];
  int n, b, lanes, turn, lent, overrun, good;
  int early; /* the error where the bytes end early */
  int token;
  u64 v, r, u, code, read;
} Coder;

static void refill(Coder* c, int lane) {
  u64* x = &c->x[lane];
  if (*x >> c->b != 0) return;
  if (c->left > 0 && c->p == c->end) {
    c->overrun = 1;
    *x <<= 16;
    return;
  } else if (c->left == 0 && c->lent > 0) {
    *x = *x << 16 | (c->x[(lane + c->lanes - c->lent--) % c->lanes] & 0xFFFF);
    return;
  } else if (c->p == c->end) {
    return;
  }
  *x = *x << 16 | le16(c->p);
  c->p += 2;
}
static u32 take_bits(Coder* c, int lane, int k) {
  u32 value = (u32)(c->x[lane] & (((u64)1 << k) - 1));
  c->x[lane] >>= k;
  refill(c, lane);
  return value;
}
static void fill_range(Coder* c) {
  for (; c->r >> 40 == 0; c->r <<= 8, ++c->read) {
    u64 known = c->p < c->end, byte = known ? *c->p++ : 0;
    c->code = c->code << 8 | byte;
    c->v = c->v << 8 | byte;
    c->u = c->u << 8 | (known ? 0 : 255);
  }
}
static u32 range_slot(const Coder* c, int k) {
  u64 slot = c->v / (c->r >> k), last = ((u64)1 << k) - 1;
  return (u32)(slot < last ? slot : last);
}
static void narrow(Coder* c, u32 start, u32 end, int k) {
  u64 step = c->r >> k;
  c->v -= step * start;
  c->r = end >> k ? c->r - step * start : step * (end - start);
  check(c->v + c->u < c->r, TRUNCATED);
  fill_range(c);
}
static u32 raw(Coder* c, int count) {
  u32 value = 0;
  for (int at = 0; at < count; at += 15) {
    int k = count - at < 15 ? count - at : 15;
    u32 piece = 0;
    if (c->token) {
      piece = range_slot(c, k);
      narrow(c, piece, piece + 1, k);
    } else if (c->left == 0) {
      piece = take_bits(c, c->turn, k);
    } else if (c->raw_bits < (u64)k) {
      c->overrun = 1;
      c->raw_bits = 0;
    } else {
      for (int i = k; i-- > 0;) {
        --c->raw_bits;
        piece = piece << 1 | (c->raw[c->raw_bits / 8] >> (c->raw_bits % 8) & 1);
      }
    }
    value |= piece << at;
  }
  return value;
}
static u32 pop(Coder* c, const Table* t) {
  u64* x = &c->x[c->turn];
  u32 slot = c->token ? range_slot(c, c->n) : (u32)*x & ((1u << c->n) - 1), s = find_symbol(t, slot);
  if (c->token) {
    narrow(c, t->starts[s], t->starts[s + 1], c->n);
    return s;
  }
  *x = (u64)(t->starts[s + 1] - t->starts[s]) * (*x >> c->n) + slot - t->starts[s];
  refill(c, c->turn);
  if (c->left == 0) return s;
  c->turn = (c->turn + 1) % c->lanes;
  if (--c->left > 0) return s;
  c->lent = c->lanes - 1;
  for (int i = 0; i < c->lanes; ++i) {
    if (i != c->turn && c->x[i] >> 16 != 1) c->good = 0;
  }
  return s;
}
static i64 pop_value(Coder* c, const Table* t) {
  u32 s = pop(c, t);
  i64 value = t->first + s;
  if (s == t->count) {
    u32 above = raw(c, 1);
    int l = 0;
    while (l < 31 && raw(c, 1) == 0) ++l;
    i64 u = ((i64)1 << l) + raw(c, l);
    value = above ? t->first + t->count - 1 + u : t->first - u;
  }
  return value;
}
static int32_t nearest32(i64 value) { return (int32_t)clamp(value, INT32_MIN, INT32_MAX); }
/* L(N) */
static int lanes_for(u64 values) {
  int lanes = 1;
  while (lanes < 32 && (u64)lanes * 2 * 4096 <= values) lanes *= 2;
  return lanes;
}
static void open_stream(Coder* c, const u8* bytes, u64 size, int lanes, int n, int early) {
  Reader r = {bytes, size, early};
  memset(c, 0, sizeof(*c));
  c->early = early;
  c->n = n;
  c->b = n == 16 ? 16 : 15;
  c->lanes = lanes;
  c->good = 1;
  if (lanes > 1) c->left = varint(&r);
  u64 raw_size = c->left > 0 ? varint(&r) : 0;
  check(raw_size <= r.left, early);
  c->p = r.p;
  c->end = c->raw = r.p + (r.left - raw_size);
  if (raw_size > 0) {
    u8 last = c->raw[raw_size - 1];
    check(last != 0, CORRUPT);
    for (c->raw_bits = 8 * (raw_size - 1); last > 1; last >>= 1) ++c->raw_bits;
    check(c->raw_bits > 0, CORRUPT);
  }
  u64 s = (u64)(c->end - c->p), k = s < 2 ? s : 2 + s % 2;
  for (u64 i = 0; i < k; ++i) c->x[0] |= (u64)c->p[i] << (8 * i);
  check(k == 0 || c->p[k - 1] != 0, CORRUPT);
  c->p += k;
  refill(c, 0);
  for (int lane = 1; lane < lanes && c->left > 0; ++lane) {
    int length = c->b + (int)take_bits(c, 0, 4);
    c->x[lane] = (u64)1 << length;
    for (int at = 0; at < length; at += 15)
      c->x[lane] |= (u64)take_bits(c, 0, length - at < 15 ? length - at : 15) << at;
  }
  check(!c->overrun, early);
}
static void finish_stream(const Coder* c) {
  check(!c->overrun, c->early);
  check(c->left == 0 && c->good && c->lent == 0 && c->p == c->end && c->x[c->turn] == 1, CORRUPT);
  check(c->raw_bits == 0, CORRUPT);
}

/* Gaussian tables (A.4), of the 16 offsets that "context" asks for */

enum { SCALES = 134, SHAPES = 64, OFFSETS = 16, NODES = 8193 };

typedef struct {
  int n; /* precision */
  u64 sigma[SCALES], density[NODES];
  i64 integral[NODES];
  int low[SCALES], shape[SCALES];
  Table tables[SHAPES * OFFSETS]; /* made when they are needed */
} Gaussians;

static u64 round62(u64 a, u64 b) { return shifted(plus(product(a, b), (u64)1 << 61), 62); }

static Gaussians* make_gaussians(int n) {
  Gaussians* g = allocate(1, sizeof(Gaussians));
  u64 s = 1935140464886u, d = (u64)1 << 62, ratio = ((u64)1 << 62) - ((u64)1 << 41) + (1 << 19);
  u128 sum = {0, 0};
  g->n = n;
  for (int k = 0; k < SCALES; ++k) {
    g->sigma[k] = (s + (1 << 11)) >> 12;
    s = round62(s, 4991013400188894872u);
  }
  for (int k = 0; k < SCALES; ++k) {
    while (g->sigma[k] >> g->low[k] > g->sigma[SHAPES - 1]) ++g->low[k];
    u64 left = g->sigma[k] >> g->low[k];
    int i = 0;
    while (i < SHAPES - 1 && below(product(g->sigma[i], g->sigma[i + 1]), product(left, left))) ++i;
    g->shape[k] = i;
  }
  for (u64 j = 0; j < NODES; ++j) {
    g->density[j] = d;
    g->integral[j] = (i64)(shifted(sum, 11) + quotient(product(j, d), (u64)12 << 30));
    sum = plus(sum, d);
    d = round62(d, ratio);
    sum = plus(sum, d);
    ratio = round62(ratio, ((u64)1 << 62) - ((u64)1 << 42) + (1 << 21) - 1);
  }
  return g;
}
/* G(t) */
static i64 integral_to(const Gaussians* g, i64 t) {
  if (t < 0) return -integral_to(g, -t);
  t = clamp(t, 0, (i64)1 << 35);
  i64 j = (t + (1 << 21)) >> 22, e = t - j * (1 << 22), square = e * e, cube = down((square >> 20) * e, 14);
  i64 series = e * (1 << 20) - (square * j >> 23) + down(cube * (j * j - (1 << 20)) / 6, 30);
  u64 size = (u64)(series < 0 ? -series : series);
  u128 part = product(g->density[j], size);
  i64 rest = series < 0 ? -(i64)shifted(plus(part, ((u64)1 << 52) - 1), 52) : (i64)shifted(part, 52);
  return down(g->integral[j] + rest, 2);
}
/* edge(v), of scale index i and offset o */
static i64 edge(const Gaussians* g, int i, int o, i64 v) {
  i64 at = 32 * v - 16 - (o - OFFSETS / 2) * 32 / OFFSETS;
  i64 t = (i64)quotient(product((u64)(at < 0 ? -at : at), (u64)1 << 59), g->sigma[i]);
  return integral_to(g, at < 0 ? -t : t);
}
static i64 area(const Gaussians* g, int i, int o, i64 v) { return edge(g, i, o, v + 1) - edge(g, i, o, v); }
static u64 log_step(u64 f) {
  u64 q = 2 * f + 1, p = ((u64)1 << 41) / q, sum = p;
  for (u64 k = 3; p != 0; k += 2) {
    p /= q * q;
    sum += p / k;
  }
  return sum;
}
/* From weights w[0 .. c - 1] of sum `whole` to the starts of intervals. */
static void set_frequencies(Table* t, const u64* w, u32 c, u64 whole, int n) {
  u64* f = allocate(c, sizeof(u64));
  u64 left = (u64)1 << n;
  for (u32 i = 0; i < c; ++i) {
    u64 share = quotient(product(w[i], ((u64)1 << n) - c), whole);
    f[i] = share < 2 ? 1 : share - 1;
    left -= f[i];
  }
  for (; left > 0; --left) {
    u32 best = 0;
    for (u32 i = 1; i < c; ++i) {
      if (below(product(w[best], log_step(f[best])), product(w[i], log_step(f[i])))) best = i;
    }
    ++f[best];
  }
  t->count = c - 1;
  t->starts = allocate(c + 1, sizeof(u32));
  for (u32 i = 0; i < c; ++i) t->starts[i + 1] = t->starts[i] + (u32)f[i];
  free(f);
}
static const Table* gaussian_table(Gaussians* g, int i, int o) {
  Table* t = &g->tables[i * OFFSETS + o];
  i64 whole = 2 * down(g->integral[NODES - 1], 2), first = 0, last = 0;
  if (t->starts) return t;
  while (area(g, i, o, first - 1) >= whole >> (g->n + 1)) --first;
  while (area(g, i, o, last + 1) >= whole >> (g->n + 1)) ++last;
  u32 values = (u32)(last - first + 1);
  u64* w = allocate(values + 1, sizeof(u64));
  for (u32 v = 0; v < values; ++v) w[v] = (u64)area(g, i, o, first + v);
  w[values] = (u64)(whole - (edge(g, i, o, last + 1) - edge(g, i, o, first)));
  t->first = first;
  set_frequencies(t, w, values + 1, (u64)whole, g->n);
  free(w);
  return t;
}
/* A value with mean m / 16 and scale index k. */
static int32_t pop_gaussian(Coder* c, Gaussians* g, i64 m, int k) {
  int low = g->low[k];
  if (low > 0) m = down(m - 8 * (((i64)1 << low) - 1) + ((i64)1 << (low - 1)), low);
  i64 r = m + OFFSETS / 2, v = down(r, 4);
  v += pop_value(c, gaussian_table(g, g->shape[k], (int)(r - v * OFFSETS)));
  if (low > 0) v = v * ((i64)1 << low) + raw(c, low);
  return nearest32(v);
}

/* Packs: sections (6.3). What is read points into the file's bytes. */

enum { TABLES = 1, TENSOR = 2, POINTS = 3, METADATA = 4 };
enum { I8 = 1, I16 = 2, I32 = 3, F32 = 4 };

typedef struct {
  Table* tables;
  const u8 *offset, *step, *transform, *inverse; /* f32 */
} Static;

/* What precedes the next token of a row. */
typedef struct {
  int32_t *past, *leaky; /* features and leaky states [2 m]; S [m] */
  u32 id, id_before;
} State;

typedef struct {
  u32 d, m, groups, points, names, n, bits, direct, latents, units;
  const u8 *input, *input_shift, *past, *past_shift, *output, *output_shift;
  const u8 *base_bias, *feature_bias, *point_bias, *output_bias, *exponent;
  const u8 *now, *previous, *before, *feature_now, *feature_previous, *pair, *direct_now, *direct_previous;
  const u8 *offset, *gain, *centroid, *inverse, *order;
  u32 block;        /* width of the inverse's blocks */
  Table* ids;       /* n + 1 tables of classes or ids, or of groups of classes; or NULL */
  Table* places;    /* of classes in their groups, or NULL */
  u32 class_groups;
  u32* class_begin; /* of each group, and n */
  Table same_point; /* symbol 0: the point stays */
  Gaussians* gaussians;
  State* rows; /* of a stream that continues */
  u64 row_count, point;
} Context;

typedef struct {
  const u8* bytes;
  u64 sections, id, model_id;
  u32 width, cut, precision, flags;
  int is_context;
  Static fixed;
  Context context;
} Pack;

/* The directory's entry of that name, or NULL. */
static const u8* find(const Pack* pack, const char* name) {
  char padded[64] = {0};
  memcpy(padded, name, strlen(name));
  for (u64 i = 0; i < pack->sections; ++i) {
    const u8* entry = pack->bytes + 80 + 104 * i;
    if (!memcmp(entry + 40, padded, 64)) return entry;
  }
  return NULL;
}
/* A tensor of that shape; a, b, c are its sizes, 0 beyond the rank. */
static const u8* tensor(const Pack* pack, const char* name, int element, u64 a, u64 b, u64 c) {
  const u8 *entry = find(pack, name), *p;
  u32 rank = 1 + (b > 0) + (c > 0);
  u64 count = a * (b ? b : 1) * (c ? c : 1);
  check(entry && entry[0] == TENSOR && entry[1] == element && entry[2] == rank, CORRUPT);
  check(le32(entry + 4) == a && le32(entry + 8) == b && le32(entry + 12) == c && le32(entry + 16) == 0, CORRUPT);
  p = pack->bytes + le64(entry + 24);
  for (u64 i = 0; i < count && element == F32; ++i) check((le32(p + 4 * i) & 0x7F800000) != 0x7F800000, CORRUPT);
  return p;
}
/* Integers that must lie in a range. */
static const u8* integers(const Pack* pack, const char* name, u64 a, u64 b, i64 low, i64 high) {
  const u8* p = tensor(pack, name, I32, a, b, 0);
  for (u64 i = 0; i < a * (b ? b : 1); ++i) check(int_at(p, i) >= low && int_at(p, i) <= high, CORRUPT);
  return p;
}
/* All tables of a section; closed ones have `symbols` values from 0 on, or 1 for any number. */
static Table* read_tables(const Pack* pack, const char* name, u64 count, u64 symbols) {
  const u8* entry = find(pack, name);
  check(entry && entry[0] == TABLES, CORRUPT);
  Reader r = {pack->bytes + le64(entry + 24), le64(entry + 32), CORRUPT};
  check(le32(take(&r, 4)) == count && count <= r.left, CORRUPT);
  Table* tables = allocate(count, sizeof(Table));
  for (u64 i = 0; i < count; ++i) {
    Table* t = &tables[i];
    check(*take(&r, 1) == (symbols > 0), CORRUPT);
    u64 z = varint(&r), n = varint(&r);
    check(z >> 32 == 0 && n >= 2 && n <= 65536 && n <= r.left, CORRUPT);
    t->first = (i64)(z >> 1) ^ -(i64)(z & 1);
    t->count = (u32)n - 1;
    check(symbols > 0 ? (n == symbols || symbols == 1) && t->first == 0 : t->first + (i64)t->count - 1 <= INT32_MAX, CORRUPT);
    t->starts = allocate(n + 1, sizeof(u32));
    for (u64 k = 0; k < n; ++k) {
      u64 f = varint(&r);
      check(f >= 1 && f <= 65535, CORRUPT);
      t->starts[k + 1] = t->starts[k] + (u32)f;
      check(t->starts[k + 1] <= 1u << pack->precision, CORRUPT);
    }
    check(t->starts[n] == 1u << pack->precision, CORRUPT);
  }
  check(r.left == 0, CORRUPT);
  return tables;
}

/* Payloads of token frames (7.2) */

static Coder open_token(u32 bits, const u8* bytes, u64 size, u32 precision) {
  Coder c;
  memset(&c, 0, sizeof(c));
  c.token = 1;
  c.n = (int)precision;
  c.p = bytes;
  c.end = bytes + size;
  c.v = c.code = bits;
  c.r = 128;
  fill_range(&c);
  return c;
}
/* How many bytes the payload has; R is checked. */
static u64 finish_token(const Coder* c, u64 size, u32 rolling) {
  u64 low = (c->code - c->v) & (((u64)1 << 40) - 1), first = 0, count = 0;
  int dropped = 6;
  while (count < 64) {
    --dropped;
    first = (low + ((u64)1 << 8 * dropped) - 1) >> 8 * dropped;
    count = ((low + c->r) >> 8 * dropped) - first;
  }
  check(c->read - (u64)dropped <= size, TRUNCATED);
  check(((low + c->v) >> 8 * dropped) - first == rolling % count, CORRUPT);
  return c->read - (u64)dropped;
}

/* Codec "static" (7) */

static void read_static(Pack* pack) {
  Static* s = &pack->fixed;
  u32 d = pack->width;
  check(pack->flags == 0, CORRUPT);
  s->tables = read_tables(pack, "latent", d, 0);
  s->offset = tensor(pack, "offset", F32, d, 0, 0);
  s->step = tensor(pack, "step", F32, d, 0, 0);
  if (find(pack, "transform")) s->transform = tensor(pack, "transform", F32, d, d, 0);
  if (find(pack, "inverse")) s->inverse = tensor(pack, "inverse", F32, d, d, 0);
  check(s->transform || !s->inverse, CORRUPT);
  for (u32 i = 0; i < d; ++i) check(float_of(le32(s->step + 4 * i)) > 0, CORRUPT);
}
static void decode_static(const Pack* pack, Coder* c, u64 values, int32_t* y) {
  for (u64 i = 0; i < values; ++i) y[i] = nearest32(pop_value(c, &pack->fixed.tables[i % pack->width]));
}
static void restore_static(const Pack* pack, const int32_t* y, u64 tokens, float* out) {
  const Static* s = &pack->fixed;
  u32 d = pack->width;
  const u8* rows = s->inverse ? s->inverse : s->transform;
  double* sum = allocate(d, sizeof(double));
  for (u64 t = 0; t < tokens; ++t, y += d, out += d) {
    for (u32 j = 0; j < d; ++j) sum[j] = 0;
    for (u32 i = 0; i < d; ++i) {
      double v = (double)float_of(le32(s->step + 4 * i)) * y[i];
      if (!rows) sum[i] = v;
      for (u32 j = 0; rows && j < d; ++j) sum[j] += (double)float_of(le32(rows + 4 * ((u64)i * d + j))) * v;
    }
    for (u32 j = 0; j < d; ++j) out[j] = (float)(sum[j] - (double)float_of(le32(s->offset + 4 * j)));
  }
  free(sum);
}

/* Codec "context" (8): the pack's sections */

enum { MOST_HIDDEN = 1024 };

/* Weights, whose rows keep sums of products small, and the shifts of their rows. */
static const u8* read_weights(const Pack* pack, const char* name, u64 rows, u64 columns, const u8** shifts) {
  char full[32];
  sprintf(full, "%s.weights", name);
  const u8* p = tensor(pack, full, I8, rows, columns, 0);
  for (u64 r = 0; r < rows; ++r) {
    i64 sum = 0;
    for (u64 c = 0; c < columns; ++c) sum += abs(small_at(p, r * columns + c));
    check(2047 * sum < (i64)1 << 30, CORRUPT);
  }
  sprintf(full, "%s.shifts", name);
  *shifts = integers(pack, full, rows, 0, 6, 14);
  return p;
}
static void read_shape(Context* x, const Pack* pack) {
  const u8* entry = find(pack, "shape");
  int old = entry && le32(entry + 4) == 6;
  const u8* shape = integers(pack, "shape", old ? 6 : 9, 0, 0, 1 << 18);
  x->d = pack->width;
  x->m = le32(shape);
  x->groups = le32(shape + 4);
  x->points = le32(shape + 8);
  x->names = le32(shape + 12);
  x->n = le32(shape + 16);
  x->bits = le32(shape + 20);
  x->direct = old ? 0 : le32(shape + 24);
  x->latents = old ? 1 : le32(shape + 28);
  x->units = old ? x->m : le32(shape + 32);
  check(x->d <= 8192 && pack->precision <= 14 && x->m >= 5 && x->m <= MOST_HIDDEN, CORRUPT);
  check(x->groups >= 1 && x->groups <= 64 && x->groups <= x->d && x->points >= 1 && x->points <= 16, CORRUPT);
  check(x->names <= 2 && x->bits <= 20 && (x->names > 0) == (x->n > 0) && (x->names > 0 || x->bits == 0), CORRUPT);
  check(x->direct <= 2 && x->latents <= 1 && x->units <= x->m && (x->names > 0 || x->direct == 0), CORRUPT);
  check(x->latents == 1 || x->groups == 1, CORRUPT);
  check(pack->flags == (x->names == 1 ? 4u : 0u), CORRUPT);
}
static void read_floats(Context* x, const Pack* pack) {
  const u8* axes = find(pack, "axes");
  u32 d = x->d, blocks = axes && axes[2] == 3 ? le32(axes + 4) : 1;
  u8* seen = allocate(d, 1);
  check(blocks >= 1 && d % blocks == 0, CORRUPT);
  x->block = d / blocks;
  tensor(pack, "axes", F32, blocks, x->block, x->block);
  x->inverse = tensor(pack, "inverse", F32, blocks, x->block, x->block);
  x->offset = tensor(pack, "offset", F32, d, 0, 0);
  x->gain = tensor(pack, "gain", F32, d, 0, 0);
  x->centroid = tensor(pack, "centroid", F32, d, 0, 0);
  x->order = integers(pack, "order", d, 0, 0, (i64)d - 1);
  for (u32 i = 0; i < d; ++i) {
    check(float_of(le32(x->gain + 4 * i)) > 0 && !seen[int_at(x->order, i)]++, CORRUPT);
  }
  free(seen);
}
/* Tables of classes, all in one or in groups. */
static void read_classes(Context* x, const Pack* pack) {
  const u8* sizes = find(pack, "class_sizes");
  u32 groups = x->class_groups = sizes ? le32(sizes + 4) : 0;
  if (!sizes) {
    x->ids = read_tables(pack, "classes", (u64)x->n + 1, x->n);
    return;
  }
  check(groups >= 1 && groups <= 256, CORRUPT);
  sizes = integers(pack, "class_sizes", groups, 0, 2, 1 << 18);
  x->ids = read_tables(pack, "classes", (u64)x->n + 1, groups);
  x->places = read_tables(pack, "class_places", (u64)groups * (groups + 1), 1);
  x->class_begin = allocate((u64)groups + 1, sizeof(u32));
  for (u32 g = 0; g < groups; ++g) {
    u32 size = le32(sizes + 4 * g);
    x->class_begin[g + 1] = x->class_begin[g] + size;
    for (u32 k = 0; k <= groups; ++k) check(x->places[g * (groups + 1) + k].count + 1 == size, CORRUPT);
  }
  check(x->class_begin[groups] == x->n, CORRUPT);
}
static void read_names(Context* x, const Pack* pack) {
  u64 rows = (u64)x->n + 1;
  x->now = tensor(pack, "table.now", I8, rows, x->m, 0);
  x->previous = tensor(pack, "table.previous", I8, rows, x->m, 0);
  x->before = tensor(pack, "table.before", I8, rows, x->m, 0);
  x->feature_now = tensor(pack, "table.feature_now", I8, rows, x->m, 0);
  x->feature_previous = tensor(pack, "table.feature_previous", I8, rows, x->m, 0);
  if (x->bits > 0) x->pair = tensor(pack, "table.pair", I8, (u64)1 << x->bits, x->m, 0);
  if (x->direct > 0) x->direct_now = tensor(pack, "table.direct_now", I8, rows, 2 * x->d, 0);
  if (x->direct > 1) x->direct_previous = tensor(pack, "table.direct_previous", I8, rows, 2 * x->d, 0);
  if (x->names == 2) {
    const u8* axes = find(pack, "class_axes");
    check(axes && le32(axes + 4) > 0, CORRUPT);
    tensor(pack, "class_axes", F32, le32(axes + 4), x->d, 0);
    tensor(pack, "class_means", F32, x->n, le32(axes + 4), 0);
    read_classes(x, pack);
  } else if (find(pack, "ids")) {
    x->ids = read_tables(pack, "ids", rows, x->n);
  }
}
static void read_context(Pack* pack) {
  Context* x = &pack->context;
  i64 bias = 1 << 26;
  u32 whole = 1u << pack->precision;
  read_shape(x, pack);
  u32 d = x->d, m = x->m;
  if (x->latents) x->input = read_weights(pack, "input", m, d, &x->input_shift);
  x->past = read_weights(pack, "past", m, 2 * m, &x->past_shift);
  x->output = read_weights(pack, "output", 2 * d, m, &x->output_shift);
  for (u64 row = d; row < 2 * (u64)d; ++row) {
    for (u32 i = x->units; i < m; ++i) check(small_at(x->output, row * m + i) == 0, CORRUPT);
  }
  x->base_bias = integers(pack, "base_bias", m, 0, -bias, bias);
  x->feature_bias = integers(pack, "feature_bias", m, 0, -bias, bias);
  x->point_bias = integers(pack, "point_bias", x->points, m, -bias, bias);
  x->output_bias = integers(pack, "output_bias", 2 * d, 0, -bias, bias);
  x->exponent = integers(pack, "channel_exponent", d, 0, -10, 14);
  if (x->names > 0) read_names(x, pack);
  read_floats(x, pack);
  x->same_point.count = 1;
  x->same_point.starts = allocate(3, sizeof(u32));
  x->same_point.starts[1] = whole - (whole >> 6);
  x->same_point.starts[2] = whole;
  x->gaussians = make_gaussians((int)pack->precision);
}

/* Packs: the file (6, 6.1, 6.2) */

/* A name of `size` bytes: letters of that kind, then zeros. Gives its length. */
static u32 name_length(const u8* p, u32 size, const char* marks, int capitals) {
  u32 n = 0;
  for (; n < size && p[n] != 0; ++n) {
    int lower = p[n] >= 'a' && p[n] <= 'z', upper = capitals && p[n] >= 'A' && p[n] <= 'Z';
    check(lower || upper || (p[n] >= '0' && p[n] <= '9') || strchr(marks, p[n]), CORRUPT);
  }
  check(n > 0, CORRUPT);
  for (u32 i = n; i < size; ++i) check(p[i] == 0, CORRUPT);
  return n;
}
/* Operating points and metadata are not looked into: no decoder needs them. */
static void check_entry(const u8* entry) {
  u32 rank = entry[2];
  u64 count = 1, left = (u64)1 << 31;
  check(le32(entry + 20) == 0 && entry[0] >= 1 && entry[0] <= 4, UNSUPPORTED);
  check(entry[0] != TENSOR || (entry[1] >= 1 && entry[1] <= 4), UNSUPPORTED);
  check(entry[0] == TENSOR ? rank <= 4 : rank == 0 && entry[1] == 0, CORRUPT);
  check(name_length(entry + 40, 64, "._-", 1) == entry[3], CORRUPT);
  for (u32 i = 0; i < 4; ++i) {
    u32 n = le32(entry + 4 + 4 * i);
    check(i < rank ? n >= 1 && n <= left / count : n == 0, CORRUPT);
    if (i < rank) count *= n;
  }
  check(entry[0] != POINTS || !memcmp(entry + 40, "operating-points", 17), CORRUPT);
  check(entry[0] != METADATA || !memcmp(entry + 40, "metadata", 9), CORRUPT);
  u64 width = entry[1] == I8 ? 1 : entry[1] == I16 ? 2 : 4;
  check(entry[0] != TENSOR || le64(entry + 32) == count * width, CORRUPT);
}
static void read_directory(Pack* pack, u64 body) {
  u64 end = 80 + 104 * pack->sections;
  check(end <= body, CORRUPT);
  for (u64 i = 0; i < pack->sections; ++i) {
    const u8* entry = pack->bytes + 80 + 104 * i;
    u64 size = le64(entry + 32);
    check(le64(entry + 24) == end && size <= body - end, CORRUPT);
    check_entry(entry);
    for (u64 k = 0; k < i; ++k) check(memcmp(entry + 40, entry + 40 - 104 * (k + 1), 64) != 0, CORRUPT);
    for (end += size; end % 8 != 0; ++end) check(pack->bytes[end] == 0, CORRUPT);
  }
  check(end == body, CORRUPT);
}
static void read_pack(Pack* pack, const u8* bytes, u64 size) {
  for (u64 i = 0; i < 4 && i < size; ++i) check(bytes[i] == "SLUP"[i], CORRUPT);
  check(size < 5 || bytes[4] == 1, UNSUPPORTED);
  check(size >= 88, TRUNCATED);
  u64 body = le64(bytes + 8);
  pack->bytes = bytes;
  pack->sections = le32(bytes + 72);
  check(le32(bytes + 76) == 0, UNSUPPORTED);
  check(body >= 80 && body <= (u64)1 << 31 && body % 8 == 0 && pack->sections <= 1024, CORRUPT);
  check(size >= body + 8, TRUNCATED);
  u64 certificate = le32(bytes + body);
  check(certificate <= 1 << 20, CORRUPT);
  check(size >= body + 8 + certificate, TRUNCATED);
  check(size == body + 8 + certificate, CORRUPT);
  check(checksum(bytes, size - 4, 0) == le32(bytes + size - 4), CORRUPT);
  pack->precision = bytes[5];
  pack->flags = le16(bytes + 6);
  check(pack->precision >= 10 && pack->precision <= 16, CORRUPT);
  check((pack->flags & ~6u) == 0, UNSUPPORTED);
  name_length(bytes + 16, 16, "-", 0);
  pack->is_context = !memcmp(bytes + 16, "context\0\0\0\0\0\0\0\0", 16);
  check(pack->is_context || !memcmp(bytes + 16, "static\0\0\0\0\0\0\0\0\0", 16), UNSUPPORTED);
  pack->model_id = le64(bytes + 32);
  pack->width = le32(bytes + 64);
  pack->cut = le16(bytes + 68);
  check(pack->width >= 1 && pack->width <= 65536 && le16(bytes + 70) == 0, CORRUPT);
  read_directory(pack, body);
  if (pack->is_context) {
    read_context(pack);
  } else {
    read_static(pack);
  }
  pack->id = sha_id(bytes, body);
}

/* Codec "context": its network (numerics.md, "One token") */

static const i64 gauges[16] = {256,  362,  512,  724,   1024,  1448,  2048,  2896,
                               4096, 5792, 8192, 11584, 16384, 23168, 32768, 46336};
static const i64 inverses[16] = {256, 181, 128, 91, 64, 45, 32, 23, 16, 11, 8, 6, 4, 3, 2, 1};

/* r(v, k) */
static i64 rounded(i64 v, int k) { return k > 0 ? down(v + ((i64)1 << (k - 1)), k) : v * ((i64)1 << -k); }
/* Row i of a matrix times a vector. */
static i64 row_times(const u8* weights, u64 i, u32 columns, const int32_t* v) {
  i64 sum = 0;
  for (u32 c = 0; c < columns; ++c) sum += small_at(weights, i * columns + c) * (i64)v[c];
  return sum;
}
/* Step 1. */
static void begin_token(const Context* x, const State* s, u32 id, i64* base, i64* feature_base) {
  u32 m = x->m, slot = 0;
  if (x->bits > 0) slot = (id * (x->n + 1) + s->id) * 2654435761u >> (32 - x->bits);
  for (u32 i = 0; i < m; ++i) {
    base[i] = (i64)int_at(x->base_bias, i) + int_at(x->point_bias, x->point * m + i) +
              rounded(row_times(x->past, i, 2 * m, s->past), int_at(x->past_shift, i) - 6);
    feature_base[i] = int_at(x->feature_bias, i);
    if (x->names == 0) continue;
    u64 now = (u64)id * m + i, previous = (u64)s->id * m + i, before = (u64)s->id_before * m + i;
    base[i] += 128 * (small_at(x->now, now) + small_at(x->previous, previous) + small_at(x->before, before));
    if (x->bits > 0) base[i] += 128 * small_at(x->pair, (u64)slot * m + i);
    feature_base[i] += 128 * (small_at(x->feature_now, now) + small_at(x->feature_previous, previous));
  }
}
/* An activation of hidden unit i. */
static int32_t activate(const Context* x, u32 i, i64 base, i64 q) {
  i64 seen = x->latents ? rounded(q, int_at(x->input_shift, i) - 6) : 0;
  return (int32_t)clamp(rounded(base + seen, 6), 0, 2047);
}
/* Step 2: an output; `id` and the one before it. */
static i64 output_of(const Context* x, u64 row, const int32_t* hidden, u32 id, u32 previous) {
  u64 width = 2 * (u64)x->d;
  i64 direct = x->direct > 0 ? small_at(x->direct_now, id * width + row) : 0;
  if (x->direct > 1) direct += small_at(x->direct_previous, previous * width + row);
  return rounded(row_times(x->output, row, x->m, hidden), int_at(x->output_shift, row) - 4) +
         int_at(x->output_bias, row) + 32 * direct;
}
/* Step 2: mean and scale of latent j. */
static int32_t mean_of(const Context* x, u32 j, const int32_t* hidden, u32 id, u32 previous) {
  i64 o = clamp(output_of(x, j, hidden, id, previous), -(1 << 20), 1 << 20);
  return (int32_t)rounded(o * inverses[x->point], 14 - int_at(x->exponent, j));
}
static u8 scale_of(const Context* x, u32 j, const int32_t* hidden, u32 id, u32 previous) {
  i64 o = clamp(output_of(x, (u64)x->d + j, hidden, id, previous), -(1 << 14), 1 << 14);
  i64 half_octaves = 2 * int_at(x->exponent, j) - (i64)x->point;
  return (u8)clamp(rounded(o * 12955 + 29280564 + half_octaves * 4597465, 20), 0, 133);
}
/* Step 2: what the network sees of latent j. */
static i64 seen(const Context* x, u32 j, int32_t y) {
  i64 limited = clamp(y, -(1 << 20), 1 << 20);
  return clamp(rounded(limited * gauges[x->point], 2 + int_at(x->exponent, j)), -2047, 2047);
}
/* Step 3. */
static void end_token(const Context* x, State* s, u32 id, const i64* feature_base, const i64* q) {
  for (u32 i = 0; i < x->m; ++i) {
    int32_t f = activate(x, i, feature_base[i], q[i]);
    s->leaky[i] += (int32_t)down(256 * (i64)f - s->leaky[i], 1 + (int)(5 * i / x->m));
    s->past[i] = f;
    s->past[x->m + i] = s->leaky[i] >> 8;
  }
  s->id_before = s->id;
  s->id = id;
}
/* All latents of a token, with the means and scales they were decoded by. */
static void decode_latents(const Context* x, Coder* c, State* s, u32 id, int32_t* y, int32_t* mean, u8* scale) {
  i64 base[MOST_HIDDEN], feature_base[MOST_HIDDEN], q[MOST_HIDDEN] = {0};
  int32_t hidden[MOST_HIDDEN];
  begin_token(x, s, id, base, feature_base);
  for (u32 g = 0; g < x->groups; ++g) {
    u32 from = g * x->d / x->groups, to = (g + 1) * x->d / x->groups;
    for (u32 i = 0; i < x->m; ++i) hidden[i] = activate(x, i, base[i], q[i]);
    for (u32 j = from; j < to; ++j) {
      mean[j] = mean_of(x, j, hidden, id, s->id);
      scale[j] = scale_of(x, j, hidden, id, s->id);
      y[j] = pop_gaussian(c, x->gaussians, mean[j], scale[j]);
    }
    for (u32 j = from; j < to && x->latents; ++j) {
      i64 sight = seen(x, j, y[j]);
      for (u32 i = 0; i < x->m; ++i) q[i] += small_at(x->input, (u64)i * x->d + j) * sight;
    }
  }
  end_token(x, s, id, feature_base, q);
}

/* Codec "context": its floats (numerics.md, "Floats") */

/* From the middle of a cell, q / 16 above the mean, to its centroid, as a distance towards the mean. */
static double way_to_centroid(i64 q, u32 scale, double sigma) {
  double pi = 3.14159265358979323846, root = sqrt(2.0);
  u32 left_out = scale < 37 ? 0 : (scale - 37) * 29 / 256 + 1;
  i64 told_apart = q >> left_out;
  if (told_apart > 255) told_apart = 255;
  double distance = ((double)(told_apart << left_out) + (double)((1 << left_out) - 1) / 2) / 16;
  double low = (distance - 0.5) / sigma, high = (distance + 0.5) / sigma;
  double probability = (erfc(low / root) - erfc(high / root)) / 2;
  if (probability <= 1e-6) return 0.5;
  double way = distance - sigma * (exp(-low * low / 2) - exp(-high * high / 2)) / sqrt(2 * pi) / probability;
  return way < -0.5 ? -0.5 : way > 0.5 ? 0.5 : way;
}
static void restore_context(const Context* x, const int32_t* y, const int32_t* mean, const u8* scale, float* out) {
  double* turned = allocate(x->d, sizeof(double));
  double step = pow(2, 0.5 * (double)x->point);
  for (u32 j = 0; j < x->d; ++j) {
    i64 q = 16 * (i64)y[j] - mean[j];
    double sigma = ldexp((double)x->gaussians->sigma[scale[j]], -32);
    double way = way_to_centroid(q < 0 ? -q : q, scale[j], sigma);
    double moved = y[j] - float_of(le32(x->centroid + 4 * j)) * (q < 0 ? -way : way);
    turned[int_at(x->order, j)] = moved * step / float_of(le32(x->gain + 4 * j));
  }
  for (u32 i = 0; i < x->d; ++i) {
    u32 block = i / x->block * x->block; /* where this row's block begins */
    double sum = 0;
    for (u32 k = 0; k < x->block; ++k) {
      sum += (double)float_of(le32(x->inverse + 4 * ((u64)i * x->block + k))) * turned[block + k];
    }
    out[i] = (float)(sum + (double)float_of(le32(x->offset + 4 * i)));
  }
  free(turned);
}

/* Codec "context": frames (8.1, 8.2) */

static State new_state(const Context* x) {
  State s = {allocate(2 * (u64)x->m, sizeof(int32_t)), allocate(x->m, sizeof(int32_t)), x->n, x->n};
  return s;
}
static void drop_rows(Context* x) {
  for (u64 i = 0; i < x->row_count; ++i) {
    free(x->rows[i].past);
    free(x->rows[i].leaky);
  }
  free(x->rows);
  x->rows = NULL;
  x->row_count = 0;
}
/* Before every frame; `fresh`: its rows begin new sequences. */
static void begin_frame(Context* x, u64 batch, int fresh) {
  if (fresh) {
    drop_rows(x);
    x->point = 0;
  }
  if (x->rows) return; /* the stream checks that the frames have the same rows */
  x->rows = allocate(batch, sizeof(State));
  for (u64 i = 0; i < batch; ++i) x->rows[i] = new_state(x);
  x->row_count = batch;
}
static u32 pop_id(const Context* x, Coder* c, u32 before) {
  int bits = 0;
  if (x->places) {
    u32 groups = x->class_groups, group_before = groups;
    u32 group = pop(c, &x->ids[before]);
    for (u32 g = 0; g < groups; ++g) {
      if (before >= x->class_begin[g] && before < x->class_begin[g + 1]) group_before = g;
    }
    return x->class_begin[group] + pop(c, &x->places[group * (groups + 1) + group_before]);
  }
  if (x->ids) return pop(c, &x->ids[before]);
  while ((x->n - 1) >> bits != 0) ++bits;
  u32 id = raw(c, bits);
  check(id < x->n, CORRUPT);
  return id;
}
/* A chunk's integers and hidden states, or a token's. `carried`: the classes or ids of its tokens, which the frame has;
 * else NULL, and `known` has the ids where the codec needs them. */
static void decode_context(Context* x, Coder* c, u64 tokens, int32_t* carried, const u32* known, int32_t* y,
                           float* out) {
  u64 count = x->row_count * tokens;
  int32_t* mean = allocate(x->d, sizeof(int32_t));
  u8* scale = allocate(x->d, 1);
  if (x->points > 1 && pop(c, &x->same_point) == 1) {
    x->point = raw(c, 4);
    check(x->point < x->points, CORRUPT);
  }
  for (u64 i = 0; i < count && carried; ++i) {
    u32 before = i % tokens == 0 ? x->rows[i / tokens].id : (u32)carried[i - 1];
    carried[i] = (int32_t)pop_id(x, c, before);
  }
  for (u64 i = 0; i < count; ++i) {
    u32 id = carried ? (u32)carried[i] : known ? known[i] : 0;
    decode_latents(x, c, &x->rows[i / tokens], id, y + i * x->d, mean, scale);
    restore_context(x, y + i * x->d, mean, scale, out + i * x->d);
  }
  free(mean);
  free(scale);
}

/* Plain codecs (4) */

static void scaled(const u8* p, u64 n, float scale, float* out) {
  check(scale >= 0 && scale <= 3.4028234663852886e38f, CORRUPT);
  for (u64 i = 0; i < n; ++i) out[i] = scale * (float)(p[i] < 128 ? p[i] : p[i] - 256);
}
/* Which of them a codec id spells. */
static int plain_codec(u64 id) {
  static const char names[5][9] = {"fp32\0\0\0\0", "fp16\0\0\0\0", "bf16\0\0\0\0", "int8\0\0\0\0", "q80\0\0\0\0\0"};
  for (int i = 0; i < 5; ++i) {
    if (le64((const u8*)names[i]) == id) return i;
  }
  fail(UNSUPPORTED);
  return 0;
}
static void decode_plain(u64 id, const u8* p, u64 size, u64 tokens, u64 d, float* out) {
  u64 n = tokens * d, want;
  int codec = plain_codec(id), fp32 = codec == 0, fp16 = codec == 1, bf16 = codec == 2, int8 = codec == 3,
      q80 = codec == 4;
  want = fp32 ? 4 * n : fp16 || bf16 ? 2 * n : int8 ? n + 4 * tokens : n + 2 * tokens * ((d + 31) / 32);
  check(size >= want, TRUNCATED);
  check(size == want, CORRUPT);
  for (u64 i = 0; i < n && fp32; ++i) out[i] = float_of(le32(p + 4 * i));
  for (u64 i = 0; i < n && fp16; ++i) out[i] = half(le16(p + 2 * i));
  for (u64 i = 0; i < n && bf16; ++i) out[i] = float_of((u32)le16(p + 2 * i) << 16);
  for (u64 t = 0; t < tokens && int8; ++t, p += 4 + d) {
    check(float_of(le32(p)) <= 2.6584558331135067e36f, CORRUPT); /* the largest / 128 */
    scaled(p + 4, d, float_of(le32(p)), out + t * d);
  }
  for (u64 t = 0; t < tokens && q80; ++t) {
    for (u64 c = 0; c < d; c += 32) {
      u64 block = d - c < 32 ? d - c : 32;
      scaled(p + 2, block, half(le16(p)), out + t * d + c);
      p += 2 + block;
    }
  }
}

/* Streams (3) */

typedef struct {
  u32* ids; /* of all tokens, row after row */
  u64 count;
} Ids;

typedef struct {
  u32 kind, flags, S, R;
  u64 d, frames, tokens, batch, id;
  Pack* pack;
  const Ids* known;
  int carries;   /* classes or ids */
  float* values; /* of all frames, in their order */
  u64 capacity;
  u64* counts;  /* tokens of each frame's rows */
  int keeps;    /* the integers */
  u8* integers; /* of all frames, for --integers */
  u64 integer_bytes, integer_room;
} Stream;

static void keep_integers(Stream* s, const int32_t* piece, u64 count) {
  u64 need = s->integer_bytes + 4 * count;
  if (!s->keeps) return;
  if (need > s->integer_room) {
    s->integer_room = need * 2;
    s->integers = realloc(s->integers, (size_t)s->integer_room);
    check(s->integers != NULL, IO);
  }
  for (u64 i = 0; i < count; ++i, s->integer_bytes += 4) put32((u32)piece[i], s->integers + s->integer_bytes);
}

static float* room_for(Stream* s, u64 batch, u64 tokens) {
  u64 need = (s->tokens + batch * tokens) * s->d;
  check(s->frames == 0 || s->batch == batch, CORRUPT);
  if (need > s->capacity) {
    s->capacity = need * 2;
    s->values = realloc(s->values, (size_t)(s->capacity * sizeof(float)));
    check(s->values != NULL, IO);
  }
  if ((s->frames & (s->frames + 1)) == 0) {
    s->counts = realloc(s->counts, (size_t)((2 * s->frames + 2) * sizeof(u64)));
    check(s->counts != NULL, IO);
  }
  s->counts[s->frames] = tokens;
  s->batch = batch;
  return s->values + s->tokens * s->d;
}
static void read_header(Stream* s, Reader* r) {
  for (u64 i = 0; i < 4 && i < r->left; ++i) check(r->p[i] == "SLUC"[i], CORRUPT);
  check(r->left < 5 || r->p[4] == 1, UNSUPPORTED);
  const u8* h = take(r, 40);
  s->S = s->R = le32(h + 36);
  check(checksum(h, 36, 0) == s->S, CORRUPT);
  s->kind = h[5] & 15;
  s->flags = le16(h + 6);
  s->id = le64(h + 16);
  s->d = le32(h + 24);
  check(h[5] >> 4 >= 1 && h[5] >> 4 <= 3 && s->kind >= 1 && s->kind <= 3 && s->flags < 32 &&
            (!(s->flags & 16) || (s->kind == 3 && (s->flags & 4))),
        UNSUPPORTED);
  check(s->d >= 1 && s->d <= 65536 && (h[30] == 0 || (h[30] >= 10 && h[30] <= 16)), CORRUPT);
  check(s->kind == 2 || (h[31] == 0 && le32(h + 32) == 0), CORRUPT);
  const Pack* pack = s->pack;
  check(s->kind == 1 || (s->kind == 3 && pack != NULL), MISMATCH);
  if (s->kind == 1) {
    plain_codec(s->id);
    return;
  }
  check(s->id == pack->id && le64(h + 8) == pack->model_id && s->d == pack->width && le16(h + 28) == pack->cut &&
            h[30] == pack->precision && (s->flags & 6) == pack->flags,
        MISMATCH);
  s->carries = (s->flags & 16) || (pack->is_context && pack->context.names == 2);
}
/* The ids of a frame's tokens, row after row, from those that are known of all. */
static u32* known_ids(const Stream* s, u64 batch, u64 tokens) {
  u64 first = s->tokens / batch, length = s->known->count / batch;
  check(first + tokens <= length, INVALID);
  u32* ids = allocate(batch * tokens, sizeof(u32));
  for (u64 i = 0; i < batch * tokens; ++i) {
    ids[i] = s->known->ids[i / tokens * length + first + i % tokens];
    check(ids[i] < s->pack->context.n, INVALID);
  }
  return ids;
}
/* The integers of a chunk of kind 3, or of a token, and the hidden states they stand for. Gives the checksum `c` of the
 * pieces, which begins with what is given. */
static u32 decode_pieces(Stream* s, Coder* c, u64 batch, u64 tokens, u32 sum) {
  Pack* pack = s->pack;
  u64 count = batch * tokens, carried_count = s->carries ? count : 0;
  float* out = room_for(s, batch, tokens);
  int32_t *carried = allocate(carried_count, sizeof(int32_t)), *y = allocate(count * s->d, sizeof(int32_t));
  int needs_ids = (pack->flags & 4) && !(s->flags & 16);
  u32* known = needs_ids ? known_ids(s, batch, tokens) : NULL;
  if (pack->is_context) {
    begin_frame(&pack->context, batch, (s->flags & 9) != 0);
    decode_context(&pack->context, c, tokens, s->carries ? carried : NULL, known, y, out);
    sum = checksum_integers(carried, carried_count, sum); /* an empty piece counts as well */
  } else {
    decode_static(pack, c, count * s->d, y);
    restore_static(pack, y, count, out);
  }
  keep_integers(s, carried, carried_count);
  keep_integers(s, y, count * s->d);
  sum = checksum_integers(y, count * s->d, sum);
  free(carried);
  free(y);
  free(known);
  return sum;
}
static void read_token(Stream* s, Reader* r, u32 type) {
  check(s->kind == 3 && (s->flags & 9) == 0, UNSUPPORTED);
  check(s->frames == 0 || s->batch == 1, CORRUPT);
  Coder c = open_token(type & 127, r->p, r->left, s->pack->precision);
  s->R = decode_pieces(s, &c, 1, 1, s->R);
  take(r, finish_token(&c, r->left, s->R));
  s->tokens += 1;
}
static void read_frame(Stream* s, Reader* r, const u8* begin, u32 type) {
  u64 single = s->flags & 8, sizes[8];
  check((type & 15) == (s->kind == 1 ? 2u : 1u), UNSUPPORTED);
  u64 batch = varint(r), tokens = varint(r), first = single ? 0 : varint(r), n = (type >> 4) + 1;
  u64 most = single ? 16383 : 1 << 20;
  if (most > ((u64)1 << 26) / s->d) most = ((u64)1 << 26) / s->d;
  check(batch >= 1 && batch <= 4096 && tokens >= 1 && tokens <= most / batch, CORRUPT);
  check(first == s->tokens && s->tokens <= (u64)1 << 48, CORRUPT);
  for (u64 i = 0; i < n; ++i) {
    sizes[i] = varint(r);
    check(sizes[i] <= (single ? ((u64)1 << 28) - 1 : (u64)1 << 29), CORRUPT);
  }
  u32 c = checksum(begin, (u64)(r->p - begin), s->S);
  const u8* payload = r->p;
  for (u64 i = 0; i < n; ++i) take(r, sizes[i]);
  u32 stored = le32(take(r, 4));
  check(n == 1, CORRUPT);
  if (s->kind == 1) {
    check(checksum(payload, sizes[0], c) == stored, CORRUPT);
    decode_plain(s->id, payload, sizes[0], batch * tokens, s->d, room_for(s, batch, tokens));
  } else {
    Coder coder;
    int early = s->pack->is_context ? CORRUPT : TRUNCATED;
    open_stream(&coder, payload, sizes[0], lanes_for(batch * tokens * s->d), (int)s->pack->precision, early);
    c = decode_pieces(s, &coder, batch, tokens, c);
    finish_stream(&coder);
    check(c == stored, CORRUPT);
  }
  u8 bytes[4];
  put32(stored, bytes);
  s->R = checksum(bytes, 4, s->R);
  s->tokens += batch * tokens;
}
static void read_stream(Stream* s, Reader r) {
  read_header(s, &r);
  for (;; ++s->frames) {
    if ((s->flags & 8) && s->frames == 1) {
      check(r.left == 0, CORRUPT);
      break;
    }
    const u8* begin = r.p;
    u32 type = *take(&r, 1);
    if (type == 3 && !(s->flags & 8)) {
      u64 frames = varint(&r), tokens = varint(&r);
      u32 c = checksum(begin, (u64)(r.p - begin), s->R);
      check(le32(take(&r, 4)) == c && frames == s->frames && tokens == s->tokens && r.left == 0, CORRUPT);
      break;
    }
    if (type >= 128) {
      read_token(s, &r, type);
    } else {
      read_frame(s, &r, begin, type);
    }
  }
  check(s->frames > 0, CORRUPT);
}
/* The frames' tokens follow one another in every row. */
static void write_rows(const Stream* s, FILE* out) {
  for (u64 b = 0; b < s->batch; ++b) {
    const float* frame = s->values;
    for (u64 i = 0; i < s->frames; ++i) {
      const float* row = frame + b * s->counts[i] * s->d;
      for (u64 k = 0; k < s->counts[i] * s->d; ++k) {
        u8 bytes[4];
        u32 bits;
        memcpy(&bits, &row[k], 4);
        put32(bits, bytes);
        check(fwrite(bytes, 1, 4, out) == 4, IO);
      }
      frame += s->batch * s->counts[i] * s->d;
    }
  }
}

/* Archives (5) */

typedef struct {
  u32 source, fidelity, d; /* source: 1 f32, 2 f16, 3 bf16 */
  FILE* out;
} Archive;

typedef struct {
  const u8* p;
  u64 bits, at;
} Bits;

static u32 next_bits(Bits* b, int n) {
  u32 value = 0;
  for (int i = 0; i < n; ++i, ++b->at) {
    check(b->at < b->bits, TRUNCATED);
    value |= (u32)(b->p[b->at / 8] >> (b->at % 8) & 1) << i;
  }
  return value;
}
static u32 bits_of(float v) {
  u32 bits;
  memcpy(&bits, &v, 4);
  return bits;
}
static u32 to_half(float f) {
  u32 sign = bits_of(f) >> 16 & 0x8000;
  double a = fabs((double)f), unit = 0x1p-24;
  if (a >= 65520) return sign | 0x7C00;
  while (a / unit >= 2048) unit *= 2;
  u32 m = (u32)nearbyint(a / unit), e = 0; /* ties to even; 2048 runs over into the exponent by itself */
  for (double u = 0x1p-24; u < unit; u *= 2) ++e;
  return sign | ((e << 10) + m);
}
static u32 to_bfloat(float f) {
  u32 bits = bits_of(f);
  return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
}
/* An element: its own bits as the source type has them, or a value. */
static void put_element(const Archive* a, int own, u32 bits, float value) {
  u8 bytes[4];
  int wide = a->source == 1 || a->fidelity != 0;
  if (own && wide) bits = a->source == 1 ? bits : a->source == 2 ? bits_of(half(bits)) : bits << 16;
  if (!own) bits = wide ? bits_of(value) : a->source == 2 ? to_half(value) : to_bfloat(value);
  put32(bits, bytes);
  check(fwrite(bytes, 1, wide ? 4 : 2, a->out) == (wide ? 4u : 2u), IO);
}

typedef struct {
  double step;
  int m, signed_zero, classes, spreads[32];
  float weight[32];
  const u8 *center, *spread;
  Table rows, residual[84];
} Model;

static void read_frequencies(Table* t, Reader* r, u32 n) {
  t->count = n - 1;
  t->starts = allocate(n + 1, sizeof(u32));
  for (u32 i = 0; i < n; ++i) {
    u64 f = varint(r);
    check(f >= 1 && f <= 4095, CORRUPT);
    t->starts[i + 1] = t->starts[i] + (u32)f;
  }
  check(t->starts[n] == 4096, CORRUPT);
}
static void read_model(Model* m, Reader* r, u32 d) {
  u64 bits = le64(take(r, 8));
  memset(m, 0, sizeof(*m));
  memcpy(&m->step, &bits, 8);
  m->m = *take(r, 1);
  m->signed_zero = *take(r, 1);
  check(m->step >= 0 && m->step <= 1.7976931348623157e308 && m->m <= 23 && m->signed_zero <= 1, CORRUPT);
  check(m->step == 0 || (m->m == 0 && m->signed_zero == 0), CORRUPT);
  m->center = take(r, 2 * (u64)d);
  m->spread = take(r, 2 * (u64)d);
  for (u32 i = 0; i < d; ++i) {
    int spread = (int16_t)le16(m->spread + 2 * i);
    check((le16(m->center + 2 * i) & 0x7F80) != 0x7F80 && spread >= -500 && spread <= 500, CORRUPT);
  }
  m->classes = *take(r, 1);
  check(m->classes >= 2 && m->classes <= 32, CORRUPT);
  for (int i = 0; i < m->classes; ++i) {
    u32 w = *take(r, 1);
    check(w >= 1 && w <= 64, CORRUPT);
    m->weight[i] = (float)w / 64;
    m->spreads[i] = (int8_t)*take(r, 1);
  }
  read_frequencies(&m->rows, r, (u32)m->classes);
  for (int i = 0; i < 84; ++i) {
    u64 n = varint(r), z;
    if (n == 0) continue;
    check(n >= 3 && n <= 256, CORRUPT);
    z = varint(r);
    check(z <= 8192, CORRUPT);
    m->residual[i].first = (i64)(z >> 1) ^ -(i64)(z & 1);
    read_frequencies(&m->residual[i], r, (u32)n);
  }
}
static int log2_of(u32 v) {
  int l = 0;
  while (v >> l > 1) ++l;
  return l;
}
/* What symbol s says, at bucket b of width 2^k. */
static float read_value(const Model* m, Bits* raw_bits, int s, i64 first, i64 b, int k) {
  if (s == 1) return m->signed_zero && next_bits(raw_bits, 1) ? -0.0f : 0.0f;
  i64 i = s == 2 ? (i64)next_bits(raw_bits, 22) - (1 << 21) : b + first + s - 3, v;
  u32 q = (u32)(i < 0 ? -1 - i : i);
  double value;
  if (m->step != 0) {
    v = i * ((i64)1 << k) + next_bits(raw_bits, k);
    check(v >= -(1 << 24) && v <= 1 << 24, CORRUPT);
    return (float)v;
  }
  if (q > 0) {
    int n = (int)clamp(m->m - log2_of(q), 0, 32);
    value = ldexp((double)(((u64)q << n) + next_bits(raw_bits, n)), k - n);
  } else {
    int z = 0;
    while (next_bits(raw_bits, 1) == 0) check(++z <= 8, CORRUPT);
    value = ldexp((double)(((u32)1 << m->m) + next_bits(raw_bits, m->m)), k - 1 - z - m->m);
  }
  return (float)(i < 0 ? -value : value);
}
static void read_row(const Archive* a, const Model* m, Coder* c, Bits* raw_bits, int class, const float* reference,
                     float* row) {
  int grid = m->step != 0;
  for (u32 j = 0; j < a->d; ++j) {
    float center = float_of((u32)le16(m->center + 2 * j) << 16), p = class ? reference[j] : center;
    float deviation = p - center, weighted = m->weight[class] * deviation, x = center + weighted;
    int level = (int16_t)le16(m->spread + 2 * j) + m->spreads[class], quarter = (level + 4096) / 4 - 1024;
    int exponent = (int)(bits_of(x) >> 23 & 255) - 127 - m->m, k;
    k = (int)(grid ? clamp(quarter - 2, 0, 24) : clamp(quarter - 2 > exponent ? quarter - 2 : exponent, -90, 90));
    float y = ldexpf(x, -k);
    y = y < -1048576.0f ? -1048576.0f : y > 1048576.0f ? 1048576.0f : y;
    float b = floorf(y), inside = y - b;
    int ratio = (int)clamp(level - 4 * k + 12, 0, 23), phase = (int)clamp((int)(4 * inside), 0, 3);
    const Table* t = &m->residual[ratio < 20 ? 4 * ratio + phase : ratio + 60];
    check(t->starts != NULL, CORRUPT);
    int s = (int)pop(c, t);
    if (s == 0) {
      put_element(a, 1, next_bits(raw_bits, a->source == 1 ? 32 : 16), 0);
      row[j] = center;
      continue;
    }
    row[j] = read_value(m, raw_bits, s, t->first, (i64)b, k);
    put_element(a, 0, 0, grid ? (float)(row[j] * m->step) : row[j]);
  }
}
static void read_chunk(const Archive* a, Reader r, u64 tokens) {
  static Model model;
  u64 count = tokens * a->d, size = a->source == 1 ? 4 : 2, last = 0;
  u32 kind = *take(&r, 1);
  check(kind <= 1, CORRUPT);
  if (kind == 0) {
    const u8* p = take(&r, count * size);
    check(r.left == 0, CORRUPT);
    for (u64 i = 0; i < count; ++i) put_element(a, 1, size == 4 ? le32(p + 4 * i) : le16(p + 2 * i), 0);
    return;
  }
  read_model(&model, &r, a->d);
  u64 stream = varint(&r);
  const u8* bytes = take(&r, stream);
  Bits raw_bits = {r.p, 8 * r.left, 0};
  Coder c;
  open_stream(&c, bytes, stream, lanes_for(tokens + count), 12, TRUNCATED);
  u8* classes = allocate(tokens, 1);
  float* values = allocate(count, sizeof(float));
  for (u64 t = 0; t < tokens; ++t) classes[t] = (u8)pop(&c, &model.rows);
  for (u64 t = 0; t < tokens; ++t) {
    if (classes[t] != 0) {
      if (next_bits(&raw_bits, 1) == 0)
        last = t == 0 ? 0 : next_bits(&raw_bits, t == 1 ? 0 : log2_of((u32)t - 1) + 1) + (u64)1;
      check(last != 0 && last <= t, CORRUPT);
    }
    read_row(a, &model, &c, &raw_bits, classes[t], values + (t - last) * a->d, values + t * a->d);
  }
  finish_stream(&c);
  check(raw_bits.bits - raw_bits.at < 8 && next_bits(&raw_bits, (int)(raw_bits.bits - raw_bits.at)) == 0, CORRUPT);
  free(classes);
  free(values);
  free(model.rows.starts);
  for (int i = 0; i < 84; ++i) free(model.residual[i].starts);
}
static void read_archive(Archive* a, const u8* bytes, u64 size) {
  u64 tokens = 0, chunks = 0, at = 40;
  check(size < 5 || bytes[4] == 1, UNSUPPORTED);
  check(size >= 40, TRUNCATED);
  check(checksum(bytes, 36, 0) == le32(bytes + 36), CORRUPT);
  a->source = bytes[5];
  a->fidelity = bytes[6];
  a->d = le32(bytes + 8);
  check(a->source >= 1 && a->source <= 3 && a->fidelity <= 3 && bytes[7] == 0 && le64(bytes + 28) == 0, UNSUPPORTED);
  check(a->d >= 1 && a->d <= 65536, CORRUPT);
  while (size - at >= 20) { /* what a writer that died left behind is passed over */
    const u8* h = bytes + at;
    u64 n = le32(h + 4), payload = le32(h + 8);
    check(checksum(h, 16, at) == le32(h + 16), CORRUPT);
    at += 20;
    if (!memcmp(h, "END ", 4)) {
      check(n == (u32)chunks && payload == 0 && le32(h + 12) == (u32)tokens && at == size, CORRUPT);
      break;
    }
    check(!memcmp(h, "CHNK", 4) && n >= 1 && n <= 1 << 20 && n * a->d <= 1 << 26 && payload <= 1 << 29, CORRUPT);
    if (size - at < payload) break;
    check(checksum(bytes + at, payload, 0) == le32(h + 12), CORRUPT);
    Reader r = {bytes + at, payload, TRUNCATED};
    read_chunk(a, r, n);
    at += payload;
    tokens += n;
    ++chunks;
  }
  printf("archive of %llu tokens, width %llu\n", (unsigned long long)tokens, (unsigned long long)a->d);
}

static u8* read_file(const char* path, u64* size) {
  FILE* file = fopen(path, "rb");
  check(file != NULL && fseek(file, 0, SEEK_END) == 0, IO);
  long length = ftell(file);
  check(length >= 0 && fseek(file, 0, SEEK_SET) == 0, IO);
  u8* bytes = allocate((u64)length + 1, 1);
  check(fread(bytes, 1, (size_t)length, file) == (size_t)length, IO);
  fclose(file);
  *size = (u64)length;
  return bytes;
}
static Ids read_ids(const char* path) {
  Ids list = {NULL, 0};
  u64 size = 0;
  char *at = (char*)read_file(path, &size), *end;
  list.ids = allocate(size / 2 + 1, sizeof(u32)); /* a digit and a space each */
  for (;; at = end) {
    unsigned long id = strtoul(at, &end, 10);
    if (end == at) break;
    check(id <= 1 << 18 && list.count <= size / 2, INVALID);
    list.ids[list.count++] = (u32)id;
  }
  while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r') ++at;
  check(*at == 0, INVALID);
  return list;
}
static FILE* create(const char* path) {
  FILE* file = fopen(path, "wb");
  check(file != NULL, IO);
  return file;
}
int main(int argc, char** argv) {
  const char *pack_path = NULL, *ids_path = NULL, *integers_path = NULL;
  Pack pack = {0};
  Stream stream = {0};
  Ids known = {NULL, 0};
  u64 size = 0;
  int at = 1;
  for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
    if (!strcmp(argv[at], "--pack"))
      pack_path = argv[at + 1];
    else if (!strcmp(argv[at], "--ids"))
      ids_path = argv[at + 1];
    else if (!strcmp(argv[at], "--integers"))
      integers_path = argv[at + 1];
    else
      break;
  }
  if (argc != at + 2) {
    fprintf(stderr, "usage: tiny_decoder [--pack PACK] [--ids FILE] [--integers FILE] IN OUT\n");
    return INVALID;
  }
  if (pack_path) {
    u8* bytes = read_file(pack_path, &size);
    read_pack(&pack, bytes, size);
    stream.pack = &pack;
  }
  if (ids_path) known = read_ids(ids_path);
  stream.keeps = integers_path != NULL;
  stream.known = &known;
  u8* bytes = read_file(argv[at], &size);
  FILE* out;
  if (size >= 4 && !memcmp(bytes, "SLUA", 4)) {
    out = create(argv[at + 1]);
    Archive archive = {0, 0, 0, out};
    read_archive(&archive, bytes, size);
  } else {
    Reader reader = {bytes, size, TRUNCATED};
    read_stream(&stream, reader);
    out = create(argv[at + 1]);
    write_rows(&stream, out);
    if (integers_path) {
      FILE* file = create(integers_path);
      check(fwrite(stream.integers, 1, stream.integer_bytes, file) == stream.integer_bytes && fclose(file) == 0, IO);
    }
    printf("%llu rows of %llu tokens, width %llu\n", (unsigned long long)stream.batch,
           (unsigned long long)(stream.tokens / stream.batch), (unsigned long long)stream.d);
  }
  check(fclose(out) == 0, IO);
  return 0;
}
