#ifndef SLUICE_CODEC_CERTIFICATE_H_
#define SLUICE_CODEC_CERTIFICATE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "format/pack.h"

namespace sluice {

inline constexpr int kCertificateVersion = 1;

/// A measured mean and its 95 % interval over the text's windows.
struct Measured {
  double value = 0, low = 0, high = 0;

  /// One sample has no interval: it is everything.
  bool HasInterval() const { return high < std::numeric_limits<double>::max(); }
};

/// What one operating point of a pack does to a model, on one text.
struct CertifiedPoint {
  std::string name;
  double bits_per_token = 0;  ///< of bytes written, headers included
  double perplexity = 0, uncut_perplexity = 0;
  Measured ppl;                         ///< perplexity over the uncut model's
  Measured kl;                          ///< from the uncut model, nats a prediction
  Measured top1;                        ///< share of predictions whose likeliest token is the uncut model's
  Measured greedy;                      ///< share of a greedy continuation up to where it leaves the uncut model's
  std::map<std::string, double> tasks;  ///< score less the uncut model's, by task
};

/// How good a pack is, measured, and for which model, pack and text that holds.
struct Certificate {
  Sha256Digest model{}, pack{}, corpus{};
  int64_t cut = 0, width = 0, tokens = 0, windows = 0;
  uint64_t seed = 0;
  std::string program;  ///< and version that measured
  std::vector<CertifiedPoint> points;

  std::string ToJson() const;
  /// Errors: Corrupt for what is not such a certificate; Unsupported for another version.
  static Result<Certificate> Parse(std::string_view json);
};

/// What a requirement says of each operating point of a pack: OK, or why nothing may be sent with it. Empty where
/// nothing is required.
using PointVerdicts = std::vector<Status>;
/// The verdict on one point. Errors: Mismatch for one that is below, or for which there is no verdict.
Status VerdictOn(const PointVerdicts& verdicts, int point);
/// The points that may be used, in rising order. Errors: the first verdict's when there are none.
Result<std::vector<int>> AllowedPoints(const PointVerdicts& verdicts);

/// What a user demands of a pack: "ppl<=1.03,top1>=0.97".
class Requirement {
 public:
  /// Terms METRIC<=NUMBER or METRIC>=NUMBER with commas between them; metrics are ppl, kl, top1, greedy and bits (a
  /// token), of which ppl, kl and bits have upper and the others lower bounds. Errors: InvalidArgument, naming the
  /// term.
  static Result<Requirement> Parse(std::string_view text);

  /// Judges every operating point of the pack by its certificate; the worse end of an interval counts. A verdict is a
  /// Mismatch for a point that the certificate lacks or that is below, naming point, metric, demanded and certified.
  /// Errors: Mismatch for a certificate that is missing or foreign; Corrupt for one that cannot be read.
  Result<PointVerdicts> Judge(const Pack& pack) const;

 private:
  Status JudgePoint(const CertifiedPoint& point) const;

  struct Term {
    std::string metric;
    double bound;
  };
  std::vector<Term> terms_;
};

}  // namespace sluice

#endif  // SLUICE_CODEC_CERTIFICATE_H_
