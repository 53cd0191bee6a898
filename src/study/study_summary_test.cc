#include "study/study_summary.h"

#include <fmt/format.h>

#include <cmath>
#include <sstream>

#include "page/page.h"
#include "study/report_blocks.h"
#include "study/study_report.h"
#include "study/study_test_util.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

class StudySummaryTest : public StudyTest {
 protected:
  // Adds a point of a curve, done with these figures unless `bits` is 0.
  void AddPoint(const std::string& series, double lambda, uint64_t seed, double bits, double perplexity) {
    StudyRun run = LearnedRun(fmt::format("{}-l{:g}-s{}", series, lambda, seed));
    run.labels.series = run.labels.codec = series;
    run.labels.lambda = lambda;
    run.labels.seed = seed;
    plan_.runs.push_back(run);
    if (bits > 0) {
      Finish(run, {{"bits_per_token", bits},
                   {"perplexity", perplexity},
                   {"hyper_bits_per_token", bits / 10},
                   {"latent_bits_per_token", bits * 0.85},
                   {"uncut_perplexity", 3.9}});
    }
  }
  void Finish(const StudyRun& run, const Json& figures, const std::string& model = "abcdef0123456789",
              const std::string& text = "1234") {
    const auto folder = RunFolder(Path("study"), run.name);
    std::filesystem::create_directories(folder);
    RunRecord record;
    record.inputs = InputsOf(run, {{"report-text", text}}, choices_, "1.0").ToJson();
    record.model = model;
    record.train_command = "sluice train --out " + run.name;
    record.eval_command = "sluice eval";
    ASSERT_TRUE(WriteRunRecord(folder, record).ok());
    std::ofstream(folder / "eval.json") << figures.dump();
  }
  Result<StudySummary> Summarize() const {
    std::filesystem::create_directories(Path("study"));
    Json json = plan_.ToJson();
    json["command"] = "sluice study test";
    json["machine"] = {{"processor", "abacus"}};
    std::ofstream(Path("study/study.json")) << json.dump();
    return SummarizeStudy(Path("study"));
  }
  // Four lambdas, the rate falling as the perplexity rises.
  void AddCurve(const std::string& series, uint64_t seed, double rate_factor, double shift = 0) {
    for (int i = 0; i < 4; ++i)
      AddPoint(series, 1e-4 * std::pow(4, i), seed, rate_factor * 400 / std::pow(1.6, i), 4 + shift + 0.1 * i * i);
  }

  StudyPlan plan_ = EmptyPlan();
  std::map<std::string, std::string> choices_;  // that runs are finished with
};

TEST_F(StudySummaryTest, MatchesBdRateOfScaledCurves) {
  AddCurve("paper", 1, 1);
  AddCurve("direct", 1, 0.8);
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  ASSERT_EQ(summary->bd_rates.size(), 1U);
  ASSERT_TRUE(summary->bd_rates[0].pchip.has_value());
  EXPECT_NEAR(summary->bd_rates[0].pchip->percent, -20, 1e-9);
  EXPECT_NEAR(summary->bd_rates[0].cubic->percent, -20, 1e-6);
  EXPECT_FALSE(summary->bd_rates[0].pchip->interval.has_value()) << "one seed has no interval";
  const Json json = summary->ToJson();
  EXPECT_EQ(json["curves"][0]["points"].size(), 4U);
  EXPECT_EQ(json["runs"][0]["commands"]["train"], "sluice train --out paper-l0.0001-s1");
  const std::string csv = summary->ToCsv();
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 9);
  // Several studies make one table: one header, and every row as long as it.
  StudySummary other = *summary;
  for (RunResult& run : other.runs) run.figures["last_word_nats"] = 1.5;
  const std::vector<StudySummary> both = {*summary, other};
  std::istringstream lines(SummariesToCsv(both));
  std::string header, line;
  std::getline(lines, header);
  EXPECT_NE(header.find("last_word_nats"), std::string::npos);
  size_t rows = 0;
  for (; std::getline(lines, line); ++rows)
    EXPECT_EQ(std::count(line.begin(), line.end(), ','), std::count(header.begin(), header.end(), ',')) << line;
  EXPECT_EQ(rows, 16U);
}

TEST_F(StudySummaryTest, MatchesIntervalsOverSeeds) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    AddCurve("paper", seed, 1 + 0.01 * static_cast<double>(seed));
    AddCurve("fourier", seed, 1.5);
  }
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  ASSERT_TRUE(summary->bd_rates.at(0).pchip && summary->bd_rates[0].pchip->interval);
  EXPECT_LT(summary->bd_rates[0].pchip->interval->low, summary->bd_rates[0].pchip->percent);
  EXPECT_EQ(summary->bd_rates[0].pchip->by_seed.size(), 3U);
  EXPECT_TRUE(summary->curves.at(0).points.at(0).rate.interval.has_value());
  EXPECT_TRUE(summary->notes.empty());
}

TEST_F(StudySummaryTest, RejectsCurvesWithoutOverlap) {
  AddCurve("paper", 1, 1);
  AddCurve("direct", 1, 1, /*shift=*/5);
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  EXPECT_FALSE(summary->bd_rates.at(0).pchip.has_value());
  EXPECT_FALSE(summary->bd_rates[0].pchip_reason.empty());
  EXPECT_TRUE(summary->ToJson()["bd_rates"][0]["pchip"].contains("refused"));
  const auto page = MakeReport({&*summary, 1}, false);
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  EXPECT_NE(RenderPage(*page)->find("none: "), std::string::npos);
}

TEST_F(StudySummaryTest, SaysOnceWhatSeveralPointsLack) {
  AddCurve("paper", 1, 1);
  for (const double lambda : {1e-4, 4e-4}) AddPoint("paper", lambda, 2, 0, 0);
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  const std::string notes = fmt::format("{}", fmt::join(summary->notes, "; "));
  EXPECT_NE(notes.find("paper frozen at lambda 0.0001, 0.0004: 1 of 2 seeds"), std::string::npos) << notes;
}

// A codec of perplexity 50 would press curves between 4 and 5 into one line.
TEST_F(StudySummaryTest, NamesPlainCodecsFarBeyondTheCurves) {
  AddCurve("paper", 1, 1);
  for (const auto& [codec, perplexity] : {std::pair{"int8", 4.01}, std::pair{"lowrank:8", 50.61}}) {
    StudyRun run = LearnedRun(fmt::format("plain-{:g}", perplexity));
    run.labels = {.role = RunRole::kBaseline, .codec = codec};
    plan_.runs.push_back(run);
    Finish(run, {{"bits_per_token", 90.25}, {"perplexity", perplexity}});
  }
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  const auto blocks = ReportPlots(*summary);
  ASSERT_FALSE(blocks.empty());
  const auto& plot = std::get<PlotBlock>(blocks[0]);
  EXPECT_NE(plot.caption.find("lowrank:8 (90.2 bits, 50.61)"), std::string::npos) << plot.caption;
  EXPECT_EQ(plot.series.back().labels, std::vector<std::string>{"int8"});
}

TEST_F(StudySummaryTest, RejectsSilenceAboutMissingRuns) {
  AddCurve("paper", 1, 1);
  AddCurve("paper", 2, 1.1);
  AddCurve("fourier", 1, 1.5);
  AddPoint("fourier", 1e-4, 2, 0, 0);
  ASSERT_TRUE(std::filesystem::remove(Path("study/runs/paper-l0.0001-s2/eval.json")));
  ASSERT_TRUE(WriteRunFailure(Path("study/runs/paper-l0.0001-s2"), {"train", 1, 0, "diverged"}).ok());
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  const std::string notes = fmt::format("{}", fmt::join(summary->notes, "; "));
  EXPECT_NE(notes.find("1 of 13 runs: failed"), std::string::npos) << notes;
  EXPECT_NE(notes.find("1 of 13 runs: missing"), std::string::npos) << notes;
  EXPECT_NE(notes.find("paper frozen at lambda 0.0001: 1 of 2 seeds"), std::string::npos) << notes;
  // The seed that lacks a point takes no part in comparisons.
  EXPECT_EQ(summary->bd_rates.at(0).pchip->by_seed.size(), 1U);
  const std::string page = *RenderPage(*MakeReport({&*summary, 1}, false));
  EXPECT_NE(page.find("Not in these figures"), std::string::npos);
  EXPECT_NE(page.find("train: diverged"), std::string::npos);
}

TEST_F(StudySummaryTest, RejectsMixedModels) {
  AddCurve("paper", 1, 1);
  const auto first = Summarize();
  ASSERT_TRUE(first.ok());
  StudySummary other = *first;
  other.model = "other";
  const std::vector<StudySummary> both = {*first, other};
  EXPECT_EQ(MakeReport(both, false).status().code(), StatusCode::kMismatch);
  const auto grouped = MakeReport(both, true);
  ASSERT_TRUE(grouped.ok());
  EXPECT_NE(RenderPage(*grouped)->find("(model other)"), std::string::npos);
  Finish(plan_.runs[1], {{"bits_per_token", 3}, {"perplexity", 4}}, "another");
  const Status mixed = Summarize().status();
  EXPECT_EQ(mixed.code(), StatusCode::kMismatch);
  EXPECT_NE(mixed.message().find(plan_.runs[1].name), std::string::npos) << mixed.message();
}

TEST_F(StudySummaryTest, RejectsTextsThatWereChanged) {
  AddCurve("paper", 1, 1);
  ASSERT_TRUE(Summarize().ok());
  Finish(plan_.runs[1], {{"bits_per_token", 3}, {"perplexity", 4}}, "abcdef0123456789", "5678");
  const Status mixed = Summarize().status();
  EXPECT_EQ(mixed.code(), StatusCode::kMismatch);
  for (const std::string& part : {std::string("report-text"), plan_.runs[0].name, plan_.runs[1].name})
    EXPECT_NE(mixed.message().find(part), std::string::npos) << mixed.message();
}

// A candidate that failed and was tried again may win after others were trained with the second best.
TEST_F(StudySummaryTest, RejectsPointsOfAnotherChoice) {
  StudyChoice choice{.name = "lr", .setting = "learning rate", .lambda = 1, .distortion = "kl_nats", .candidates = {}};
  for (const char* rate : {"0.1", "0.2"}) {
    StudyRun run = LearnedRun(std::string("tune-") + rate);
    run.labels.role = RunRole::kTuning;
    plan_.runs.push_back(run);
    choice.candidates.emplace_back(rate, run.name);
    Finish(run, {{"bits_per_token", rate[2] - '0'}, {"kl_nats", 1}});
  }
  plan_.choices = {choice};
  for (const char* made : {"0.1", "0.2"}) {
    StudyRun run = LearnedRun(std::string("point-") + made);
    run.train.push_back("{choice:lr}");
    plan_.runs.push_back(run);
    choices_["lr"] = made;
    Finish(run, {{"bits_per_token", 3}, {"perplexity", 4}});
  }
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  EXPECT_TRUE(summary->runs[2].done());
  EXPECT_EQ(summary->runs[3].status, "other inputs");
  EXPECT_NE(summary->runs[3].reason.find("0.2 when it was made, now 0.1"), std::string::npos)
      << summary->runs[3].reason;
}

// One seed that is left is not a codec without seeds: it has one partner, or none.
TEST_F(StudySummaryTest, RejectsSeedsWithoutPartner) {
  for (uint64_t seed = 1; seed <= 3; ++seed) AddCurve("paper", seed, 1 + 0.01 * static_cast<double>(seed));
  AddCurve("fourier", 2, 1.5);
  AddCurve("direct", 4, 1.5);
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  ASSERT_EQ(summary->bd_rates.size(), 2U);
  ASSERT_TRUE(summary->bd_rates[0].pchip.has_value());
  EXPECT_NEAR(summary->bd_rates[0].pchip->percent, 100 * (1.5 / 1.02 - 1), 1e-6);
  EXPECT_FALSE(summary->bd_rates[0].pchip->interval.has_value());
  EXPECT_FALSE(summary->bd_rates[1].pchip.has_value());
  EXPECT_NE(summary->bd_rates[1].pchip_reason.find("no seed"), std::string::npos);
}

TEST_F(StudySummaryTest, RejectsHostileFiles) {
  AddCurve("paper", 1, 1);
  const auto write = [&](const std::string& file, const std::string& text) {
    Write("study/runs/" + plan_.runs[0].name + "/" + file, text);
    return Summarize().status().code();
  };
  EXPECT_EQ(write("eval.json", "{\"a\":" + std::string(100000, '[')), StatusCode::kCorrupt);
  EXPECT_EQ(write("run.json", R"({"inputs": [], "commands": {}, "model": ""})"), StatusCode::kCorrupt);
  EXPECT_EQ(write("run.json", std::string(100000, '[')), StatusCode::kCorrupt);
  Json record = Json::parse(Read("study/runs/" + plan_.runs[1].name + "/run.json"));
  record["inputs"]["version"] = 3;
  EXPECT_EQ(write("run.json", record.dump()), StatusCode::kCorrupt);
  Finish(plan_.runs[0], {{"bits_per_token", 3}, {"perplexity", 4}});
  EXPECT_EQ(write("failed.json", R"({"stage": "train", "message": 1})"), StatusCode::kCorrupt);
  std::filesystem::remove(Path("study/runs/" + plan_.runs[0].name + "/failed.json"));
  Json json = plan_.ToJson();
  json["command"] = 3;
  Write("study/study.json", json.dump());
  EXPECT_EQ(SummarizeStudy(Path("study")).status().code(), StatusCode::kCorrupt);
}

TEST_F(StudySummaryTest, RejectsReportWithoutResults) {
  AddPoint("paper", 1e-4, 1, 0, 0);
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(MakeReport({&*summary, 1}, false).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeReport({}, false).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(SummarizeStudy(Path("nowhere")).status().code(), StatusCode::kIo);
}

TEST_F(StudySummaryTest, MatchesNotesAndCommandsOfThePage) {
  AddCurve("paper", 1, 1);
  StudyRun plain = PlainRun("fp16");
  plan_.runs.push_back(plain);
  Finish(plain, {{"bits_per_token", 1024}, {"perplexity", 3.9}});
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  const auto content = MakeReport({&*summary, 1}, false);
  ASSERT_TRUE(content.ok());
  const auto& plot = std::get<PlotBlock>(content->blocks.front());
  ASSERT_EQ(plot.series.size(), 2U);
  EXPECT_NE(plot.series[0].notes.at(0).find("seed 1"), std::string::npos);
  EXPECT_NE(plot.series[0].notes.at(0).find("sluice train --out paper"), std::string::npos);
  EXPECT_EQ(plot.series[1].labels.at(0), "fp16");
  EXPECT_EQ(plot.references.size(), 1U);
  EXPECT_EQ(content->machine.at(0).second, "abacus");
  EXPECT_EQ(content->command, "sluice study test");
}

TEST_F(StudySummaryTest, MatchesTheTimesOfCompressorsOnTheSameIntegers) {
  plan_.study = "time";
  AddPoint("paper", 1e-4, 1, 0, 0);
  const Json rival = {{"method", "deflate:6"},
                      {"packing", "int32, one token at a time"},
                      {"bits_per_token", 500},
                      {"encode_us_per_token", 8},
                      {"decode_us_per_token", 2}};
  Json timing = {
      {"tokens", 64}, {"threads", 1}, {"bits_per_token", 160}, {"encode_us_per_token", 16}, {"decode_us_per_token", 9}};
  const Json before = timing;  // as eval wrote it when it did not time them
  timing["same_integers"] = Json::array({rival});
  Finish(plan_.runs[0], {{"bits_per_token", 160}, {"perplexity", 4}, {"timing", Json::array({before, timing})}});
  const auto summary = Summarize();
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  const auto content = MakeReport({&*summary, 1}, false);
  ASSERT_TRUE(content.ok()) << content.status().ToString();
  std::vector<std::vector<std::string>> rows;
  for (const PageBlock& block : content->blocks) {
    const auto* const table = std::get_if<TableBlock>(&block);
    if (table != nullptr && table->title.find("same integers") != std::string::npos) rows = table->rows;
  }
  EXPECT_EQ(rows, (std::vector<std::vector<std::string>>{
                      {"paper", "64", "1", "deflate:6, int32, one token at a time", "500.0", "8.00", "2.00", "2.50"}}));
}

TEST(BreakEvenTest, MatchesItsFormula) {
  const CodecTiming raw{.tokens = 64, .threads = 1, .bits_per_token = 1024, .encode_us = 1, .decode_us = 1};
  CodecTiming codec{.tokens = 64, .threads = 1, .bits_per_token = 24, .encode_us = 60, .decode_us = 42};
  const auto within = [&](double from, double to) {
    const Bandwidths sooner = SoonerWithin(codec, raw);
    EXPECT_NEAR(sooner.from, from, 1e-3);
    EXPECT_TRUE(sooner.to == to || std::fabs(sooner.to - to) < 1e-3) << sooner.to;
  };
  within(0, 1000 / 100e-6);  // slower and smaller
  codec.encode_us = codec.decode_us = 0.5;
  within(0, HUGE_VAL);  // faster and smaller
  codec.bits_per_token = 2024;
  within(1000 / 1e-6, HUGE_VAL);  // faster and larger
  codec.encode_us = 60;
  within(0, 0);  // slower and larger
  codec = raw;
  within(0, 0);
}

}  // namespace
}  // namespace sluice
