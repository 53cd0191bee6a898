// Range asymmetric numeral systems (Duda, 2013; the interleaving of Giesen, 2014). A state x absorbs an interval
// [start, start + freq) of 2^n as x -> (x / freq) * 2^n + x mod freq + start, which grows it by log2(2^n / freq) bits;
// before that, 16 bits move out whenever the result would leave the range of states. The decoder undoes the steps in
// the opposite order, so elements are collected first and encoded from the last to the first.
//
// What is particular here is the two ends. At the end the lanes would each leave a state of up to 31 bits: lanes 1 and
// up are pushed as raw bits (4 for the length, then the bits below the leading one) into lane 0, and lane 0 is written
// in two or three bytes, told apart by the parity of the stream's size, so that nothing is padded. At the beginning a
// state needs a value: it is the caller's seal. With one lane the seal is the state itself, below the usual range; the
// decoder stops refilling when the words are used up and arrives at it. With several lanes the decoder could not tell
// whose turn the last words are, so every lane starts inside the range and the seal fills the bits below the leading
// one of the first lanes.
#include "rans/rans_encoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "base/bytes.h"

namespace sluice {

int LanesFor(size_t symbol_count) {
  constexpr size_t kSymbolsPerLane = 8192;
  const size_t lanes = std::bit_floor(std::max<size_t>(symbol_count / kSymbolsPerLane, 1));
  return static_cast<int>(std::min<size_t>(lanes, 32));
}

Result<RansEncoder> RansEncoder::Create(int lanes, int precision) {
  if (lanes < 1 || lanes > kMaxRansLanes) {
    return InvalidArgument("rans: lanes: expected 1 to 64, got " + std::to_string(lanes));
  }
  if (precision < kMinRansPrecision || precision > kMaxRansPrecision) {
    return InvalidArgument("rans: precision: expected 10 to 16, got " + std::to_string(precision));
  }
  return RansEncoder(lanes, precision);
}

void RansEncoder::Push(Interval interval) {
  assert(interval.freq >= 1 && interval.freq < (uint32_t{1} << precision_));
  assert(interval.start + interval.freq <= (uint32_t{1} << precision_));
  elements_.push_back(
      {static_cast<uint16_t>(interval.start), static_cast<uint16_t>(interval.freq), static_cast<uint16_t>(precision_)});
}

void RansEncoder::PushBits(uint32_t value, int count) {
  assert(count >= 0 && count <= 32);
  for (; count > 0; count -= kRansRawPieceBits, value >>= kRansRawPieceBits) {
    const int piece = std::min(count, kRansRawPieceBits);
    const uint32_t bits = value & ((uint32_t{1} << piece) - 1);
    elements_.push_back({static_cast<uint16_t>(bits), 1, static_cast<uint16_t>(piece)});
  }
}

void RansEncoder::Encode(uint32_t* state, Element element) {
  uint32_t x = *state;
  if (x >= uint64_t{element.freq} << (low_bits_ + kRansWordBits - element.precision)) {
    words_.push_back(static_cast<uint16_t>(x));
    x >>= kRansWordBits;
  }
  *state = ((x / element.freq) << element.precision) + x % element.freq + element.start;
}

void RansEncoder::EncodeRaw(uint32_t* state, uint32_t value, int count) {
  // The decoder takes the pieces from the low bits up, so the highest is encoded first.
  for (int at = (count - 1) / kRansRawPieceBits * kRansRawPieceBits; at >= 0; at -= kRansRawPieceBits) {
    const int piece = std::min(count - at, kRansRawPieceBits);
    const uint32_t bits = (value >> at) & ((uint32_t{1} << piece) - 1);
    Encode(state, {static_cast<uint16_t>(bits), 1, static_cast<uint16_t>(piece)});
  }
}

std::vector<uint8_t> RansEncoder::Finish(uint32_t seal) {
  seal &= kRansSealLimit - 1;
  std::array<uint32_t, kMaxRansLanes> states{};
  states[0] = seal;
  if (lanes_ > 1) {
    for (int lane = 0; lane < lanes_; ++lane, seal >>= kRansRawPieceBits) {
      states[lane] = (uint32_t{1} << low_bits_) | (seal & ((uint32_t{1} << kRansRawPieceBits) - 1));
    }
  }
  for (size_t i = elements_.size(); i-- > 0;) Encode(&states[i % lanes_], elements_[i]);
  for (int lane = lanes_ - 1; lane > 0; --lane) {
    const int length = std::bit_width(states[lane]) - 1;
    EncodeRaw(&states[0], states[lane] - (uint32_t{1} << length), length);
    EncodeRaw(&states[0], length - low_bits_, 4);
  }

  uint32_t last = states[0];
  if (last >= uint32_t{1} << 24) {
    words_.push_back(static_cast<uint16_t>(last));
    last >>= kRansWordBits;
  }
  size_t state_bytes = (std::bit_width(last) + 7) / 8;
  std::vector<uint8_t> bytes(state_bytes + 2 * words_.size());
  for (size_t i = 0; i < state_bytes; ++i) bytes[i] = static_cast<uint8_t>(last >> (8 * i));
  uint8_t* out = bytes.data() + state_bytes;
  for (size_t i = words_.size(); i-- > 0; out += 2) StoreLe(words_[i], out);
  elements_.clear();
  words_.clear();
  return bytes;
}

}  // namespace sluice
