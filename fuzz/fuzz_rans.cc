// Damaged entropy coding. Data: a script (rans_script.h), then the bytes to decode. Proves: the decoder and every table
// on top of it stay inside the bytes and give values in range whatever they read, and a stream of one lane that ends as
// it should is the one that the encoder makes of what was decoded: there are no two spellings of the same elements.
// (With several lanes the writer chooses how many elements the lanes code, and a reader takes any choice; and escapes
// beyond 32 bits, which no encoder writes, all decode to the nearest value that fits.)
#include <algorithm>
#include <limits>
#include <vector>

#include "fuzz_input.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"
#include "rans_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  FuzzInput input(data, size);
  const RansScript script(input);
  const std::span<const uint8_t> bytes = input.Rest();
  Result<RansDecoder> decoder = RansDecoder::Create(bytes, script.lanes, script.precision);
  RequireInputFault(decoder.status());
  if (!decoder.ok()) return 0;
  Result<RansEncoder> encoder = RansEncoder::Create(script.lanes, script.precision);
  FUZZ_REQUIRE(encoder.ok());
  bool fits = true;
  for (uint32_t i = 0; i < script.count; ++i) {
    FUZZ_REQUIRE(decoder->Peek() >> script.precision == 0);
    const int64_t value = script.Decode(i, *decoder);
    FUZZ_REQUIRE(value < int64_t{1} << 33 && value > -(int64_t{1} << 33) && value == script.Fit(i, value));
    fits &= value != std::numeric_limits<int32_t>::min() && value != std::numeric_limits<int32_t>::max();
    script.Encode(i, value, *encoder);
  }
  const Status end = decoder->Finish(script.seal);
  RequireInputFault(end);
  if (end.ok() && script.lanes == 1 && fits) FUZZ_REQUIRE(std::ranges::equal(encoder->Finish(script.seal), bytes));
  return 0;
}
