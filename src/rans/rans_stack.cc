// Range asymmetric numeral systems (Duda, 2013; the interleaving of Giesen, 2014). A state x absorbs an interval
// [start, start + freq) of 2^n as x -> (x / freq) * 2^n + x mod freq + start, which grows it by log2(2^n / freq) bits;
// before that, 16 bits move out whenever the result would leave the range of states. The decoder undoes the steps in
// the opposite order, so elements are encoded from the last to the first.
//
// What is particular here is the two ends. At the end the lanes would each leave a state of up to 31 bits: all but the
// first are pushed as raw bits (4 for the length, then the bits below the leading one) into the first, and that one is
// written in two or three bytes, told apart by the parity of the stream's size, so that nothing is padded. At the
// beginning a state needs a value: it is the caller's seal. With one lane the seal is the state itself, below the usual
// range; the decoder stops refilling when the words are used up and arrives at it. With several lanes the decoder could
// not tell whose turn the last words are, so every lane starts inside the range and the seal fills the bits below the
// leading one: 15 in the lane of the last element, 15 in the lane of the one before. Lanes are counted from the last
// element because the number of elements is known only after they have been encoded.
#include "rans/rans_stack.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/bytes.h"

namespace sluice {

int LanesFor(size_t symbol_count) {
  constexpr size_t kSymbolsPerLane = 8192;
  const size_t lanes = std::bit_floor(std::max<size_t>(symbol_count / kSymbolsPerLane, 1));
  return static_cast<int>(std::min<size_t>(lanes, 32));
}

Result<RansStack> RansStack::Create(int lanes, int precision, uint32_t seal) {
  if (lanes < 1 || lanes > kMaxRansLanes) {
    return InvalidArgument("rans: lanes: expected 1 to 64, got " + std::to_string(lanes));
  }
  if (precision < kMinRansPrecision || precision > kMaxRansPrecision) {
    return InvalidArgument("rans: precision: expected 10 to 16, got " + std::to_string(precision));
  }
  return RansStack(lanes, precision, seal & (kRansSealLimit - 1));
}

RansStack::RansStack(int lanes, int precision, uint32_t seal)
    : lanes_(lanes), precision_(precision), low_bits_(RansLowBits(precision)) {
  states_[0] = seal;
  for (int lane = lanes_ - 1; lanes_ > 1 && lane >= 0; --lane, seal >>= kRansRawPieceBits) {
    states_[lane] = RansFirstState(seal, low_bits_);
  }
}

void RansStack::PushBits(uint32_t value, int count) {
  assert(count >= 0 && count <= 32);
  for (int at = (count - 1) / kRansRawPieceBits * kRansRawPieceBits; at >= 0 && count > 0; at -= kRansRawPieceBits) {
    const int piece = std::min(count - at, kRansRawPieceBits);
    Push({(value >> at) & ((uint32_t{1} << piece) - 1), 1}, piece);
  }
}

std::span<uint32_t> RansStack::AlignedStates() {
  std::rotate(states_.begin(), states_.begin() + lane_, states_.begin() + lanes_);
  lane_ = 0;
  return std::span(states_).first(static_cast<size_t>(lanes_));
}

void RansStack::Fold(uint32_t value, int count) {
  for (int at = (count - 1) / kRansRawPieceBits * kRansRawPieceBits; at >= 0; at -= kRansRawPieceBits) {
    const int piece = std::min(count - at, kRansRawPieceBits);
    states_[0] = Absorb(states_[0], {(value >> at) & ((uint32_t{1} << piece) - 1), 1}, piece);
  }
}

std::vector<uint8_t> RansStack::Finish() {
  AlignedStates();
  for (int lane = lanes_ - 1; lane > 0; --lane) {
    const int length = std::bit_width(states_[lane]) - 1;
    Fold(states_[lane] - (uint32_t{1} << length), length);
    Fold(static_cast<uint32_t>(length - low_bits_), 4);
  }
  uint32_t last = states_[0];
  if (last >= uint32_t{1} << 24) {
    words_.push_back(static_cast<uint16_t>(last));
    last >>= kRansWordBits;
  }
  const size_t state_bytes = (static_cast<size_t>(std::bit_width(last)) + 7) / 8;
  std::vector<uint8_t> bytes(state_bytes + 2 * words_.size());
  for (size_t i = 0; i < state_bytes; ++i) bytes[i] = static_cast<uint8_t>(last >> (8 * i));
  uint8_t* out = bytes.data() + state_bytes;
  for (size_t i = words_.size(); i-- > 0; out += 2) StoreLe(words_[i], out);
  words_.clear();
  return bytes;
}

}  // namespace sluice
