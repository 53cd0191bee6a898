#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

namespace sluice {
namespace {

constexpr int kBarWidth = 24;
std::atomic<bool> silent{false};

}  // namespace

std::string FormatDuration(double seconds) {
  const auto total = static_cast<int64_t>(seconds + 0.5);
  if (total < 60) return fmt::format("{} s", total);
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

ProgressBar::ProgressBar(std::string label, uint64_t total, uint64_t done)
    : label_(std::move(label)),
      total_(std::max<uint64_t>(total, 1)),
      first_(done),
      done_(done),
      terminal_(::isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (silent || (drawn_ == Clock::time_point{} && !dirty_)) return;
  Draw();
  if (terminal_) std::fputc('\n', stderr);
}

void ProgressBar::Silence() { silent = true; }

void ProgressBar::Update(uint64_t done, std::string_view note) {
  done_ = std::min(done, total_);
  note_ = note;
  dirty_ = true;
  const auto interval = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
  if (silent || Clock::now() - std::max(drawn_, start_) < interval) return;
  Draw();
}

void ProgressBar::Draw() {
  drawn_ = Clock::now();
  dirty_ = false;
  const double fraction = static_cast<double>(done_) / static_cast<double>(total_);
  const double elapsed = std::chrono::duration<double>(drawn_ - start_).count();
  const uint64_t advanced = done_ - first_;
  const std::string time =
      done_ >= total_ || advanced == 0
          ? FormatDuration(elapsed)
          : FormatDuration(elapsed * static_cast<double>(total_ - done_) / static_cast<double>(advanced)) + " left";
  const int filled = static_cast<int>(fraction * kBarWidth);
  std::string bar(static_cast<size_t>(filled), '#');
  bar.resize(kBarWidth, '.');
  fmt::print(stderr, "{}{} [{}] {:5.1f} %  {}  {}{}", terminal_ ? "\r" : "", label_, bar, 100 * fraction, note_, time,
             terminal_ ? "\033[K" : "\n");
  std::fflush(stderr);
}

}  // namespace sluice
