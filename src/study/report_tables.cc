// Tables name what is absent: a comparison that was refused shows its reason where the number would be, and what failed
// has a table of its own.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "study/report_blocks.h"
#include "study/study_state.h"

namespace sluice {
namespace {

constexpr int kBitDigits = 1, kMetricDigits = 4, kTimeDigits = 1;

TableBlock PointsTable(const StudySummary& summary) {
  TableBlock table{
      .title = "Operating points",
      .caption = "Rates are bytes written, headers included. ± is half of a 95 % Student interval over seeds.",
      .columns = {"curve", "λ or step", "seeds", "bits per token", MetricName(summary)}};
  for (const StudyCurve& curve : summary.curves) {
    for (const CurvePoint& point : curve.points) {
      table.rows.push_back({CurveName(summary, curve.series, curve.mode, curve.cut),
                            fmt::format("{:g}", point.lambda > 0 ? point.lambda : point.step),
                            fmt::format("{} of {}", point.seeds.size(), point.planned),
                            MeanText(point.rate, kBitDigits), MeanText(point.quality, kMetricDigits)});
    }
  }
  return table;
}

TableBlock BaselineTable(const StudySummary& summary) {
  TableBlock table{.title = "Plain codecs",
                   .caption = "The same hidden states through codecs that are not trained.",
                   .columns = {"codec", "bits per token", MetricName(summary), "KL, nats", "top-1 agreement",
                               "encode + decode, µs"}};
  for (const RunResult* run : summary.Done(RunRole::kBaseline)) {
    const auto encode = run->Figure("encode_us_per_token"), decode = run->Figure("decode_us_per_token");
    table.rows.push_back({CurveName(summary, run->labels.codec, "", run->labels.cut),
                          FigureText(run->Figure("bits_per_token"), kBitDigits),
                          FigureText(run->Figure(summary.metric), kMetricDigits), FigureText(run->Figure("kl_nats"), 5),
                          FigureText(run->Figure("top1_agreement"), 4),
                          encode && decode ? FigureText(*encode + *decode, kTimeDigits) : "-"});
  }
  return table;
}

std::string BdText(const std::optional<BdOverSeeds>& value, const std::string& reason) {
  if (!value) return "none: " + reason;
  std::string text = fmt::format("{:+.2f} %", value->percent);
  if (value->interval) text += fmt::format(" ({:+.2f} to {:+.2f})", value->interval->low, value->interval->high);
  return text;
}

TableBlock BdTable(const StudySummary& summary) {
  TableBlock table{.title = "BD-rate against " + summary.anchor,
                   .caption = "Mean difference of rate at equal " + MetricName(summary) +
                              " over the range that both curves cover; negative needs fewer bits. In brackets: 95 % "
                              "interval over seeds, paired.",
                   .columns = {"curve", "PCHIP", "cubic", "common range", "seeds"}};
  for (const BdRow& row : summary.bd_rates) {
    table.rows.push_back({CurveName(summary, row.series, row.mode, row.cut), BdText(row.pchip, row.pchip_reason),
                          BdText(row.cubic, row.cubic_reason),
                          row.pchip ? fmt::format("{:.0f} %", 100 * row.pchip->least_overlap) : "-",
                          row.pchip ? fmt::format("{}", row.pchip->by_seed.size()) : "-"});
  }
  return table;
}

BarsBlock PartBars(const StudySummary& summary) {
  BarsBlock bars{.title = "Rate by part",
                 .caption = "Where the bits of learned codecs go; the first seed of each point.",
                 .unit = "bits per token",
                 .parts = {{"hyper-prior", {}}, {"latent", {}}, {"overhead", {}}}};
  for (const RunResult* run : summary.Done(RunRole::kPoint)) {
    const auto hyper = run->Figure("hyper_bits_per_token"), latent = run->Figure("latent_bits_per_token");
    const auto all = run->Figure("bits_per_token");
    if (!hyper || !latent || !all || run->labels.seed > 1) continue;
    bars.rows.push_back(fmt::format(
        "{}, λ {:g}", CurveName(summary, run->labels.series, run->labels.mode, run->labels.cut), run->labels.lambda));
    bars.parts[0].values.push_back(std::max(0.0, *hyper));
    bars.parts[1].values.push_back(std::max(0.0, *latent));
    bars.parts[2].values.push_back(std::max(0.0, *all - *hyper - *latent));
  }
  return bars;
}

// What general compressors make of each learned codec's own integers.
TableBlock IntegersTable(const StudySummary& summary) {
  TableBlock table{.title = "The same hidden states and integers through other codecs",
                   .caption = "Names with _integers compress the learned codec's own integers losslessly.",
                   .columns = {"run", "other codec", "bits per token", "times this codec"}};
  for (const RunResult& run : summary.runs) {
    if (!run.done() || run.labels.role == RunRole::kTuning || !run.figures.contains("baseline_bits_per_token"))
      continue;
    const double own = run.Figure("bits_per_token").value_or(0);
    for (const auto& [name, bits] : run.figures["baseline_bits_per_token"].items()) {
      if (!bits.is_number() || own <= 0) continue;
      table.rows.push_back(
          {run.name, name, FigureText(bits.get<double>(), kBitDigits), FigureText(bits.get<double>() / own, 2)});
    }
  }
  return table;
}

TableBlock ChoicesTable(const StudySummary& summary) {
  TableBlock table{.title = "Choices",
                   .caption = "Made on the selection text, at one λ, by the least D + λ R; the report text had no say.",
                   .columns = {"setting", "value", "run", "D + λ R", "chosen"}};
  for (const StudyChoice& choice : summary.plan.choices) {
    const auto scored = ScoreCandidates(choice, summary.folder);
    const ScoredCandidate* best = BestCandidate(scored);
    for (const ScoredCandidate& one : scored) {
      table.rows.push_back({choice.setting, one.value, one.run, one.score ? FigureText(*one.score, 5) : "no result",
                            &one == best ? "yes" : ""});
    }
  }
  return table;
}

// What each switch earns and costs, against the first curve of the plan at the same lambda.
TableBlock AblationTable(const StudySummary& summary) {
  TableBlock table{.title = "What each switch earns and costs",
                   .caption = "Against the preset as it is, at the same λ and seed.",
                   .columns = {"switch", "λ", "bits per token", "bits, %", MetricName(summary), "difference",
                               "multiply-adds a token", "encode + decode, µs"}};
  for (const RunResult* run : summary.Done(RunRole::kPoint)) {
    const RunResult* plain = nullptr;
    for (const RunResult* other : summary.Done(RunRole::kPoint)) {
      if (other->labels.series == other->labels.codec && other->labels.lambda == run->labels.lambda &&
          other->labels.seed == run->labels.seed) {
        plain = other;
      }
    }
    const auto bits = run->Figure("bits_per_token"), quality = run->Figure(summary.metric);
    const auto encode = run->Figure("encode_us_per_token"), decode = run->Figure("decode_us_per_token");
    if (!bits || !quality) continue;
    const bool comparable = plain != nullptr && plain->Figure("bits_per_token") && plain->Figure(summary.metric);
    table.rows.push_back(
        {fmt::format("{}{}", run->labels.series,
                     run->labels.seed > 1 ? fmt::format(", seed {}", run->labels.seed) : ""),
         fmt::format("{:g}", run->labels.lambda), FigureText(bits, kBitDigits),
         comparable ? fmt::format("{:+.1f}", 100 * (*bits / *plain->Figure("bits_per_token") - 1)) : "-",
         FigureText(quality, kMetricDigits),
         comparable ? fmt::format("{:+.4f}", *quality - *plain->Figure(summary.metric)) : "-",
         FigureText(run->Figure("multiply_adds_per_token"), 0),
         encode && decode ? FigureText(*encode + *decode, kTimeDigits) : "-"});
  }
  return table;
}

std::string BandwidthText(const CodecTiming& codec, const CodecTiming* reference) {
  if (reference == nullptr) return "not run";
  const Bandwidths sooner = SoonerWithin(codec, *reference);
  if (sooner.from >= sooner.to) return "never";
  if (std::isfinite(sooner.to)) return fmt::format("below {:.3g} Mbit/s", sooner.to / 1e6);
  return sooner.from > 0 ? fmt::format("above {:.3g} Mbit/s", sooner.from / 1e6) : "always";
}

const CodecTiming* TimingFor(const std::vector<CodecTiming>& timings, int64_t tokens) {
  const auto at = std::find_if(timings.begin(), timings.end(), [&](const auto& t) { return t.tokens == tokens; });
  return at == timings.end() ? nullptr : &*at;
}

std::vector<CodecTiming> ReferenceTimings(const StudySummary& summary, const std::string& codec) {
  for (const RunResult* run : summary.Done(RunRole::kBaseline)) {
    if (run->labels.codec == codec) return TimingsOf(*run);
  }
  return {};
}

TableBlock TimeTable(const StudySummary& summary) {
  TableBlock table{.title = "Time, and the bandwidth at which a codec breaks even",
                   .caption =
                       "Medians of several passes. At a bandwidth B a codec delivers a token sooner than the reference "
                       "where t + R/B "
                       "< t0 + R0/B, t being encode + decode and R bits a token: below the break-even (R0 - R)/(t - "
                       "t0) if it is the "
                       "slower and smaller of the two, above it if it is the faster and larger.",
                   .columns = {"codec", "tokens a chunk", "threads", "bits per token", "encode, µs", "decode, µs",
                               "sooner than fp16", "sooner than zstd:3"}};
  const auto half = ReferenceTimings(summary, "fp16"), zstd = ReferenceTimings(summary, "zstd:3");
  for (const RunResult& run : summary.runs) {
    for (const CodecTiming& timing : TimingsOf(run)) {
      const CodecTiming* to_half = TimingFor(half, timing.tokens);
      const CodecTiming* to_zstd = TimingFor(zstd, timing.tokens);
      table.rows.push_back({run.labels.series, std::to_string(timing.tokens), std::to_string(timing.threads),
                            FigureText(timing.bits_per_token, kBitDigits), FigureText(timing.encode_us, 2),
                            FigureText(timing.decode_us, 2),
                            run.labels.codec == "fp16" ? "itself" : BandwidthText(timing, to_half),
                            run.labels.codec == "zstd:3" ? "itself" : BandwidthText(timing, to_zstd)});
    }
  }
  return table;
}

TableBlock IntegerTimeTable(const StudySummary& summary) {
  TableBlock table{.title = "Time of general compressors on the same integers",
                   .caption =
                       "Measured in the same passes as the codec, which is slower where the last column is above 1. "
                       "The codec's time holds its networks and transforms; a compressor is handed the integers.",
                   .columns = {"codec", "tokens a chunk", "threads", "compressor and packing", "bits per token",
                               "encode, µs", "decode, µs", "codec's / its"}};
  for (const RunResult& run : summary.runs) {
    for (const CodecTiming& timing : TimingsOf(run)) {
      for (const RivalTiming& rival : timing.same_integers) {
        const double its = rival.encode_us + rival.decode_us;
        table.rows.push_back({run.labels.series, std::to_string(timing.tokens), std::to_string(timing.threads),
                              fmt::format("{}, {}", rival.method, rival.packing),
                              FigureText(rival.bits_per_token, kBitDigits), FigureText(rival.encode_us, 2),
                              FigureText(rival.decode_us, 2),
                              its > 0 ? FigureText((timing.encode_us + timing.decode_us) / its, 2) : "-"});
      }
    }
  }
  return table;
}

TableBlock MissingTable(const StudySummary& summary) {
  TableBlock table{.title = "Not in these figures",
                   .caption = "Runs of the plan that failed or are missing; nothing was put in their place.",
                   .columns = {"run", "status", "reason"}};
  for (const RunResult& run : summary.runs) {
    if (!run.done()) table.rows.push_back({run.name, run.status, run.reason});
  }
  return table;
}

TableBlock CommandsTable(const StudySummary& summary) {
  TableBlock table{.title = "Runs and commands", .caption = "", .columns = {"run", "train", "eval"}};
  for (const RunResult& run : summary.runs) {
    if (run.done()) table.rows.push_back({run.name, run.train_command, run.eval_command});
  }
  return table;
}

}  // namespace

std::string FigureText(const std::optional<double>& value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "-";
}

std::string MeanText(const SeedMean& mean, int digits) {
  std::string text = fmt::format("{:.{}f}", mean.mean, digits);
  if (mean.interval) text += fmt::format(" ± {:.{}f}", (mean.interval->high - mean.interval->low) / 2, digits);
  return text;
}

std::string MetricName(const StudySummary& summary) {
  return summary.metric == "last_word_nats" ? "nats of the last word" : summary.metric;
}

std::string CurveName(const StudySummary& summary, const std::string& series, const std::string& mode, int64_t cut) {
  std::set<int64_t> cuts;
  for (const RunResult& run : summary.runs) cuts.insert(run.labels.cut);
  std::string name = series;
  if (!mode.empty()) name += ", " + mode;
  if (cuts.size() > 1) name += fmt::format(", cut {}", cut);
  return name;
}

std::vector<CodecTiming> TimingsOf(const RunResult& run) {
  std::vector<CodecTiming> timings;
  if (!run.done() || !run.figures.contains("timing")) return timings;
  for (const auto& item : run.figures["timing"]) {
    CodecTiming& timing = timings.emplace_back();
    timing.tokens = item.value("tokens", int64_t{0});
    timing.threads = item.value("threads", int64_t{1});
    timing.bits_per_token = item.value("bits_per_token", 0.0);
    timing.encode_us = item.value("encode_us_per_token", 0.0);
    timing.decode_us = item.value("decode_us_per_token", 0.0);
    if (!item.contains("same_integers")) continue;
    for (const auto& rival : item["same_integers"]) timing.same_integers.push_back(RivalTiming::FromJson(rival));
  }
  return timings;
}

Bandwidths SoonerWithin(const CodecTiming& codec, const CodecTiming& reference) {
  constexpr double kAny = std::numeric_limits<double>::infinity();
  const double saved = reference.bits_per_token - codec.bits_per_token;
  const double longer = 1e-6 * (codec.encode_us + codec.decode_us - reference.encode_us - reference.decode_us);
  if (longer > 0) return {0, std::max(saved / longer, 0.0)};
  if (longer < 0) return {std::max(saved / longer, 0.0), kAny};
  return {0, saved > 0 ? kAny : 0};
}

std::vector<PageBlock> ReportTables(const StudySummary& summary) {
  std::vector<PageBlock> blocks;
  const auto add = [&](auto block) {
    if (!block.rows.empty()) blocks.push_back(std::move(block));
  };
  add(BdTable(summary));
  if (summary.plan.study == "ablation") add(AblationTable(summary));
  if (summary.plan.study == "time") {
    add(TimeTable(summary));
    add(IntegerTimeTable(summary));
  }
  add(PointsTable(summary));
  add(PartBars(summary));
  add(BaselineTable(summary));
  add(IntegersTable(summary));
  add(ChoicesTable(summary));
  add(MissingTable(summary));
  add(CommandsTable(summary));
  return blocks;
}

}  // namespace sluice
