// How two threads in one process compare with two processes, on the same work in the same run: what they lose is lost
// to locks, shared cache lines and the allocator, which is the program's to mend; what two processes lose is the
// machine's.
//
// A unit of work is one stream: Gaussian symbols through the entropy coder, and a chunk of hidden states through a
// plain codec and the archive's coder, there and back; or, with --codec, 256 tokens of width 768 through one pack that
// all workers share. Turns of threads and of processes follow each other closely, so
// that other load on the machine meets both, and the median of the turns' ratios counts. Work is also given for each
// second of processor time, which other load hardly touches (but which does not see a thread that waits).
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "codec/activation_coder.h"
#include "codec/pack_stream.h"
#include "format/dtype.h"
#include "measuring.h"
#include "plain/plain_codec.h"
#include "preset_sample.h"
#include "prob/gaussian_tables.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"

namespace sluice {
namespace {

constexpr size_t kTokens = 64;
constexpr size_t kWidth = 256;

using Work = std::function<bool()>;

struct Shared {
  GaussianTables tables = *GaussianTables::Create(12, 8);
  std::unique_ptr<HiddenCodec> codec = std::move(*MakePlainCodec("q80"));
  Matrix<float> hidden{kTokens, kWidth};
  std::vector<uint8_t> halves;
  std::vector<int32_t> symbols;

  Shared() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& value : hidden.View().all()) {
      value = normal(random);
      symbols.push_back(static_cast<int32_t>(4 * value));
    }
    halves = *FromFloats(hidden.View().all(), DType::kF16);
  }
};

bool CodeSymbols(const Shared& shared) {
  RansEncoder encoder = *RansEncoder::Create(8, 12);
  for (size_t i = 0; i < shared.symbols.size(); ++i) {
    EncodeGaussian(shared.tables, shared.symbols[i], static_cast<int32_t>(i % 16), 40, encoder);
  }
  const std::vector<uint8_t> bytes = encoder.Finish();
  RansDecoder decoder = *RansDecoder::Create(bytes, 8, 12);
  for (size_t i = 0; i < shared.symbols.size(); ++i) {
    if (DecodeGaussian(shared.tables, static_cast<int32_t>(i % 16), 40, decoder) != shared.symbols[i]) return false;
  }
  return decoder.Finish().ok();
}

bool CodeHidden(const Shared& shared) {
  const auto payload = shared.codec->Encode(shared.hidden.View());
  if (!payload.ok() || !shared.codec->Decode(*payload, kTokens, kWidth).ok()) return false;
  const auto chunk = EncodeActivations(shared.halves, DType::kF16, kTokens, kWidth, {});
  if (!chunk.ok()) return false;
  const auto back = DecodeActivations(*chunk, DType::kF16, kTokens, kWidth, {});
  return back.ok() && *back == shared.halves;
}

/// Of the parts that need no training. What it shares is read only.
Work MixedWork() {
  return [shared = std::make_shared<Shared>()] { return CodeSymbols(*shared) && CodeHidden(*shared); };
}

Work PackWork(const std::string& preset) {
  constexpr size_t kPackWidth = 768, kPackTokens = 256;
  const auto bytes = PresetSample(preset, kPackWidth).Make();
  const std::shared_ptr<const PackCodec> codec = *PackCodec::Make(*Pack::FromBytes(bytes));
  HiddenStates hidden;
  hidden.values = Matrix<float>(kPackTokens, kPackWidth);
  hidden.tokens = kPackTokens;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  for (float& value : hidden.values.View().all()) value = normal(random);
  return [codec, hidden] {
    StreamWriter writer = *StreamWriter::ToMemory(codec->Header(DType::kF32));
    if (!EncodeHidden(*codec, hidden, kPackTokens, writer).ok() || !writer.Finish().ok()) return false;
    return DecodeHidden(*codec, writer.Take()).ok();
  };
}

void WorkUntil(const Work& work, Clock::time_point end, std::atomic<uint64_t>& units) {
  while (Clock::now() < end) {
    if (!work()) std::abort();
    units.fetch_add(1, std::memory_order_relaxed);
  }
}

struct Turn {
  double units_per_second = 0;
  double units_per_cpu_second = 0;
};

double CpuSeconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

template <typename Run>
Turn Measure(double seconds, int who, std::atomic<uint64_t>& units, const Run& run) {
  units = 0;
  const double cpu = CpuSeconds(who);
  const auto begin = Clock::now();
  run(begin + DurationOf(seconds));
  const double passed = SecondsSince(begin);
  const auto done = static_cast<double>(units.load());
  return {done / passed, done / std::max(CpuSeconds(who) - cpu, 1e-9)};
}

Turn RunThreads(const Work& work, int workers, double seconds, std::atomic<uint64_t>& units) {
  return Measure(seconds, RUSAGE_SELF, units, [&](Clock::time_point end) {
    std::vector<std::thread> threads;
    for (int i = 0; i < workers; ++i) threads.emplace_back([&] { WorkUntil(work, end, units); });
    for (std::thread& thread : threads) thread.join();
  });
}

Turn RunProcesses(const Work& work, int workers, double seconds, std::atomic<uint64_t>& units) {
  return Measure(seconds, RUSAGE_CHILDREN, units, [&](Clock::time_point end) {
    for (int i = 0; i < workers; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        // In a thread here too: the C library's allocator treats a process's first thread differently.
        std::thread([&] { WorkUntil(work, end, units); }).join();
        _exit(0);
      }
    }
    for (int i = 0, status = 0; i < workers; ++i) {
      if (wait(&status) < 0 || status != 0) std::abort();
    }
  });
}

nlohmann::ordered_json Compare(const Work& work, int workers, int turns, double seconds) {
  // Counted in memory that forked processes share.
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) std::abort();
  auto& units = *new (page) std::atomic<uint64_t>(0);
  std::vector<double> one, threads, processes, ratios, cpu_ratios;
  for (int turn = 0; turn < turns; ++turn) {
    const Turn alone = RunThreads(work, 1, seconds, units);
    const Turn together = RunThreads(work, workers, seconds, units);
    const Turn apart = RunProcesses(work, workers, seconds, units);
    one.push_back(alone.units_per_second);
    threads.push_back(together.units_per_second);
    processes.push_back(apart.units_per_second);
    ratios.push_back(together.units_per_second / apart.units_per_second);
    cpu_ratios.push_back(together.units_per_cpu_second / apart.units_per_cpu_second);
  }
  return {{"workers", workers},
          {"turns", turns},
          {"seconds_a_turn", seconds},
          {"load_average", LoadAverage()},
          {"one_thread", Median(one)},
          {"threads", Median(threads)},
          {"processes", Median(processes)},
          {"threads_over_processes", Median(ratios)},
          {"threads_over_processes_by_processor_time", Median(cpu_ratios)}};
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  CLI::App app("Two threads in one process against two processes, streams a second.");
  int workers = 2;
  int turns = 9;
  double seconds = 1;
  bool as_json = false;
  std::string codec;
  app.add_option("--workers", workers, "threads, and processes")->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--turns", turns, "turns of each, of which the median counts")->check(CLI::Range(1, 1000));
  app.add_option("--seconds", seconds, "length of a turn")->check(CLI::Range(0.01, 60.0));
  app.add_option("--codec", codec, "work with a pack of this preset's size")->check(CLI::IsMember({"sluice", "fast"}));
  app.add_flag("--json", as_json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  const auto work = codec.empty() ? sluice::MixedWork() : sluice::PackWork(codec);
  const auto result = sluice::Compare(work, workers, turns, seconds);
  if (as_json) {
    std::printf("%s\n", result.dump(2).c_str());
    return 0;
  }
  for (const auto& [name, value] : result.items()) std::printf("%-42s %10.3f\n", name.c_str(), value.get<double>());
  return 0;
}
