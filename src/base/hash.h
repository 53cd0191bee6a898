#ifndef SLUICE_BASE_HASH_H_
#define SLUICE_BASE_HASH_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace sluice {

using Sha256Digest = std::array<uint8_t, 32>;

/// SHA-256 over any number of pieces, for identities of models, codecs and corpora.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(std::span<const uint8_t> bytes);
  /// Digest of everything so far. Call once.
  Sha256Digest Finish();

  static Sha256Digest Of(std::span<const uint8_t> bytes);

 private:
  evp_md_ctx_st* context_;
};

/// Lower-case hexadecimal.
std::string ToHex(std::span<const uint8_t> bytes);

/// The digest that 64 lower-case hexadecimal digits stand for; none for any other text.
std::optional<Sha256Digest> DigestFromHex(std::string_view text);

/// First 8 bytes of a digest as a little-endian integer: the short identity that headers carry.
uint64_t ShortId(const Sha256Digest& digest);

/// XXH3 of `bytes` with a seed, folded to 32 bits: the checksum of frames. Detects accidents, not attacks.
uint32_t Checksum32(std::span<const uint8_t> bytes, uint64_t seed = 0);

}  // namespace sluice

#endif  // SLUICE_BASE_HASH_H_
