#include "train/metrics_log.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/bytes.h"
#include "base/file.h"
#include "event.pb.h"
#include "format/temporary_folder.h"

namespace sluice {
namespace {

// CRC-32C by table, to check the records against something written another way.
uint32_t Crc32c(std::string_view bytes) {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[i] = c;
  }
  uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<uint8_t>(byte)) & 0xFF] ^ (crc >> 8);
  return crc ^ 0xFFFFFFFFu;
}

uint32_t Masked(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

// Every record of every event file of a folder, as TensorBoard reads them.
std::vector<tensorboard::Event> ReadEvents(const std::filesystem::path& folder) {
  std::vector<tensorboard::Event> events;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().filename().string().find("tfevents") == std::string::npos) continue;
    const std::string all = ReadFile(entry.path()).value();
    std::string_view rest = all;
    while (!rest.empty()) {
      EXPECT_GE(rest.size(), 16u);
      const auto length = LoadLe<uint64_t>(rest.data());
      EXPECT_EQ(LoadLe<uint32_t>(rest.data() + 8), Masked(rest.substr(0, 8)));
      EXPECT_GE(rest.size(), 16 + length);
      const std::string_view payload = rest.substr(12, length);
      EXPECT_EQ(LoadLe<uint32_t>(rest.data() + 12 + length), Masked(payload));
      tensorboard::Event event;
      EXPECT_TRUE(event.ParseFromArray(payload.data(), static_cast<int>(payload.size())));
      events.push_back(event);
      rest.remove_prefix(16 + length);
    }
  }
  return events;
}

std::vector<int64_t> Steps(const std::filesystem::path& folder) {
  std::vector<int64_t> steps;
  const auto read = ReadMetrics(folder);
  EXPECT_TRUE(read.ok()) << read.status().ToString();
  for (const auto& [step, metrics] : *read) steps.push_back(step);
  return steps;
}

TEST(MetricsLogTest, MatchesTheCheckValueOfCrc32c) { EXPECT_EQ(Crc32c("123456789"), 0xE3069283u); }

TEST(MetricsLogTest, RoundTripsAsJsonLinesAndTensorBoard) {
  TemporaryFolder folder;
  {
    auto log = MetricsLog::Open(folder / "run", 0);
    ASSERT_TRUE(log.ok()) << log.status().ToString();
    ASSERT_TRUE(log->Write(1, {{"loss", 0.1}, {"bits", 150.25}}).ok());
    ASSERT_TRUE(log->Write(20, {{"loss", 1e-30}, {"bits", std::nan("")}}).ok());
  }
  const auto read = ReadMetrics(folder / "run");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0], (std::pair<int64_t, Metrics>{1, {{"loss", 0.1}, {"bits", 150.25}}}));
  EXPECT_EQ((*read)[1], (std::pair<int64_t, Metrics>{20, {{"loss", 1e-30}}})) << "NaN is null in JSON";
  EXPECT_TRUE(std::isnan(MetricValue((*read)[1].second, "bits")));

  const auto events = ReadEvents(folder / "run");
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].step(), 1);
  ASSERT_EQ(events[1].summary().value_size(), 2);
  EXPECT_EQ(events[1].summary().value(0).tag(), "loss");
  EXPECT_FLOAT_EQ(events[1].summary().value(0).simple_value(), 0.1f);
  EXPECT_EQ(events[2].summary().value(1).tag(), "bits");
  EXPECT_TRUE(std::isnan(events[2].summary().value(1).simple_value()));
  EXPECT_GT(events[2].wall_time(), 1.6e9);
}

TEST(MetricsLogTest, MatchesTheCheckpointAfterResuming) {
  TemporaryFolder folder;
  {
    auto log = MetricsLog::Open(folder.path(), 0);
    ASSERT_TRUE(log.ok());
    for (int64_t step = 10; step <= 50; step += 10) ASSERT_TRUE(log->Write(step, {{"loss", 1.0}}).ok());
  }
  {
    auto log = MetricsLog::Open(folder.path(), 30);
    ASSERT_TRUE(log.ok());
    EXPECT_EQ(Steps(folder.path()), (std::vector<int64_t>{10, 20, 30}));
    ASSERT_TRUE(log->Write(40, {{"loss", 2.0}}).ok());
  }
  EXPECT_EQ(Steps(folder.path()), (std::vector<int64_t>{10, 20, 30, 40}));
  ASSERT_TRUE(MetricsLog::Open(folder.path(), 0).ok());
  EXPECT_EQ(Steps(folder.path()), (std::vector<int64_t>{})) << "nothing was saved: start over";
}

TEST(MetricsLogTest, RegressesATornOrStrangeLastLine) {
  for (const char* torn : {"{\"step\":30,\"lo", "{\"step\":\"x\"}\n", "nonsense\n", "{\"step\":2.5e9,"}) {
    TemporaryFolder folder;
    const std::string lines = std::string("{\"step\":10,\"loss\":1.0}\n{\"step\":20,\"loss\":0.5}\n") + torn;
    ASSERT_TRUE(WriteFileAtomic(folder / "metrics.jsonl", std::string_view(lines)).ok());
    auto log = MetricsLog::Open(folder.path(), 40);
    ASSERT_TRUE(log.ok()) << log.status().ToString();
    ASSERT_TRUE(log->Write(30, {{"loss", 0.25}}).ok());
    EXPECT_EQ(Steps(folder.path()), (std::vector<int64_t>{10, 20, 30})) << torn;
  }
}

TEST(MetricsLogTest, RejectsWhatIsNotALog) {
  TemporaryFolder folder;
  EXPECT_EQ(ReadMetrics(folder.path()).status().code(), StatusCode::kIo);
  ASSERT_TRUE(WriteFileAtomic(folder / "metrics.jsonl", std::string_view("{\"step\":1}\n{\"loss\":1}\n")).ok());
  const auto read = ReadMetrics(folder.path());
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), StatusCode::kCorrupt);
  EXPECT_NE(read.status().message().find("line 2"), std::string::npos) << read.status().message();
  ASSERT_TRUE(WriteFileAtomic(folder / "file", std::string_view("x")).ok());
  EXPECT_EQ(MetricsLog::Open(folder / "file", 0).status().code(), StatusCode::kIo);
}

}  // namespace
}  // namespace sluice
