#ifndef SLUICE_TESTS_CONFORMANCE_CROSS_OPENSSL_EVP_H_
#define SLUICE_TESTS_CONFORMANCE_CROSS_OPENSSL_EVP_H_

// SHA-256 (FIPS 180-4) behind the names of libcrypto that base/hash.cc uses, for machines without that library: what is
// built for another architecture here needs nothing else of it.
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

struct evp_md_ctx_st {
  std::vector<uint8_t> bytes;
};

inline evp_md_ctx_st* EVP_MD_CTX_new() { return new evp_md_ctx_st; }
inline void EVP_MD_CTX_free(evp_md_ctx_st* context) { delete context; }
inline const void* EVP_sha256() { return nullptr; }
inline int EVP_DigestInit_ex(evp_md_ctx_st*, const void*, const void*) { return 1; }
inline int EVP_DigestUpdate(evp_md_ctx_st* context, const uint8_t* bytes, size_t size) {
  context->bytes.insert(context->bytes.end(), bytes, bytes + size);
  return 1;
}

inline int EVP_DigestFinal_ex(evp_md_ctx_st* context, uint8_t* digest, unsigned*) {
  // The constants are the first 32 bits behind the point of cube and square roots of the first primes, in integers.
  const auto root = [](unsigned __int128 radicand, int power) {
    uint64_t low = 0, high = uint64_t{1} << 38;
    while (low + 1 < high) {
      const uint64_t middle = (low + high) / 2;
      const unsigned __int128 square = static_cast<unsigned __int128>(middle) * middle;
      const bool over = power == 2 ? square > radicand : square > radicand / middle;
      (over ? high : low) = middle;
    }
    return static_cast<uint32_t>(low);
  };
  std::array<uint32_t, 64> k{};
  std::array<uint32_t, 8> h{};
  for (uint32_t prime = 2, found = 0; found < 64; ++prime) {
    bool divisible = false;
    for (uint32_t q = 2; q * q <= prime; ++q) divisible = divisible || prime % q == 0;
    if (divisible) continue;
    k[found] = root(static_cast<unsigned __int128>(prime) << 96, 3);
    if (found < 8) h[found] = root(static_cast<unsigned __int128>(prime) << 64, 2);
    ++found;
  }
  std::vector<uint8_t>& text = context->bytes;
  const uint64_t bits = 8 * text.size();
  text.push_back(0x80);
  while (text.size() % 64 != 56) text.push_back(0);
  for (int i = 7; i >= 0; --i) text.push_back(static_cast<uint8_t>(bits >> (8 * i)));
  for (size_t at = 0; at < text.size(); at += 64) {
    std::array<uint32_t, 64> w{};
    for (size_t i = 0; i < 64; ++i) w[i / 4 < 16 ? i / 4 : 15] |= uint32_t{text[at + i]} << (24 - 8 * (i % 4));
    for (size_t i = 16; i < 64; ++i) {
      const uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ (a >> 3)) +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ (b >> 10));
    }
    auto v = h;
    for (size_t i = 0; i < 64; ++i) {
      const uint32_t e = v[4], a = v[0];
      const uint32_t one =
          v[7] + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
      const uint32_t two =
          (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
      v = {one + two, v[0], v[1], v[2], v[3] + one, v[4], v[5], v[6]};
    }
    for (size_t i = 0; i < 8; ++i) h[i] += v[i];
  }
  for (size_t i = 0; i < 32; ++i) digest[i] = static_cast<uint8_t>(h[i / 4] >> (24 - 8 * (i % 4)));
  return 1;
}

#endif  // SLUICE_TESTS_CONFORMANCE_CROSS_OPENSSL_EVP_H_
