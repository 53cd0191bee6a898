#include "cli/metrics_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr std::string_view kText =
    "# HELP sluice_frames_total Frames.\n"
    "sluice_frames_total{link=\"a\\\\b\\\"c:7\",codec=\"fp16\",phase=\"prefill\",dir=\"sent\"} 4\n"
    "sluice_tokens_total{link=\"a\\\\b\\\"c:7\",codec=\"fp16\",phase=\"prefill\",dir=\"sent\"} 256\n"
    "sluice_raw_bytes_total{link=\"a\\\\b\\\"c:7\",codec=\"fp16\",phase=\"prefill\",dir=\"sent\"} 8000\n"
    "sluice_wire_bytes_total{link=\"a\\\\b\\\"c:7\",codec=\"fp16\",phase=\"prefill\",dir=\"sent\"} 2000\n"
    "sluice_encode_seconds_total{link=\"a\\\\b\\\"c:7\",codec=\"fp16\",phase=\"prefill\"} 0.5\n"
    "sluice_rtt_seconds_sum{link=\"a\\\\b\\\"c:7\",phase=\"prefill\"} 0.2\n"
    "sluice_rtt_seconds_count{link=\"a\\\\b\\\"c:7\",phase=\"prefill\"} 4\n"
    "sluice_sessions 1\n"
    "sluice_sessions_total 3\n"
    "sluice_bypass_total{link=\"a\",reason=\"values\"} 2\n";

TEST(MetricsTextTest, MatchesTheTotalsOfOneReading) {
  const auto now = ParseMetrics(kText);
  ASSERT_TRUE(now.ok()) << now.status().ToString();
  EXPECT_EQ(now->front().labels.at("link"), "a\\b\"c:7");
  const std::string table = LinkTable({}, *now, 0);
  for (const char* part : {"a\\b\"c:7", "256.0", "2.00", "4.00", "125.000", "50.00", "1 now, 3 in all", "values 2"}) {
    EXPECT_NE(table.find(part), std::string::npos) << part << "\n" << table;
  }
}

TEST(MetricsTextTest, MatchesTheSumsAsJson) {
  const auto now = ParseMetrics(kText);
  ASSERT_TRUE(now.ok()) << now.status().ToString();
  const nlohmann::ordered_json node = NodeJson(*now), &link = node["links"][0];
  EXPECT_EQ(link["tokens"], 256);
  EXPECT_EQ(link["wire_bytes"], 2000);
  EXPECT_EQ(link["ratio"], 4);
  EXPECT_EQ(link["codec_ms"], 125);
  EXPECT_EQ(link["rtt_ms"], 50);
  EXPECT_EQ(node["sessions"], 3);
  EXPECT_EQ(node["bypassed"]["values"], 2);
  EXPECT_TRUE(node["errors"].empty());
}

TEST(MetricsTextTest, MatchesTheRatesBetweenTwoReadings) {
  const auto before = ParseMetrics(kText);
  auto now = *before;
  for (MetricSample& sample : now) {
    if (sample.name == "sluice_tokens_total") sample.value += 50;
  }
  const std::string table = LinkTable(*before, now, 2);
  EXPECT_NE(table.find("tokens/s"), std::string::npos);
  EXPECT_NE(table.find("25.0"), std::string::npos) << table;
}

TEST(MetricsTextTest, RejectsWhatIsNoMetric) {
  for (const char* text : {"x\n", "x{a=\"b\" 1\n", "x{a=\"b\"}1\n", "x nan7\n", "{} 1\n", "x{a} 1\n", "x{a=\"b\\"}) {
    EXPECT_EQ(ParseMetrics(text).status().code(), StatusCode::kCorrupt) << text;
  }
  EXPECT_TRUE(ParseMetrics("").ok());
}

}  // namespace
}  // namespace sluice
