// A list of elements in the order of decoding, because a stack takes them in the opposite one (rans_stack.cc).
#include "rans/rans_encoder.h"

#include <algorithm>
#include <cassert>

#include "rans/rans_stack.h"

namespace sluice {

Result<RansEncoder> RansEncoder::Create(int lanes, int precision) {
  SLUICE_RETURN_IF_ERROR(RansStack::Create(lanes, precision).status());
  return RansEncoder(lanes, precision);
}

void RansEncoder::Push(Interval interval) {
  assert(interval.freq >= 1 && interval.freq < (uint32_t{1} << precision_));
  assert(interval.start + interval.freq <= (uint32_t{1} << precision_));
  elements_.push_back({static_cast<uint16_t>(interval.start), static_cast<uint16_t>(interval.freq), 0});
}

void RansEncoder::PushBits(uint32_t value, int count) {
  assert(count >= 0 && count <= 32);
  for (; count > 0; count -= kRansRawPieceBits, value >>= kRansRawPieceBits) {
    const int piece = std::min(count, kRansRawPieceBits);
    const uint32_t bits = value & ((uint32_t{1} << piece) - 1);
    elements_.push_back({static_cast<uint16_t>(bits), 0, static_cast<uint16_t>(piece)});
  }
}

std::vector<uint8_t> RansEncoder::Finish(uint32_t seal) {
  Result<RansStack> stack = RansStack::Create(lanes_, precision_, seal);
  assert(stack.ok());  // Create has checked the same parameters
  for (size_t i = elements_.size(); i-- > 0;) {
    const Element& element = elements_[i];
    if (element.raw_count > 0) {
      stack->PushBits(element.start, element.raw_count);
    } else {
      stack->Push({element.start, element.freq});
    }
  }
  elements_.clear();
  std::vector<uint8_t> bytes;
  stack->Finish(bytes);
  return bytes;
}

}  // namespace sluice
