#ifndef SLUICE_PLAIN_STATIC_INTEGERS_H_
#define SLUICE_PLAIN_STATIC_INTEGERS_H_

#include <memory>

#include "plain/integer_codec.h"

namespace sluice {

// One probability table a channel and rANS: an entropy model that knows each channel's histogram and nothing else. It
// is the rival without a network. Both send a chunk as one message, tokens in order, one stream of interleaved
// lanes, sealed with 30 bits of a checksum of the integers.

/// "static": every chunk carries its tables. Data: three short tables (of the channels' lowest values, of their numbers
/// of values, of the histogram's codes), then one rANS stream: each channel's lowest value, number of values and codes,
/// then all elements. A code is 0 for a value that does not occur, else its count in half octaves.
/// Errors: Encode gives InvalidArgument when the tables need more than 2^24 entries in all.
std::unique_ptr<IntegerCodec> MakeStaticIntegers();

/// "static-fixed": tables fitted on a sample [N, d] that both ends have, not counted. Values outside of a channel's
/// range in the sample are escaped. Errors: InvalidArgument when the sample is empty, and from Encode for another
/// width.
Result<std::unique_ptr<IntegerCodec>> MakeFixedStaticIntegers(MatrixView<const int32_t> sample);

}  // namespace sluice

#endif  // SLUICE_PLAIN_STATIC_INTEGERS_H_
