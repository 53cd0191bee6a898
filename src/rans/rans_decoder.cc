// The inverse of rans_stack.cc, step by step; the layout is explained there. A step takes the slot x mod 2^n, and
// x -> freq * (x / 2^n) + slot - start, then refills 16 bits when the state has fallen below its range.
#include "rans/rans_decoder.h"

#include <algorithm>
#include <string>

#include "rans/rans_stack.h"

namespace sluice {

Result<RansDecoder> RansDecoder::Create(std::span<const uint8_t> bytes, int lanes, int precision) {
  SLUICE_RETURN_IF_ERROR(RansStack::Create(lanes, precision).status());
  RansDecoder decoder(bytes, lanes, precision);
  SLUICE_RETURN_IF_ERROR(decoder.ReadStates());
  return decoder;
}

Status RansDecoder::ReadStates() {
  const size_t size = static_cast<size_t>(end_ - next_);
  const size_t state_bytes = size < 2 ? size : 2 + size % 2;
  uint32_t first = 0;
  for (size_t i = 0; i < state_bytes; ++i) first |= uint32_t{next_[i]} << (8 * i);
  next_ += state_bytes;
  if (state_bytes > 0 && first >> (8 * (state_bytes - 1)) == 0) {
    return Corrupt("rans: first state: expected a value of " + std::to_string(state_bytes) + " bytes, got " +
                   std::to_string(first));
  }
  states_[0] = Refill(first);
  for (int lane = 1; lane < lanes_; ++lane) {
    const int length = low_bits_ + static_cast<int>(TakeRaw(&states_[0], 4));
    states_[lane] = (uint32_t{1} << length) | TakeRaw(&states_[0], length);
  }
  if (overrun_) {
    return Truncated("rans: " + std::to_string(size) + " bytes end inside the states of " + std::to_string(lanes_) +
                     " lanes");
  }
  return OkStatus();
}

uint32_t RansDecoder::TakeRaw(uint32_t* state, int count) {
  uint32_t value = 0;
  for (int at = 0; at < count; at += kRansRawPieceBits) {
    const int piece = std::min(count - at, kRansRawPieceBits);
    value |= (*state & ((uint32_t{1} << piece) - 1)) << at;
    *state = Refill(*state >> piece);
  }
  return value;
}

uint32_t RansDecoder::PopBits(int count) {
  uint32_t value = 0;
  for (int at = 0; at < count; at += kRansRawPieceBits) {
    value |= TakeRaw(&states_[lane_], std::min(count - at, kRansRawPieceBits)) << at;
    NextLane();
  }
  return value;
}

RansDecoder::Cursor RansDecoder::Aligned() {
  std::rotate(states_.begin(), states_.begin() + lane_, states_.begin() + lanes_);
  lane_ = 0;
  return {states_.data(), next_, static_cast<size_t>(end_ - next_) / 2};
}

Status RansDecoder::Finish(uint32_t seal) const {
  seal &= kRansSealLimit - 1;
  if (overrun_) return Truncated("rans: the bytes ended before the last element");
  if (next_ != end_) return Corrupt("rans: " + std::to_string(end_ - next_) + " bytes are left after the last element");
  if (lanes_ == 1 && states_[0] != seal) {
    return Corrupt("rans: last state: expected " + std::to_string(seal) + ", got " + std::to_string(states_[0]));
  }
  for (int i = 1; lanes_ > 1 && i <= lanes_; ++i, seal >>= kRansRawPieceBits) {
    const int lane = (lane_ + lanes_ - i) % lanes_;  // counted from the last element
    const uint32_t expected = RansFirstState(seal, low_bits_);
    if (states_[lane] != expected) {
      return Corrupt("rans: last state of lane " + std::to_string(lane) + ": expected " + std::to_string(expected) +
                     ", got " + std::to_string(states_[lane]));
    }
  }
  return OkStatus();
}

}  // namespace sluice
