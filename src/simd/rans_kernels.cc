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

/// The lower and the upper halves of 64-bit values, `kVectorLanes` each, from scalar loads.
struct Halves {
  V32 lower;
  V32 upper;
};

/// Data: what begins at from[at[i]], for each lane i.
template <typename T, typename At>
HWY_INLINE Halves LoadHalves(D32 d, const T* from, const At& at) {
#if HWY_TARGET <= HWY_AVX2
  const auto pair = [&](size_t i) HWY_ATTR {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + at[i]));
    return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(from + at[i + 1])));
  };
  const __m256i first = _mm256_inserti128_si256(_mm256_castsi128_si256(pair(0)), pair(4), 1);   // 0 1 4 5
  const __m256i second = _mm256_inserti128_si256(_mm256_castsi128_si256(pair(2)), pair(6), 1);  // 2 3 6 7
  const __m256 a = _mm256_castsi256_ps(first), b = _mm256_castsi256_ps(second);
  (void)d;
  return {V32{_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88))},
          V32{_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD))}};
#elif HWY_ARCH_X86
  const auto pair = [&](size_t i) HWY_ATTR {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + at[i]));
    return _mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(from + at[i + 1]));
  };
  const __m128 a = pair(0), b = pair(2);
  (void)d;
  return {V32{_mm_castps_si128(_mm_shuffle_ps(a, b, 0x88))}, V32{_mm_castps_si128(_mm_shuffle_ps(a, b, 0xDD))}};
#else
  const hn::Full128<uint64_t> d64;
  uint64_t loaded[4];
  for (size_t i = 0; i < 4; ++i) std::memcpy(loaded + i, from + at[i], sizeof(uint64_t));
  const auto a = hn::BitCast(d, hn::LoadU(d64, loaded)), b = hn::BitCast(d, hn::LoadU(d64, loaded + 2));
  return {hn::ConcatEven(d, b, a), hn::ConcatOdd(d, b, a)};
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
      const Halves entry = LoadHalves(d, entries, at);
      const V32 reciprocal = hn::Or(entry.lower, top);
      const unsigned marked = MaskBits(d, hn::Ne(entry.lower, reciprocal));
      marks[end / 4] = static_cast<uint8_t>(marked & 15);
      if (kVectorLanes == 8) marks[end / 4 + 1] = static_cast<uint8_t>(marked >> 4);
      const V32 freq = hn::And(entry.upper, field);
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
      const V32 quotient = hn::Shr(MulHigh(d, hn::Add(x, x), reciprocal), hn::ShiftRight<28>(entry.upper));
      const V32 start = hn::And(hn::ShiftRight<14>(entry.upper), field);
      x = hn::Add(hn::Add(x, start), hn::Mul(quotient, hn::Sub(total, freq)));
      hn::Store(x, d, states + lane);
    }
  }
  std::memcpy(batch.states, states, lanes * sizeof(uint32_t));
  return static_cast<size_t>(words - batch.words);
}

/// What the slots of a vector decode to: symbols, and the slot before and the last slot of their intervals.
struct Found {
  V32 symbol;
  V32 before;
  V32 last;
};

/// Goes on from symbols whose intervals end before their slots.
HWY_NOINLINE void Walk(const RansKernelTables& tables, V32 row, V32 slot, Found& found) {
  const D32 d;
  HWY_ALIGN uint32_t rows[kVectorLanes], slots[kVectorLanes], symbols[kVectorLanes], before[kVectorLanes],
      last[kVectorLanes];
  hn::Store(row, d, rows);
  hn::Store(slot, d, slots);
  hn::Store(found.symbol, d, symbols);
  hn::Store(found.before, d, before);
  hn::Store(found.last, d, last);
  for (size_t k = 0; k < kVectorLanes; ++k) {
    const uint16_t* const starts = tables.starts.data() + rows[k] * kKernelRowStride;
    while (slots[k] > last[k]) {
      ++symbols[k];
      before[k] = last[k];
      last[k] = starts[symbols[k] + 1] - 1u;
    }
  }
  found = {hn::Load(d, symbols), hn::Load(d, before), hn::Load(d, last)};
}

/// Which slots lie behind the last one of an interval.
HWY_INLINE hn::Mask<D32> Behind(V32 slot, V32 last) {
  const DI32 di;
  return hn::RebindMask(D32(), hn::Gt(hn::BitCast(di, slot), hn::BitCast(di, last)));
}

/// Looks among the three symbols of a bucket. Returned whole: a constructor that the compiler writes itself is compiled
/// for the baseline instruction set, where NEON has no vectors.
HWY_INLINE Found Find(D32 d, const Halves& bucket, V32 slot) {
  const V32 field = hn::Set(d, (1u << 14) - 1), one = hn::Set(d, 1);
  const V32 first = hn::And(hn::ShiftRight<14>(bucket.lower), field), second = hn::And(bucket.upper, field);
  const auto past_first = Behind(slot, first), past_second = Behind(slot, second);
  const V32 symbol =
      hn::Or(hn::ShiftRight<28>(bucket.lower), hn::And(hn::ShiftRight<24>(bucket.upper), hn::Set(d, 0xF0)));
  const V32 passed = hn::Add(hn::VecFromMask(d, past_first), hn::VecFromMask(d, past_second));
  const V32 before_first = hn::Sub(hn::And(bucket.lower, field), one);
  const V32 third = hn::And(hn::ShiftRight<14>(bucket.upper), field);
  return {hn::Sub(symbol, passed), hn::IfThenElse(past_second, second, hn::IfThenElse(past_first, first, before_first)),
          hn::IfThenElse(past_second, third, hn::IfThenElse(past_first, second, first))};
}

/// `kVectors` vectors of lanes, each step for all of them before the next: what they wait for overlaps.
template <size_t kVectors>
HWY_INLINE RansDecodeProgress DecodeRounds(const RansDecodeBatch& batch) {
  const RansKernelTables& tables = batch.tables;
  const auto lanes = static_cast<size_t>(batch.lanes);
  const D32 d;
  const DI32 di;
  const int precision = tables.precision, size_bits = precision - tables.bucket_bits;
  const V32 mask = hn::Set(d, (1u << precision) - 1);
  const V32 all = mask;  // the last slot
  const V32 one = hn::Set(d, 1);
  const V32 escapes = hn::Set(d, tables.escapes ? 0xFFFFFFFFu : 0);
  const auto least = hn::Set(di, 1 << 15);
  const uint8_t* words = batch.words;
  const uint8_t* const end = words + 2 * batch.word_count;
  HWY_ALIGN uint32_t states[64];
  std::memcpy(states, batch.states, lanes * sizeof(uint32_t));
  size_t i = 0;
  while (i < batch.count && static_cast<size_t>(end - words) >= 2 * (lanes + kVectorLanes)) {
    for (size_t lane = 0; lane < lanes; lane += kVectors * kVectorLanes) {
      V32 x[kVectors], slot[kVectors], row[kVectors];
      HWY_ALIGN uint32_t bucket_at[kVectors * kVectorLanes];
      for (size_t v = 0; v < kVectors; ++v) {
        x[v] = hn::Load(d, states + lane + v * kVectorLanes);
        slot[v] = hn::And(x[v], mask);
        row[v] = hn::PromoteTo(d, hn::LoadU(D16(), batch.rows + i + v * kVectorLanes));
        const V32 at = hn::Or(hn::ShiftLeftSame(row[v], tables.bucket_bits), hn::ShiftRightSame(slot[v], size_bits));
        hn::Store(at, d, bucket_at + v * kVectorLanes);
      }
      asm volatile("" : "+m"(bucket_at));
      unsigned bits[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        const Halves bucket = LoadHalves(d, tables.buckets.data(), bucket_at + v * kVectorLanes);
        Found found = Find(d, bucket, slot[v]);
        if (HWY_UNLIKELY(!hn::AllFalse(d, Behind(slot[v], found.last)))) Walk(tables, row[v], slot[v], found);
        const V32 escaped = hn::And(escapes, hn::VecFromMask(d, hn::Eq(found.last, all)));
        const auto symbol = hn::BitCast(di, hn::AndNot(escaped, found.symbol));
        hn::StoreU(hn::DemoteTo(D8(), symbol), D8(), batch.symbols + i + v * kVectorLanes);
        const V32 freq = hn::Sub(found.last, found.before);
        const V32 within = hn::Sub(hn::Sub(slot[v], found.before), one);
        x[v] = hn::Add(hn::Mul(freq, hn::ShiftRightSame(x[v], precision)), within);
        bits[v] = MaskBits(d, hn::RebindMask(d, hn::Gt(least, hn::BitCast(di, x[v]))));
      }
      for (size_t v = 0; v < kVectors; ++v) {
        const auto empty = hn::RebindMask(d, hn::Gt(least, hn::BitCast(di, x[v])));
        const auto spread =
            hn::TableLookupBytes(hn::LoadU(Bytes16(), words), hn::Load(Bytes16(), kShuffles.spread[bits[v]].data()));
        words += 2 * std::popcount(bits[v]);
        const V32 taken = hn::PromoteTo(d, FromBytes(spread));
        x[v] = hn::IfThenElse(empty, hn::Or(hn::ShiftLeft<16>(x[v]), taken), x[v]);
        hn::Store(x[v], d, states + lane + v * kVectorLanes);
      }
      i += kVectors * kVectorLanes;
    }
  }
  std::memcpy(batch.states, states, lanes * sizeof(uint32_t));
  return {i, static_cast<size_t>(words - batch.words) / 2};
}

RansDecodeProgress Decode(const RansDecodeBatch& batch) {
  const auto lanes = static_cast<size_t>(batch.lanes);
  if (lanes % kVectorLanes != 0) return PlainRansKernels().decode(batch);
  if (lanes % (4 * kVectorLanes) == 0) return DecodeRounds<4>(batch);
  return lanes % (2 * kVectorLanes) == 0 ? DecodeRounds<2>(batch) : DecodeRounds<1>(batch);
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

// Its lanes look states up in tables one by one, which wider vectors do no faster (bench_rans).
constexpr bool kChooseAvx512 = false;
constexpr TargetCandidate<RansKernels> kCandidates[] = {
    SLUICE_TARGET_CANDIDATES(TargetKernels, PlainRansKernels, kChooseAvx512)};

}  // namespace

const RansKernels& BestRansKernels() { return ChooseKernels<RansKernels>(kCandidates); }

std::span<const RansKernels> AllRansKernels() { return ListKernels<RansKernels>(kCandidates); }

}  // namespace sluice
#endif  // HWY_ONCE
