// The inverse of rans_stack.cc, step by step; the layout is explained there. A step takes the slot x mod 2^n, and
// x -> freq * (x / 2^n) + slot - start, then refills 16 bits when the state has fallen below its range.
#include "rans/rans_decoder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "rans/rans_stack.h"

namespace sluice {

Result<RansDecoder> RansDecoder::Create(std::span<const uint8_t> bytes, int lanes, int precision) {
  SLUICE_RETURN_IF_ERROR(RansStack::Create(lanes, precision).status());
  RansDecoder decoder(lanes, precision);
  SLUICE_RETURN_IF_ERROR(decoder.ReadHead(bytes));
  SLUICE_RETURN_IF_ERROR(decoder.ReadStates());
  return decoder;
}

Status RansDecoder::ReadHead(std::span<const uint8_t> bytes) {
  ByteReader reader(bytes);
  uint64_t raw_size = 0;
  if (lanes_ > 1) {
    SLUICE_ASSIGN_OR_RETURN(laned_, reader.GetVarint());
  }
  if (laned_ > 0) {
    SLUICE_ASSIGN_OR_RETURN(raw_size, reader.GetVarint());
  }
  if (raw_size > reader.remaining()) {
    return Truncated("rans: raw bits: expected " + std::to_string(raw_size) + " bytes, got " +
                     std::to_string(reader.remaining()));
  }
  raw_size_ = static_cast<size_t>(raw_size);
  next_ = bytes.data() + reader.offset();
  end_ = bytes.data() + bytes.size() - raw_size_;
  if (raw_size_ == 0) return OkStatus();
  raw_bits_ = 8 * (raw_size_ - 1) + static_cast<size_t>(std::bit_width(end_[raw_size_ - 1]));
  if (end_[raw_size_ - 1] == 0 || --raw_bits_ == 0) {
    return Corrupt("rans: raw bits: expected a mark in the last of " + std::to_string(raw_size_) +
                   " bytes and bits below it");
  }
  return OkStatus();
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
  for (int lane = 1; lane < lanes_ && laned_ > 0; ++lane) {
    const int length = low_bits_ + static_cast<int>(TakeFromState(&states_[0], 4));
    states_[lane] = uint32_t{1} << length;
    for (int at = 0; at < length; at += kRansRawPieceBits) {
      states_[lane] |= TakeFromState(&states_[0], std::min(length - at, kRansRawPieceBits)) << at;
    }
  }
  if (overrun_) {
    return Truncated("rans: " + std::to_string(size) + " bytes end inside the states of " + std::to_string(lanes_) +
                     " lanes");
  }
  return OkStatus();
}

uint32_t RansDecoder::TakeFromState(uint32_t* state, int count) {
  const uint32_t value = *state & ((uint32_t{1} << count) - 1);
  *state = Refill(*state >> count);
  return value;
}

uint32_t RansDecoder::TakeRaw(int count) {
  if (raw_bits_ < static_cast<size_t>(count)) {
    overrun_ = true;
    raw_bits_ = 0;
    return 0;
  }
  raw_bits_ -= static_cast<size_t>(count);
  uint32_t bits = 0;
  const size_t at = raw_bits_ / 8;
  if (raw_size_ - at >= sizeof(bits)) {
    bits = LoadLe<uint32_t>(end_ + at);
  } else {
    std::memcpy(&bits, end_ + at, raw_size_ - at);
  }
  return bits >> (raw_bits_ % 8) & ((uint32_t{1} << count) - 1);
}

uint32_t RansDecoder::PopBits(int count) {
  uint32_t value = 0;
  for (int at = 0; at < count; at += kRansRawPieceBits) {
    const int piece = std::min(count - at, kRansRawPieceBits);
    value |= (laned_ > 0 ? TakeRaw(piece) : TakeFromState(&states_[lane_], piece)) << at;
  }
  return value;
}

void RansDecoder::EnterStem() {
  lent_ = lanes_ - 1;
  for (int i = 1; i < lanes_; ++i) {
    lanes_end_well_ &= states_[(lane_ + i) % lanes_] >> kRansWordBits == 1;
  }
}

uint32_t RansDecoder::RefillStem(uint32_t x) {
  if (lent_ > 0) {
    const uint32_t word = states_[(lane_ + lanes_ - lent_--) % lanes_] & 0xFFFF;
    return x << kRansWordBits | word;
  }
  if (next_ == end_) return x;
  x = x << kRansWordBits | LoadLe<uint16_t>(next_);
  next_ += 2;
  return x;
}

RansDecoder::Cursor RansDecoder::Aligned() {
  std::rotate(states_.begin(), states_.begin() + lane_, states_.begin() + lanes_);
  lane_ = 0;
  return {states_.data(), next_, static_cast<size_t>(end_ - next_) / 2, laned_};
}

void RansDecoder::Skip(size_t elements, size_t words) {
  next_ += 2 * words;
  if (elements == 0) return;
  laned_ -= elements;
  if (laned_ == 0) EnterStem();
}

Status RansDecoder::Finish(uint32_t seal) const {
  seal &= kRansSealLimit - 1;
  if (overrun_) return Truncated("rans: the bytes ended before the last element");
  if (laned_ > 0) return Corrupt("rans: " + std::to_string(laned_) + " elements of lanes are left after the last one");
  if (!lanes_end_well_) return Corrupt("rans: a lane does not end in the state of one that begins");
  if (next_ != end_ || lent_ > 0) {
    return Corrupt("rans: " + std::to_string((end_ - next_) + 2 * lent_) + " bytes are left after the last element");
  }
  if (raw_bits_ > 0) return Corrupt("rans: " + std::to_string(raw_bits_) + " raw bits are left after the last element");
  if (states_[lane_] != seal) {
    return Corrupt("rans: last state: expected " + std::to_string(seal) + ", got " + std::to_string(states_[lane_]));
  }
  return OkStatus();
}

}  // namespace sluice
