// Many sessions at once, again and again, for as long as it is asked: what a chain carries, how long a token takes, and
// whether memory stays where it is. Without --connect the same sessions run with both halves in this process, each
// half with the one thread that a node would have, and the codec's bytes between them: what the service costs is the
// difference.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "backbone/torch_setup.h"
#include "base/clock.h"
#include "base/interrupt.h"
#include "cli/torch/network.h"
#include "cli/torch/torch_stage.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"
#include "wire/head_session.h"

namespace sluice {
namespace {

struct LoadOptions {
  std::filesystem::path model;
  std::string layers, codec, connect;
  NetworkOptions network;
  int sessions = 8;
  double seconds = 30;
  uint32_t prompt_tokens = 64;
  uint64_t max_tokens = 32;
  uint32_t chunk = 64;
  int threads = 1;
};

double ResidentMib() {
  std::ifstream file("/proc/self/statm");
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

/// What all sessions together saw.
class Tally {
 public:
  void Add(const std::vector<double>& times) {
    const std::lock_guard<std::mutex> lock(mutex_);
    first_.push_back(times.front());
    for (size_t i = 1; i < times.size(); ++i) gaps_.push_back(times[i] - times[i - 1]);
    tokens_ += times.size();
  }
  nlohmann::ordered_json Report(double seconds) {
    return {{"requests", first_.size()},
            {"tokens", tokens_},
            {"seconds", seconds},
            {"tokens_per_second", static_cast<double>(tokens_) / seconds},
            {"first_token_ms", Percentiles(first_)},
            {"next_token_ms", Percentiles(gaps_)}};
  }

 private:
  static nlohmann::ordered_json Percentiles(std::vector<double>& seconds) {
    std::sort(seconds.begin(), seconds.end());
    nlohmann::ordered_json result;
    for (const int percent : {50, 95, 99}) {
      const size_t at = seconds.size() * static_cast<size_t>(percent) / 100;
      result["p" + std::to_string(percent)] = seconds.empty() ? 0 : 1e3 * seconds[std::min(at, seconds.size() - 1)];
    }
    return result;
  }

  std::mutex mutex_;
  std::vector<double> first_, gaps_;
  uint64_t tokens_ = 0;
};

/// Runs a request; gives the times of its tokens, from its start.
using Runner = std::function<Result<std::vector<double>>(const HeadRequest&)>;

/// Both halves here.
Result<std::vector<double>> RunHere(TorchStage& head, StageQueue& head_queue, TorchStage& tail, StageQueue& tail_queue,
                                    const LinkCodec& codec, const HeadRequest& request) {
  const auto start = Clock::now();
  const uint64_t positions = request.prompt.size() + request.max_new_tokens;
  SLUICE_ASSIGN_OR_RETURN(const auto head_state, head.NewState(positions));
  SLUICE_ASSIGN_OR_RETURN(const auto tail_state, tail.NewState(positions));
  SLUICE_ASSIGN_OR_RETURN(const auto sampler, tail.NewSampler(request.sampling));
  SLUICE_ASSIGN_OR_RETURN(LinkSender sender, LinkSender::Make(codec));
  LinkReceiver receiver(codec);
  const auto step = [&](std::span<const int64_t> tokens, bool sample) -> Result<StageResult> {
    StageJob job;
    job.state = head_state.get();
    job.tokens.assign(tokens.begin(), tokens.end());
    SLUICE_ASSIGN_OR_RETURN(const StageResult half, head_queue.Submit(std::move(job)).get());
    SLUICE_ASSIGN_OR_RETURN(const LinkFrame frame, sender.Push(half.hidden.View()));
    StageJob rest;
    rest.state = tail_state.get();
    SLUICE_ASSIGN_OR_RETURN(rest.hidden, receiver.Pull(frame));
    rest.sampler = sample ? sampler.get() : nullptr;
    return tail_queue.Submit(std::move(rest)).get();
  };
  Result<StageResult> last = Internal("an empty prompt");
  const std::span<const int64_t> prompt(request.prompt);
  for (size_t begin = 0; begin < prompt.size(); begin += request.chunk_tokens) {
    const size_t count = std::min<size_t>(request.chunk_tokens, prompt.size() - begin);
    last = step(prompt.subspan(begin, count), begin + count == prompt.size());
    SLUICE_RETURN_IF_ERROR(last.status());
  }
  std::vector<double> times = {SecondsSince(start)};
  while (times.size() < request.max_new_tokens) {
    const int64_t id = last->token->id;
    last = step({&id, 1}, true);
    SLUICE_RETURN_IF_ERROR(last.status());
    times.push_back(SecondsSince(start));
  }
  return times;
}

Result<std::vector<double>> RunConnected(Head& head, const HeadRequest& request) {
  const auto start = Clock::now();
  std::vector<double> times;
  SLUICE_RETURN_IF_ERROR(head.Generate(request,
                                       [&](const SampledToken&) {
                                         times.push_back(SecondsSince(start));
                                         return true;
                                       })
                             .status());
  return times;
}

HeadRequest RequestFor(const LoadOptions& options, int64_t vocabulary, uint64_t seed) {
  HeadRequest request;
  std::mt19937_64 random(seed);
  for (uint32_t i = 0; i < options.prompt_tokens; ++i) {
    request.prompt.push_back(static_cast<int64_t>(random() % static_cast<uint64_t>(vocabulary)));
  }
  request.sampling = {.temperature = 1, .top_k = 0, .top_p = 1, .seed = seed};
  request.max_new_tokens = options.max_tokens;
  request.chunk_tokens = options.chunk;
  request.give_up = &InterruptRequested;
  return request;
}

/// Every session asks anew as soon as it has its answer.
Status Load(const LoadOptions& options, int64_t vocabulary, const Runner& run, Verb& verb) {
  Tally tally;
  std::mutex mutex;
  Status failed;
  const auto start = Clock::now();
  std::vector<std::thread> sessions;
  for (int i = 0; i < options.sessions; ++i) {
    sessions.emplace_back([&, i] {
      for (uint64_t round = 0; SecondsSince(start) < options.seconds && !InterruptRequested(); ++round) {
        const auto seed = round * 4096 + static_cast<uint64_t>(i);
        const auto times = run(RequestFor(options, vocabulary, seed));
        if (times.ok() && !times->empty()) tally.Add(*times);
        if (times.ok()) continue;
        const std::lock_guard<std::mutex> lock(mutex);
        failed = times.status();
        return;
      }
    });
  }
  // Memory after a quarter of the time, when everything has been used once, and at the end.
  while (SecondsSince(start) < options.seconds / 4) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double early = ResidentMib();
  for (std::thread& session : sessions) session.join();
  SLUICE_RETURN_IF_ERROR(failed);
  nlohmann::ordered_json result = {{"sessions", options.sessions}};
  result.update(tally.Report(SecondsSince(start)));
  result["resident_mib_after_a_quarter"] = early;
  result["resident_mib"] = ResidentMib();
  const auto line = [&](const char* name) {
    return fmt::format("{:<13} p50 {:.2f} ms, p95 {:.2f} ms, p99 {:.2f} ms\n", name, result[name]["p50"].get<double>(),
                       result[name]["p95"].get<double>(), result[name]["p99"].get<double>());
  };
  verb.Print(result, fmt::format("{} sessions, {} tokens in {:.1f} s: {:.1f} tokens/s\n{}{}resident {:.1f} MiB, {:.1f} "
                                 "after a quarter of the time\n",
                                 options.sessions, result["tokens"].get<uint64_t>(), result["seconds"].get<double>(),
                                 result["tokens_per_second"].get<double>(), line("first_token_ms"),
                                 line("next_token_ms"), result["resident_mib"].get<double>(), early));
  return OkStatus();
}

Status Run(const LoadOptions& options, Verb& verb) {
  SLUICE_ASSIGN_OR_RETURN(const LayerRange range, ParseLayers(options.layers));
  if (range.begin != 0 || range.end < 0) {
    return InvalidArgument(fmt::format("layers '{}' are not those of a head; expected :K", options.layers));
  }
  SLUICE_ASSIGN_OR_RETURN(const auto stage, TorchStage::Load(options.model, range));
  SLUICE_ASSIGN_OR_RETURN(const auto codec, OpenAnyLinkCodec(options.codec, stage->info(), range.end));
  StageQueue queue(*stage);
  if (options.connect.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const auto tail, TorchStage::Load(options.model, {range.end, -1}));
    StageQueue tail_queue(*tail);
    return Load(
        options, stage->config().vocab,
        [&](const HeadRequest& request) { return RunHere(*stage, queue, *tail, tail_queue, *codec, request); }, verb);
  }
  SLUICE_ASSIGN_OR_RETURN(const TrustOptions trust, TrustOf(options.network));
  SLUICE_ASSIGN_OR_RETURN(const LinkPeer peer, LinkPeer::Make(options.connect, trust));
  const WireLog log = LogOf(options.network, options.network.name.empty() ? "head" : options.network.name);
  WireMetrics metrics;
  Head head(*stage, queue, *codec, peer, {}, /*retry_seconds=*/10, metrics, log);
  return Load(
      options, stage->config().vocab, [&](const HeadRequest& request) { return RunConnected(head, request); }, verb);
}

}  // namespace

int RunLoad(int argc, char** argv) {
  Verb verb(
      "load", "Put a chain of nodes under load: tokens a second, percentiles of latency, memory.",
      "  sluice load -m models/default --layers :3 --codec fp16 --connect 127.0.0.1:7070 --sessions 64 --seconds 180\n"
      "  sluice load -m models/default --layers :3 --codec fp16 --sessions 64    # both halves here: what to compare "
      "with\n");
  LoadOptions options;
  CLI::App& app = verb.app();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR")->required();
  app.add_option("--layers", options.layers, "Layers of this node, :K")->required();
  app.add_option("--codec", options.codec, "Codec of the link")->type_name("CODEC")->required();
  app.add_option("--connect", options.connect, "HOST:PORT of the next node; without it both halves run here");
  app.add_option("--sessions", options.sessions, "Sessions at once")->check(CLI::Range(1, 4096));
  app.add_option("--seconds", options.seconds, "For how long new requests are begun")->check(CLI::Range(0.1, 86400.0));
  app.add_option("--prompt-tokens", options.prompt_tokens, "Random tokens of each prompt")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("-n,--max-tokens", options.max_tokens, "New tokens of each request")->check(CLI::Range(1, 1 << 20));
  app.add_option("--chunk", options.chunk, "Tokens of the prompt in one piece")->check(CLI::Range(1, 1 << 20));
  app.add_option("-t,--threads", options.threads, "Threads of the model; 0: all cores")->check(CLI::Range(0, 255));
  AddNetworkOptions(app, options.network);
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_RETURN_IF_ERROR(InitTorch(options.threads));
    CatchInterrupts();
    return CatchTorch([&] { return Run(options, verb); });
  });
}

}  // namespace sluice
