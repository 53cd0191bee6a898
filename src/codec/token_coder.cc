// One token by a range coder (G. N. N. Martin, 1979; docs/format.md, "Payload of a token frame"): every value narrows a
// range of the numbers below one to a part that is as large as its interval, and the bytes are the first digits of a
// number in the range that is left.
//
// rANS, which codes everything else here because many lanes of it run at once, must be told where it ends and starts
// with a state of 15 bits. Of one token neither is affordable. A range coder's decoder has the same range at the end as
// its encoder, so both know without a word how many bytes name a place inside it, whatever follows them. Where that
// many bytes name several places, the number of the place is the checksum: what rounding to whole bytes would waste
// finds errors instead. With one byte less there would be fewer than kFewestPlaces of them.
//
// All is integers: the range is kept in [2^40, 2^48), so that what its division by 2^precision drops is nothing, and
// the last interval of a table takes the rest of it, so that every number belongs to one interval.
#include "codec/token_coder.h"

#include <algorithm>
#include <cassert>
#include <string>

#include "rans/rans_layout.h"

namespace sluice {
namespace {

constexpr uint64_t kLeastRange = uint64_t{1} << 40;
/// The encoder's window over the low end: six bytes, first the frame's first byte and five more.
constexpr int kWindowBytes = 6;
constexpr uint64_t kWindow = uint64_t{1} << (8 * kWindowBytes);
/// The frame's first byte gives the first seven bits.
constexpr uint64_t kFirstRange = uint64_t{1} << 7;
constexpr uint64_t kFewestPlaces = 64;

Status CheckPrecision(int precision) {
  if (precision >= kMinRansPrecision && precision <= kMaxRansPrecision) return OkStatus();
  return InvalidArgument("token: precision: expected 10 to 16, got " + std::to_string(precision));
}

/// The part of a range that an interval of 2^bits is.
struct Part {
  uint64_t begin;
  uint64_t size;
};

Part PartOf(uint64_t range, Interval interval, int bits) {
  const uint64_t step = range >> bits;
  const uint64_t begin = step * interval.start;
  const bool last = (interval.start + interval.freq) >> bits != 0;
  return {begin, last ? range - begin : step * interval.freq};
}

/// How a frame ends: without the last `dropped` of the bytes that decoding has read, at one of `count` places: the
/// numbers from `first` on, in units of 256^dropped.
struct Ending {
  size_t dropped;
  uint64_t first;
  uint64_t count;
};

Ending EndingAt(uint64_t low, uint64_t range, size_t dropped) {
  const auto bits = static_cast<int>(8 * dropped);
  const uint64_t first = (low + (uint64_t{1} << bits) - 1) >> bits;
  return {dropped, first, ((low + range) >> bits) - first};
}

/// Needs: of `low`, at least its lowest 40 bits.
Ending EndingOf(uint64_t low, uint64_t range) {
  const Ending shorter = EndingAt(low, range, 5);
  return shorter.count >= kFewestPlaces ? shorter : EndingAt(low, range, 4);
}

}  // namespace

Result<TokenEncoder> TokenEncoder::Create(int precision) {
  SLUICE_RETURN_IF_ERROR(CheckPrecision(precision));
  return TokenEncoder(precision);
}

void TokenEncoder::Restart() {
  low_ = 0;
  range_ = kFirstRange << 40;
  out_.clear();
}

void TokenEncoder::Carry() {
  if (low_ < kWindow) return;
  low_ -= kWindow;
  for (size_t i = out_.size(); i-- > 0 && ++out_[i] == 0;) {
  }
}

void TokenEncoder::MoveOut() {
  out_.push_back(static_cast<uint8_t>(low_ >> (8 * (kWindowBytes - 1))));
  low_ = low_ << 8 & (kWindow - 1);
}

void TokenEncoder::Narrow(Interval interval, int bits) {
  assert(interval.freq >= 1 && interval.start + interval.freq <= uint64_t{1} << bits);
  const Part part = PartOf(range_, interval, bits);
  low_ += part.begin;
  range_ = part.size;
  Carry();
  for (; range_ < kLeastRange; range_ <<= 8) MoveOut();
}

void TokenEncoder::PushBits(uint32_t value, int count) {
  assert(count >= 0 && count <= 32);
  for (; count > 0; count -= kRansRawPieceBits, value >>= kRansRawPieceBits) {
    const int piece = std::min(count, kRansRawPieceBits);
    Narrow({value & ((1u << piece) - 1), 1}, piece);
  }
}

TokenPayload TokenEncoder::Finish(uint32_t rolling) {
  TokenPayload payload;
  Finish(rolling, payload);
  return payload;
}

void TokenEncoder::Finish(uint32_t rolling, TokenPayload& payload) {
  const Ending ending = EndingOf(low_, range_);
  low_ = (ending.first + rolling % ending.count) << (8 * ending.dropped);
  Carry();
  for (size_t left = kWindowBytes - ending.dropped; left > 0; --left) MoveOut();
  payload.bits = out_[0];
  payload.bytes.assign(out_.begin() + 1, out_.end());
  Restart();
}

Result<TokenDecoder> TokenDecoder::Create(uint8_t bits, std::span<const uint8_t> bytes, int precision) {
  SLUICE_RETURN_IF_ERROR(CheckPrecision(precision));
  TokenDecoder decoder;
  decoder.bytes_ = bytes;
  decoder.precision_ = precision;
  decoder.value_ = decoder.code_ = bits & (kFirstRange - 1);
  decoder.range_ = kFirstRange;
  decoder.Refill();
  return decoder;
}

void TokenDecoder::Refill() {
  for (; range_ < kLeastRange; range_ <<= 8, ++next_) {
    const bool known = next_ < bytes_.size();
    const uint8_t byte = known ? bytes_[next_] : 0;
    code_ = code_ << 8 | byte;
    value_ = value_ << 8 | byte;
    unknown_ = unknown_ << 8 | (known || overrun_ ? 0 : 255);
  }
}

uint32_t TokenDecoder::Slot(int bits) const {
  return static_cast<uint32_t>(std::min(value_ / (range_ >> bits), (uint64_t{1} << bits) - 1));
}

void TokenDecoder::Narrow(Interval interval, int bits) {
  const Part part = PartOf(range_, interval, bits);
  value_ -= part.begin;
  range_ = part.size;
  if (value_ + unknown_ >= range_) {
    overrun_ = true;
    unknown_ = 0;
  }
  Refill();
}

uint32_t TokenDecoder::PopBits(int count) {
  uint32_t value = 0;
  for (int at = 0; at < count; at += kRansRawPieceBits) {
    const int piece = std::min(count - at, kRansRawPieceBits);
    const uint32_t slot = Slot(piece);
    value |= slot << at;
    Narrow({slot, 1}, piece);
  }
  return value;
}

Result<size_t> TokenDecoder::Finish(uint32_t rolling) const {
  const uint64_t low = (code_ - value_) & (kLeastRange - 1);
  const Ending ending = EndingOf(low, range_);
  const size_t size = next_ - ending.dropped;
  if (overrun_ || size > bytes_.size()) return Truncated("token: the bytes end before the last value");
  const uint64_t place = (low + value_) >> (8 * ending.dropped);
  if (place - ending.first != rolling % ending.count) {
    return Corrupt("token: the end of the payload is not the one of its rolling checksum");
  }
  return size;
}

}  // namespace sluice
