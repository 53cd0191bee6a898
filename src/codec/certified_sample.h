#ifndef SLUICE_CODEC_CERTIFIED_SAMPLE_H_
#define SLUICE_CODEC_CERTIFIED_SAMPLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "codec/certificate.h"
#include "nets/context_sample.h"

namespace sluice {

/// A pack of codec "context" that nobody trained, for tests, whose points p0, p1 ... are certified with a perplexity of
/// 1.01, 1.02 ... of the uncut model's.
inline std::vector<uint8_t> CertifiedSample(uint32_t width, size_t points) {
  ContextSample sample;
  sample.shape = {
      .width = width, .hidden = 11, .groups = 2, .points = points, .names = TokenNames::kClasses, .ids = 10};
  sample.block = 8;
  sample.named_points = points;
  const auto bytes = sample.Make();
  Certificate certificate;
  certificate.pack = Pack::FromBytes(bytes)->hash();
  for (size_t p = 0; p < points; ++p) {
    const double rise = 1 + 0.01 * static_cast<double>(p + 1);
    certificate.points.push_back({"p" + std::to_string(p), 1, 1, 1, {rise, rise, rise}, {}, {}, {}, {}});
  }
  return *WithCertificate(bytes, certificate.ToJson());
}

}  // namespace sluice

#endif  // SLUICE_CODEC_CERTIFIED_SAMPLE_H_
