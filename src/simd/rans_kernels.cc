// The inner loops for vectors of 32-bit states, one source for every instruction set (Highway compiles it once for
// each).
//
// A round of lanes goes through vector after vector. Which lanes give up or take a word differs from lane to lane: the
// words of a vector are packed together, or spread out, by a shuffle of bytes that a table gives for each mask. Words
// keep the order of the plain coder: the decoder refills lanes upwards, the encoder empties them downwards.
// Table entries come by scalar loads, put together in registers; hardware gathers are slower on the CPUs at hand, and a
// detour over memory waits for the stores. AVX-512 is compiled and agrees on a CPU that has it, but is not chosen:
// eight lanes are no faster with it than with AVX2.
#include "simd/rans_kernels.h"

#include <array>
#include <bit>
#include <cstring>
#include <vector>

// Vectors without a fixed length would need kernels of their own.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd/rans_kernels.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "simd/target_choice.h"

#ifndef SLUICE_SIMD_RANS_KERNELS_ONCE
#define SLUICE_SIMD_RANS_KERNELS_ONCE
namespace sluice {
namespace {

inline constexpr size_t kMaxVectorLanes = 8;

/// For each mask of lanes, a shuffle of the bytes of eight 16-bit words. Masks of 4 lanes use the first rows.
struct Shuffles {
  alignas(64) std::array<std::array<uint8_t, 16>, 256> pack_down;  // words of the set lanes, the highest first
  alignas(64) std::array<std::array<uint8_t, 16>, 256> spread;     // the i-th set lane takes word i
};

constexpr Shuffles MakeShuffles() {
  Shuffles shuffles{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    uint8_t taken = 0;
    for (unsigned lane = 0; lane < 8; ++lane) {
      const bool set = (mask >> lane & 1) != 0;
      shuffles.spread[mask][2 * lane] = set ? static_cast<uint8_t>(2 * taken) : uint8_t{0};
      shuffles.spread[mask][2 * lane + 1] = set ? static_cast<uint8_t>(2 * taken + 1) : uint8_t{0};
      taken = static_cast<uint8_t>(taken + set);
    }
    for (unsigned lane = 0; lane < 8; ++lane) {
      if ((mask >> lane & 1) == 0) continue;
      --taken;
      shuffles.pack_down[mask][2 * taken] = static_cast<uint8_t>(2 * lane);
      shuffles.pack_down[mask][2 * taken + 1] = static_cast<uint8_t>(2 * lane + 1);
    }
  }
  return shuffles;
}

constexpr Shuffles kShuffles = MakeShuffles();

}  // namespace
}  // namespace sluice
#endif  // SLUICE_SIMD_RANS_KERNELS_ONCE

HWY_BEFORE_NAMESPACE();
namespace sluice {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

[[maybe_unused]] const RansKernels& TargetKernels() { return PlainRansKernels(); }

#else

namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::CappedTag<uint32_t, kMaxVectorLanes>;
using D64 = hn::Repartition<uint64_t, D32>;
using DI32 = hn::RebindToSigned<D32>;
using D16 = hn::Rebind<uint16_t, D32>;
using DI16 = hn::RebindToSigned<D16>;
using D8 = hn::Rebind<uint8_t, D32>;
using Bytes16 = hn::Full128<uint8_t>;
using Words8 = hn::Full128<uint16_t>;
using V32 = hn::Vec<D32>;

constexpr size_t kVectorLanes = HWY_MAX_BYTES >= 32 ? 8 : 4;

HWY_INLINE unsigned MaskBits(D32 d, hn::Mask<D32> mask) {
  uint8_t bits[8] = {};
  hn::StoreMaskBits(d, mask, bits);
  return bits[0];
}

/// A vector as numbers for addresses. By way of memory: taking it apart lane by lane costs twice as many steps, which
/// compilers prefer when they see the way around it.
struct Addresses {
  HWY_ALIGN uint32_t at[kVectorLanes];

  HWY_INLINE explicit Addresses(V32 v) {
    hn::Store(v, D32(), at);
    asm volatile("" : "+m"(at));
  }
  HWY_INLINE size_t operator[](size_t i) const { return at[i]; }
};

/// The words of a vector as 16 bytes, and back.
HWY_INLINE hn::Vec<Bytes16> ToBytes(hn::Vec<D16> words) {
#if HWY_MAX_BYTES >= 32
  return hn::BitCast(Bytes16(), words);
#else
  return hn::BitCast(Bytes16(), hn::ZeroExtendVector(Words8(), words));
#endif
}
HWY_INLINE hn::Vec<D16> FromBytes(hn::Vec<Bytes16> bytes) {
#if HWY_MAX_BYTES >= 32
  return hn::BitCast(D16(), bytes);
#else
  return hn::LowerHalf(D16(), hn::BitCast(Words8(), bytes));
#endif
}

/// floor(a * b / 2^32), lane by lane.
HWY_INLINE V32 MulHigh(D32 d, V32 a, V32 b) {
  const D64 d64;
  const auto even = hn::MulEven(a, b);
  const V32 a_odd = hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, a)));
  const V32 b_odd = hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, b)));
  const auto odd = hn::MulEven(a_odd, b_odd);
  return hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, even))));
}

/// Two vectors of 64-bit entries, half of `kVectorLanes` each, from scalar loads.
struct Entries {
  V32 reciprocal;
  V32 packed;
};

HWY_INLINE Entries LoadEntries(D32 d, const uint64_t* entries, const Addresses& at) {
#if HWY_TARGET <= HWY_AVX2
  const auto pair = [&](size_t i) HWY_ATTR {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(entries + at[i]));
    return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(entries + at[i + 1])));
  };
  const __m256i first = _mm256_inserti128_si256(_mm256_castsi128_si256(pair(0)), pair(4), 1);   // 0 1 4 5
  const __m256i second = _mm256_inserti128_si256(_mm256_castsi128_si256(pair(2)), pair(6), 1);  // 2 3 6 7
  const __m256 a = _mm256_castsi256_ps(first), b = _mm256_castsi256_ps(second);
  (void)d;
  return {V32{_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88))},
          V32{_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD))}};
#elif HWY_ARCH_X86
  const auto pair = [&](size_t i) HWY_ATTR {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(entries + at[i]));
    return _mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(entries + at[i + 1]));
  };
  const __m128 a = pair(0), b = pair(2);
  (void)d;
  return {V32{_mm_castps_si128(_mm_shuffle_ps(a, b, 0x88))}, V32{_mm_castps_si128(_mm_shuffle_ps(a, b, 0xDD))}};
#else
  const hn::Full128<uint64_t> d64;
  uint64_t loaded[4];
  for (size_t i = 0; i < 4; ++i) loaded[i] = entries[at[i]];
  const auto a = hn::BitCast(d, hn::LoadU(d64, loaded)), b = hn::BitCast(d, hn::LoadU(d64, loaded + 2));
  return {hn::ConcatEven(d, b, a), hn::ConcatOdd(d, b, a)};
#endif
}

/// A vector of 32-bit values from scalar loads at 16-bit places.
HWY_INLINE V32 LoadPairs(const uint16_t* from, const size_t* at) {
  const auto load = [&](size_t i) HWY_ATTR {
    uint32_t value;
    std::memcpy(&value, from + at[i], sizeof(value));
    return static_cast<int>(value);
  };
#if HWY_TARGET <= HWY_AVX2
  return V32{_mm256_set_epi32(load(7), load(6), load(5), load(4), load(3), load(2), load(1), load(0))};
#elif HWY_ARCH_X86
  return V32{_mm_set_epi32(load(3), load(2), load(1), load(0))};
#else
  const uint32_t loaded[4] = {static_cast<uint32_t>(load(0)), static_cast<uint32_t>(load(1)),
                              static_cast<uint32_t>(load(2)), static_cast<uint32_t>(load(3))};
  return hn::LoadU(D32(), loaded);
#endif
}

size_t Encode(const RansEncodeBatch& batch) {
  const auto lanes = static_cast<size_t>(batch.lanes);
  if (lanes % kVectorLanes != 0) return PlainRansKernels().encode(batch);
  const D32 d;
  const DI32 di;
  const int precision = batch.tables.precision;
  const uint64_t* const entries = batch.tables.entries.data();
  const uint16_t* const rows = batch.rows;
  const uint8_t* const symbols = batch.symbols;
  const V32 field = hn::Set(d, (1u << 14) - 1);
  const V32 total = hn::Set(d, 1u << precision);
  const V32 low = hn::Set(d, 0xFFFF);
  const V32 top = hn::Set(d, 0x80000000u);
  const V32 stride = hn::Set(d, static_cast<uint32_t>(kKernelRowStride));
  uint8_t* const marks = batch.marks;
  uint16_t* words = batch.words;
  HWY_ALIGN uint32_t states[64];
  std::memcpy(states, batch.states, lanes * sizeof(uint32_t));
  for (size_t end = batch.count; end > 0;) {
    for (size_t lane = lanes; lane > 0;) {
      lane -= kVectorLanes;
      end -= kVectorLanes;
      const V32 row = hn::PromoteTo(d, hn::LoadU(D16(), rows + end));
      const Addresses at(hn::Add(hn::Mul(row, stride), hn::PromoteTo(d, hn::LoadU(D8(), symbols + end))));
      const Entries entry = LoadEntries(d, entries, at);
      const V32 reciprocal = hn::Or(entry.reciprocal, top);
      const unsigned marked = MaskBits(d, hn::Ne(entry.reciprocal, reciprocal));
      marks[end / 4] = static_cast<uint8_t>(marked & 15);
      if (kVectorLanes == 8) marks[end / 4 + 1] = static_cast<uint8_t>(marked >> 4);
      const V32 freq = hn::And(entry.packed, field);
      V32 x = hn::Load(d, states + lane);
      const V32 limit = hn::ShiftLeftSame(freq, 31 - precision);
      const auto full = hn::Not(hn::Gt(hn::BitCast(di, limit), hn::BitCast(di, x)));
      const auto full32 = hn::RebindMask(d, full);
      const unsigned bits = MaskBits(d, full32);
      const auto give = hn::DemoteTo(D16(), hn::BitCast(di, hn::And(x, low)));
      const auto packed = hn::TableLookupBytes(ToBytes(give), hn::Load(Bytes16(), kShuffles.pack_down[bits].data()));
      hn::StoreU(hn::BitCast(Words8(), packed), Words8(), words);
      words += std::popcount(bits);
      x = hn::IfThenElse(full32, hn::ShiftRight<16>(x), x);
      const V32 quotient = hn::Shr(MulHigh(d, hn::Add(x, x), reciprocal), hn::ShiftRight<28>(entry.packed));
      const V32 start = hn::And(hn::ShiftRight<14>(entry.packed), field);
      x = hn::Add(hn::Add(x, start), hn::Mul(quotient, hn::Sub(total, freq)));
      hn::Store(x, d, states + lane);
    }
  }
  std::memcpy(batch.states, states, lanes * sizeof(uint32_t));
  return static_cast<size_t>(words - batch.words);
}

RansDecodeProgress Decode(const RansDecodeBatch& batch) {
  const auto lanes = static_cast<size_t>(batch.lanes);
  if (lanes % kVectorLanes != 0) return PlainRansKernels().decode(batch);
  const D32 d;
  const DI32 di;
  const int precision = batch.tables.precision;
  const uint16_t* const starts = batch.tables.starts.data();
  const uint8_t* const owners = batch.tables.owners.data();
  const uint16_t* const rows = batch.rows;
  uint8_t* const symbols = batch.symbols;
  const size_t count = batch.count;
  const V32 mask = hn::Set(d, (1u << precision) - 1);
  const V32 low = hn::Set(d, 0xFFFF);
  const V32 stride = hn::Set(d, static_cast<uint32_t>(kKernelRowStride));
  const auto least = hn::Set(di, 1 << 15);
  const uint8_t* words = batch.words;
  const uint8_t* const end = words + 2 * batch.word_count;
  HWY_ALIGN uint32_t states[64];
  std::memcpy(states, batch.states, lanes * sizeof(uint32_t));
  size_t i = 0;
  while (i < count && static_cast<size_t>(end - words) >= 2 * (lanes + kVectorLanes)) {
    for (size_t lane = 0; lane < lanes; lane += kVectorLanes, i += kVectorLanes) {
      V32 x = hn::Load(d, states + lane);
      const V32 slot = hn::And(x, mask);
      const V32 row = hn::PromoteTo(d, hn::LoadU(D16(), rows + i));
      const Addresses row_at(hn::Mul(row, stride));
      HWY_ALIGN uint32_t owner_at[kVectorLanes];
      hn::Store(hn::Or(hn::ShiftLeftSame(row, precision), slot), d, owner_at);
      size_t start_at[kVectorLanes];
      for (size_t k = 0; k < kVectorLanes; ++k) {
        const uint8_t symbol = owners[owner_at[k]];
        symbols[i + k] = symbol;
        start_at[k] = row_at[k] + symbol;
      }
      const V32 pair = LoadPairs(starts, start_at);
      const V32 start = hn::And(pair, low);
      const V32 freq = hn::Sub(hn::ShiftRight<16>(pair), start);
      x = hn::Add(hn::Mul(freq, hn::ShiftRightSame(x, precision)), hn::Sub(slot, start));
      const auto empty = hn::RebindMask(d, hn::Gt(least, hn::BitCast(di, x)));
      const unsigned bits = MaskBits(d, empty);
      const auto spread =
          hn::TableLookupBytes(hn::LoadU(Bytes16(), words), hn::Load(Bytes16(), kShuffles.spread[bits].data()));
      words += 2 * std::popcount(bits);
      const V32 taken = hn::PromoteTo(d, FromBytes(spread));
      x = hn::IfThenElse(empty, hn::Or(hn::ShiftLeft<16>(x), taken), x);
      hn::Store(x, d, states + lane);
    }
  }
  std::memcpy(batch.states, states, lanes * sizeof(uint32_t));
  return {i, static_cast<size_t>(words - batch.words) / 2};
}

[[maybe_unused]] const RansKernels& TargetKernels() {
  static const RansKernels kernels = {hwy::TargetName(HWY_TARGET), Encode, Decode};
  return kernels;
}

#endif

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace sluice
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sluice {
namespace {

constexpr TargetCandidate<RansKernels> kCandidates[] = {SLUICE_TARGET_CANDIDATES(TargetKernels, PlainRansKernels)};

}  // namespace

const RansKernels& BestRansKernels() {
  static const RansKernels& best = ChooseKernels<RansKernels>(kCandidates);
  return best;
}

std::span<const RansKernels> AllRansKernels() {
  static const std::vector<RansKernels> all = ListKernels<RansKernels>(kCandidates);
  return all;
}

}  // namespace sluice
#endif  // HWY_ONCE
