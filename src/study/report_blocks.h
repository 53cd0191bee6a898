#ifndef SLUICE_STUDY_REPORT_BLOCKS_H_
#define SLUICE_STUDY_REPORT_BLOCKS_H_

#include <optional>
#include <string>
#include <vector>

#include "page/page_content.h"
#include "study/rival_timing.h"
#include "study/study_summary.h"

namespace sluice {

/// "1,234.5", or "-" where there is nothing.
std::string FigureText(const std::optional<double>& value, int digits);
/// "190.2 ± 1.4": the mean and half of its interval; the mean alone for one seed.
std::string MeanText(const SeedMean& mean, int digits);
/// The metric in words: "perplexity".
std::string MetricName(const StudySummary& summary);
/// A curve in words: "paper, frozen, cut 3"; the cut only where a study has several.
std::string CurveName(const StudySummary& summary, const std::string& series, const std::string& mode, int64_t cut);

/// Time per token for a chunk of some tokens, as eval's "timing" gives it.
struct CodecTiming {
  int64_t tokens = 0, threads = 1;
  double bits_per_token = 0, encode_us = 0, decode_us = 0;
  std::vector<RivalTiming> same_integers = {};  ///< none in results of before they were timed
};
std::vector<CodecTiming> TimingsOf(const RunResult& run);

/// An interval of bandwidths, bits a second; empty where it ends before it begins.
struct Bandwidths {
  double from = 0, to = 0;
};
/// Where a codec delivers a token sooner than a reference does: with t for encoding and decoding and R for bits, both a
/// token, t + R / B < t0 + R0 / B. The end that is neither 0 nor infinite is the break-even (R0 - R) / (t - t0).
Bandwidths SoonerWithin(const CodecTiming& codec, const CodecTiming& reference);

/// Plots of a study: rate against the metric, and what its kind asks for. Empty where nothing is done.
std::vector<PageBlock> ReportPlots(const StudySummary& summary);
/// Tables and bars of a study.
std::vector<PageBlock> ReportTables(const StudySummary& summary);

}  // namespace sluice

#endif  // SLUICE_STUDY_REPORT_BLOCKS_H_
