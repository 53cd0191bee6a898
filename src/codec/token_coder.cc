// One token through one rANS state (docs/format.md, "Payload of a token frame"). What must not be paid for one token
// are the usual ends of a rANS stream: a first state whose 15 bits say nothing, a last state that is padded, a length.
//
// So the state begins at a small number, and the last values, the tail, grow it into its range without any word leaving
// it: their decoder must not refill, and only has to know how many they are. Roughly so, in three bits: a state may be
// anywhere within 16 octaves when the tail ends. Everything before the tail is usual rANS, so the decoder finds the end
// of the payload by itself. The number in which all began is a seal: a leading one and below it some bits of the
// rolling checksum, as many as the last byte has room for.
//
// A state below 2^n takes on the place of the interval that it meets, whatever that costs. Intervals are therefore
// turned until the widest of the table begins at 0: the likeliest values then leave a small state as it is.
#include "codec/token_coder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <string>

#include "base/bytes.h"
#include "rans/rans_layout.h"

namespace sluice {
namespace {

// Values in the tail, by code; the last code means all of them.
constexpr std::array<size_t, 7> kTails = {0, 4, 8, 16, 32, 80, 300};
constexpr int kWholeTail = 7;
// The seven bits: the lowest bits of the first state, the tail's code, whether the rest of the state has a byte more.
constexpr int kLowStateBits = 3;
constexpr int kTailShift = 3;
constexpr int kSizeShift = 6;
constexpr int kFewStateBytes = 2;  // one less when all values are in the tail
constexpr std::array<int, 3> kSealBits = {4, 8, 6};
constexpr uint64_t kOne = 1;

Status CheckPrecision(int precision) {
  if (precision >= kMinRansPrecision && precision <= kMaxRansPrecision) return OkStatus();
  return InvalidArgument("token: precision: expected 10 to 16, got " + std::to_string(precision));
}

uint64_t Seal(uint32_t rolling, int bits) { return kOne << bits | (rolling & ((kOne << bits) - 1)); }

// A first state below this is written as it is.
uint64_t StateLimit(int tail) { return kOne << (8 * (kFewStateBytes + (tail == kWholeTail ? 0 : 1)) + kLowStateBits); }

int StateBytes(int tail, bool more) { return kFewStateBytes + (more ? 1 : 0) - (tail == kWholeTail ? 1 : 0); }

}  // namespace

uint32_t WidestStart(const FrequencyTable& table) {
  Interval widest = table.At(0);
  for (size_t i = 1; i < table.size(); ++i) {
    if (table.At(i).freq > widest.freq) widest = table.At(i);
  }
  return widest.start;
}

TokenEncoder::TokenEncoder(int precision) : precision_(precision), low_bits_(RansLowBits(precision)) {}

Result<TokenEncoder> TokenEncoder::Create(int precision) {
  SLUICE_RETURN_IF_ERROR(CheckPrecision(precision));
  return TokenEncoder(precision);
}

void TokenEncoder::Push(Interval interval) {
  assert(!begins_.empty() && interval.freq >= 1 && interval.start + interval.freq <= kOne << precision_);
  const uint32_t turned = (interval.start - widest_) & ((1u << precision_) - 1);
  elements_.push_back({turned, interval.freq, precision_});
}

void TokenEncoder::PushBits(uint32_t value, int count) {
  assert(!begins_.empty() && count >= 0 && count <= 32);
  for (; count > 0; count -= kRansRawPieceBits, value >>= kRansRawPieceBits) {
    const int piece = std::min(count, kRansRawPieceBits);
    elements_.push_back({value & ((1u << piece) - 1), 1, piece});
  }
}

// Pushes an element without moving words out; false when the state would leave its range.
bool TokenEncoder::PushFree(const Element& element, uint64_t& state) const {
  state = ((state / element.freq) << element.bits) + state % element.freq + element.start;
  return state < kOne << (low_bits_ + kRansWordBits);
}

int TokenEncoder::ChooseTail(uint64_t seal) const {
  uint64_t state = seal;
  const size_t values = begins_.size();
  size_t end = elements_.size();
  int code = 1;
  for (size_t tail = 1; tail <= values; ++tail) {
    for (const size_t begin = begins_[values - tail]; end > begin; --end) {
      if (!PushFree(elements_[end - 1], state)) return 0;
    }
    if (tail == values && state < StateLimit(kWholeTail)) return kWholeTail;
    while (code < kWholeTail && kTails[code] < tail) ++code;
    if (code < kWholeTail && kTails[code] == tail && state >= kOne << low_bits_) return code;
  }
  return 0;
}

TokenPayload TokenEncoder::Encode(uint32_t rolling, int seal_bits) const {
  int tail = ChooseTail(Seal(rolling, seal_bits));
  if (tail == 0) seal_bits = low_bits_;
  uint64_t state = Seal(rolling, seal_bits);
  const size_t values = begins_.size();
  const size_t in_tail = tail == kWholeTail ? values : kTails[static_cast<size_t>(tail)];
  const size_t tail_begin = in_tail == 0 ? elements_.size() : begins_[values - in_tail];
  std::vector<uint16_t> words;
  for (size_t i = elements_.size(); i-- > 0;) {
    const Element& element = elements_[i];
    if (i < tail_begin && state >= uint64_t{element.freq} << (low_bits_ + kRansWordBits - element.bits)) {
      words.push_back(static_cast<uint16_t>(state));
      state >>= kRansWordBits;
    }
    PushFree(element, state);
  }
  if (state >= StateLimit(tail)) {
    words.push_back(static_cast<uint16_t>(state));
    state >>= kRansWordBits;
  }
  const uint64_t rest = state >> kLowStateBits;
  const bool more = rest >> (8 * StateBytes(tail, false)) != 0;
  ByteWriter out;
  for (int i = 0; i < StateBytes(tail, more); ++i) out.Put(static_cast<uint8_t>(rest >> (8 * i)));
  for (size_t i = words.size(); i-- > 0;) out.Put(words[i]);
  const uint64_t bits = (state & 7) | static_cast<uint64_t>(tail) << kTailShift | uint64_t{more} << kSizeShift;
  return {static_cast<uint8_t>(bits), std::move(out).Take()};
}

TokenPayload TokenEncoder::Finish(uint32_t rolling) {
  TokenPayload best = Encode(rolling, kSealBits[0]);
  for (size_t i = 1; i < kSealBits.size(); ++i) {
    TokenPayload longer = Encode(rolling, kSealBits[i]);
    if (longer.bytes.size() > best.bytes.size()) continue;
    best = std::move(longer);
    break;
  }
  elements_.clear();
  begins_.clear();
  return best;
}

Result<TokenDecoder> TokenDecoder::Create(uint8_t bits, std::span<const uint8_t> bytes, size_t values, int precision) {
  SLUICE_RETURN_IF_ERROR(CheckPrecision(precision));
  TokenDecoder decoder;
  const int tail = bits >> kTailShift & 7;
  const auto state_bytes = static_cast<size_t>(StateBytes(tail, bits >> kSizeShift & 1));
  if (bytes.size() < state_bytes) return Truncated("token: the first state ends early");
  const size_t in_tail = tail == kWholeTail ? values : kTails[static_cast<size_t>(tail)];
  if (in_tail > values) {
    return Corrupt("token: a tail of " + std::to_string(in_tail) + " values of " + std::to_string(values));
  }
  decoder.bytes_ = bytes;
  decoder.next_ = state_bytes;
  decoder.precision_ = precision;
  decoder.low_bits_ = RansLowBits(precision);
  decoder.mask_ = (1u << precision) - 1;
  decoder.refilled_values_ = values - in_tail;
  uint64_t state = bits & ((1u << kLowStateBits) - 1);
  for (size_t i = 0; i < state_bytes; ++i) state |= uint64_t{bytes[i]} << (8 * i + kLowStateBits);
  if ((bits >> kSizeShift & 1) != 0 && bytes[state_bytes - 1] == 0) {
    return Corrupt("token: the first state is not in its shortest form");
  }
  decoder.begun_ = decoder.refilled_values_ == 0 && tail == kWholeTail ? 1 : 0;
  decoder.Refill(state);
  decoder.begun_ = 0;
  return decoder;
}

void TokenDecoder::Refill(uint64_t state) {
  state_ = state;
  if (begun_ > refilled_values_ || state >> low_bits_ != 0) return;
  if (bytes_.size() - next_ < 2) {
    overrun_ = true;
    return;
  }
  state_ = state << kRansWordBits | LoadLe<uint16_t>(bytes_.data() + next_);
  next_ += 2;
}

uint32_t TokenDecoder::PopBits(int count) {
  uint32_t value = 0;
  for (int at = 0; at < count; at += kRansRawPieceBits) {
    const int piece = std::min(count - at, kRansRawPieceBits);
    value |= (static_cast<uint32_t>(state_) & ((1u << piece) - 1)) << at;
    Refill(state_ >> piece);
  }
  return value;
}

Result<size_t> TokenDecoder::Finish(uint32_t rolling) const {
  if (overrun_) return Truncated("token: the bytes end before the last value");
  const int seal_bits = static_cast<int>(std::bit_width(state_)) - 1;
  if (seal_bits < kSealBits[0] || state_ != Seal(rolling, seal_bits)) {
    return Corrupt("token: its bits of the rolling checksum do not match what was decoded");
  }
  return next_;
}

}  // namespace sluice
