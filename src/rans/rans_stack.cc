// Range asymmetric numeral systems (Duda, 2013; the interleaving of Giesen, 2014). A state x absorbs an interval
// [start, start + freq) of 2^n as x -> (x / freq) * 2^n + x mod freq + start, which grows it by log2(2^n / freq) bits;
// before that, 16 bits move out whenever the result would leave the range of states. The decoder undoes the steps in
// the opposite order, so elements are encoded from the last to the first.
//
// What is particular here is how little the lanes cost, about 4 bits each. Usually a lane begins in a state without
// content (16 bits lost) and ends in one that is written whole. Here a single state, the stem, encodes the last
// elements, and begins with the caller's seal, below the usual range: its decoder stops refilling when the words are
// used up and arrives at the seal. As soon as the stem has moved out a word for each other lane, these words, below a
// leading one, become the states in which those lanes begin, and the stem is a lane like them from then on. The decoder
// only needs the number of elements that went to lanes to know when to go on with the stem alone. At the end all
// states but the first are pushed as raw bits (4 for the length, then the bits below the leading one) into the first,
// and that one is written in two or three bytes, told apart by the parity of the size, so that nothing is padded.
//
// Raw bits among the elements of the stem are elements of the stem. Raw bits among those of the lanes go to bits of
// their own, read backwards, so that a lane's elements follow from their index alone and kernels need not look at them.
#include "rans/rans_stack.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/bytes.h"

namespace sluice {

int LanesFor(size_t symbol_count) {
  constexpr size_t kSymbolsPerLane = 4096;
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
  return RansStack(lanes, precision, seal);
}

RansStack::RansStack(int lanes, int precision, uint32_t seal)
    : precision_(precision), low_bits_(RansLowBits(precision)) {
  Reset(lanes, seal);
}

void RansStack::Reset(int lanes, uint32_t seal) {
  assert(lanes >= 1 && lanes <= kMaxRansLanes);
  lanes_ = lanes;
  lane_ = 0;
  in_lanes_ = false;
  laned_ = 0;
  states_[0] = seal & (kRansSealLimit - 1);
  words_.clear();
  raw_.clear();
  raw_pending_ = 0;
  raw_pending_count_ = 0;
}

void RansStack::Spread() {
  for (int lane = 1; lane < lanes_; ++lane) {
    states_[lane] = RansFirstState(words_.back());
    words_.pop_back();
  }
  in_lanes_ = true;
}

void RansStack::PushBits(uint32_t value, int count) {
  assert(count >= 0 && count <= 32);
  for (int at = (count - 1) / kRansRawPieceBits * kRansRawPieceBits; at >= 0 && count > 0; at -= kRansRawPieceBits) {
    const int piece = std::min(count - at, kRansRawPieceBits);
    PushPiece((value >> at) & ((uint32_t{1} << piece) - 1), piece);
  }
}

void RansStack::PushPiece(uint32_t value, int count) {
  if (in_lanes_) {
    PutRaw(value, count);
  } else {
    states_[0] = Absorb(states_[0], {value, 1}, count);
  }
}

void RansStack::PutRaw(uint32_t value, int count) {
  raw_pending_ |= value << raw_pending_count_;
  raw_pending_count_ += count;
  for (; raw_pending_count_ >= 8; raw_pending_count_ -= 8, raw_pending_ >>= 8) {
    raw_.push_back(static_cast<uint8_t>(raw_pending_));
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

void RansStack::Finish(std::vector<uint8_t>& out) {
  if (raw_.size() + static_cast<size_t>(raw_pending_count_) > 0) {
    PutRaw(1, 8 - raw_pending_count_);  // the mark above the last bit, and zeros to the end of the byte
  }
  if (in_lanes_) {
    AlignedStates();
    for (int lane = lanes_ - 1; lane > 0; --lane) {
      const int length = std::bit_width(states_[lane]) - 1;
      Fold(states_[lane] - (uint32_t{1} << length), length);
      Fold(static_cast<uint32_t>(length - low_bits_), 4);
    }
  }
  uint32_t last = states_[0];
  if (last >= uint32_t{1} << 24) {
    words_.push_back(static_cast<uint16_t>(last));
    last >>= kRansWordBits;
  }
  ByteWriter head;
  if (lanes_ > 1) head.PutVarint(laned_);
  if (laned_ > 0) head.PutVarint(raw_.size());
  for (; last > 0; last >>= 8) head.Put(static_cast<uint8_t>(last));
  out.insert(out.end(), head.bytes().begin(), head.bytes().end());
  const size_t at = out.size();
  out.resize(at + 2 * words_.size());
  uint8_t* to = out.data() + at;
  size_t left = words_.size();
  for (; left >= 4; left -= 4, to += 8) {
    const auto four = LoadLe<uint64_t>(words_.data() + left - 4);
    const uint64_t pairs = four << 32 | four >> 32;
    StoreLe((pairs & 0x0000FFFF0000FFFFu) << 16 | (pairs >> 16 & 0x0000FFFF0000FFFFu), to);
  }
  for (; left > 0; --left, to += 2) StoreLe(words_[left - 1], to);
  out.insert(out.end(), raw_.begin(), raw_.end());
}

}  // namespace sluice
