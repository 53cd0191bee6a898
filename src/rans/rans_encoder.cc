// A list of elements in the order of decoding, because a stack takes them in the opposite one (rans_stack.cc).
#include "rans/rans_encoder.h"

#include <algorithm>
#include <cassert>
#include <string>

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

void RansEncoder::PushTo(RansStack& stack, size_t begin, size_t end) const {
  for (size_t i = end; i-- > begin;) {
    const Element& element = elements_[i];
    if (element.raw_count > 0) {
      stack.PushBits(element.start, element.raw_count);
    } else {
      stack.Push({element.start, element.freq});
    }
  }
}

std::vector<uint8_t> RansEncoder::Finish(uint32_t seal) {
  Result<RansStack> stack = RansStack::Create(lanes_, precision_, seal);
  assert(stack.ok());  // Create has checked the same parameters
  PushTo(*stack, 0, elements_.size());
  elements_.clear();
  std::vector<uint8_t> bytes;
  stack->Finish(bytes);
  return bytes;
}

size_t RansEncoder::TailBegin(size_t tail) const {
  size_t begin = elements_.size();
  while (begin > 0 && tail > 0) tail -= elements_[--begin].raw_count == 0 ? 1 : 0;
  return begin;
}

Result<RansEncoder::Token> RansEncoder::FinishToken(uint8_t check, size_t tail) {
  assert(lanes_ == 1 && check < 1 << kRansTokenBits);
  SLUICE_ASSIGN_OR_RETURN(RansStack stack, RansStack::Create(1, precision_));
  const size_t begin = TailBegin(tail);
  // The least seal that ends with `check` and lifts the tail into the range of states.
  uint32_t least = 0, most = uint32_t{1} << (RansLowBits(precision_) - kRansTokenBits);
  for (uint32_t middle = 0; least < most; middle = (least + most) / 2) {
    stack.Reset(1, middle << kRansTokenBits | check);
    PushTo(stack, begin, elements_.size());
    if (stack.InRange()) {
      most = middle;
    } else {
      least = middle + 1;
    }
  }
  stack.Reset(1, most << kRansTokenBits | check);
  PushTo(stack, begin, elements_.size());
  if (!stack.words().empty()) {
    return Unsupported("rans: the last " + std::to_string(tail) +
                       " elements do not fit in the state of a token stream");
  }
  PushTo(stack, 0, begin);
  elements_.clear();
  Token token{};
  token.bits = stack.FinishToken(token.bytes);
  return token;
}

}  // namespace sluice
