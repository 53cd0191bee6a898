#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "backbone/torch_setup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "cli/torch/network.h"
#include "cli/torch/torch_stage.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"
#include "wire/node_server.h"

namespace sluice {
namespace {

constexpr auto kPollTime = std::chrono::milliseconds(20);
constexpr auto kMetricsTime = std::chrono::seconds(5);
constexpr uint64_t kMebibyte = 1 << 20;

struct ServeOptions {
  std::filesystem::path model;
  std::string layers;
  std::vector<std::string> codecs;
  std::string next_codec;
  NetworkOptions network;
  NodeOptions node;
  uint64_t memory_mib = 4096;
  double drain_seconds = 30;
  std::filesystem::path metrics;
  int threads = 0;
};

void AddLimits(CLI::App& app, ServeOptions& options) {
  WireLimits& limits = options.node.limits;
  const std::string group = "Limits";
  app.add_option("--sessions", limits.sessions, "Most sessions at once")->check(CLI::Range(1, 4096))->group(group);
  app.add_option("--memory-mib", options.memory_mib, "Memory for keys and values of all sessions")
      ->check(CLI::Range(1, 1 << 30))
      ->group(group);
  app.add_option("--max-positions", limits.positions, "Most positions of a session; 0: the context")->group(group);
  app.add_option("--max-chunk", limits.chunk_tokens, "Most tokens in one frame")
      ->check(CLI::Range(1, 1 << 20))
      ->group(group);
  app.add_option("--window", limits.window, "Frames of a session in flight")->check(CLI::Range(1, 64))->group(group);
  AddSeconds(app, "--handshake-seconds", limits.handshake_seconds, "To connect and say Hello")->group(group);
  AddSeconds(app, "--idle-seconds", limits.idle_seconds, "Between the frames of a session")->group(group);
  AddSeconds(app, "--session-seconds", limits.session_seconds, "For a whole session")->group(group);
  AddSeconds(app, "--drain-seconds", options.drain_seconds, "For running sessions after SIGTERM",
             CLI::NonNegativeNumber)
      ->group(group);
  AddSeconds(app, "--stall-seconds", options.node.patience.stall_seconds, "For an answer of the next node")
      ->group(group);
}

/// Until the user or the system asks to stop. Metrics that cannot be written end no session: it is said once.
void WaitForEnd(const WireMetrics& metrics, const std::filesystem::path& file, const WireLog& log) {
  auto written = Clock::now() - kMetricsTime;
  bool told = false;
  while (!InterruptRequested()) {
    std::this_thread::sleep_for(kPollTime);
    if (file.empty() || Clock::now() - written < kMetricsTime) continue;
    const Status status = WriteFileAtomic(file, std::string_view(metrics.Text()));
    if (!status.ok() && !told) log.Event(LogLevel::kWarning, "metrics not written", {{"error", status.ToString()}});
    told = !status.ok();
    written = Clock::now();
  }
}

Status Serve(ServeOptions options, Verb& verb) {
  SLUICE_ASSIGN_OR_RETURN(const LayerRange range, ParseLayers(options.layers));
  SLUICE_ASSIGN_OR_RETURN(options.node.trust, TrustOf(options.network));
  SLUICE_ASSIGN_OR_RETURN(const auto stage, TorchStage::Load(options.model, range));
  const StageInfo& info = stage->info();
  std::vector<std::unique_ptr<LinkCodec>> codecs;
  for (const std::string& spec : options.codecs) {
    SLUICE_ASSIGN_OR_RETURN(auto codec, OpenAnyLinkCodec(spec, info, info.begin));
    codecs.push_back(std::move(codec));
  }
  std::unique_ptr<LinkCodec> first = std::move(codecs.front());
  codecs.erase(codecs.begin());
  std::unique_ptr<LinkCodec> next_codec;
  if (!options.node.next.empty() && !info.tail()) {
    const std::string& spec = options.next_codec.empty() ? options.codecs.front() : options.next_codec;
    SLUICE_ASSIGN_OR_RETURN(next_codec, OpenAnyLinkCodec(spec, info, info.end));
  }
  const std::string layers = fmt::format("{}:{}", info.begin, info.end);
  options.node.name = options.network.name.empty() ? "layers " + layers : options.network.name;
  options.node.limits.state_bytes = options.memory_mib * kMebibyte;
  const WireLog log = LogOf(options.network, options.node.name);
  WireMetrics metrics;
  StageQueue queue(*stage);
  SLUICE_ASSIGN_OR_RETURN(const auto server, NodeServer::Start(*stage, queue, std::move(first), std::move(next_codec),
                                                               options.node, metrics, log, std::move(codecs)));
  const std::string names = fmt::format("{}", fmt::join(options.codecs, ","));
  const char* trust = options.node.trust.certificate.empty() ? "no keys: not encrypted" : "TLS 1.3, certificates";
  verb.Print({{"listening", server->address()}, {"layers", layers}, {"codec", names}, {"trust", trust}},
             fmt::format("listening on {}: layers {} of {}, codec {}, {}\n", server->address(), layers, info.total,
                         names, trust));
  std::fflush(stdout);
  WaitForEnd(metrics, options.metrics, log);
  log.Event(LogLevel::kInfo, "draining", {{"sessions", server->sessions()}, {"seconds", options.drain_seconds}});
  const bool finished = server->Drain(options.drain_seconds);
  log.Event(finished ? LogLevel::kInfo : LogLevel::kWarning, "stopped", {{"all_finished", finished}});
  if (options.metrics.empty()) return OkStatus();
  return WriteFileAtomic(options.metrics, std::string_view(metrics.Text()));
}

}  // namespace

int RunServe(int argc, char** argv) {
  Verb verb("serve", "Run some layers of a model for others: the end of a chain of devices, or a part in its middle.",
            "  sluice serve -m models/default --layers 3: --codec fp16 --listen 127.0.0.1:7070          # tail\n"
            "  sluice serve -m models/default --layers 2:3 --codec fp16 --listen 127.0.0.1:7071 \\\n"
            "      --next 127.0.0.1:7070                                                               # relay\n"
            "  sluice generate -m models/default --layers :2 --codec fp16 --connect 127.0.0.1:7071 -p 'ROMEO:'\n"
            "SIGTERM lets running sessions finish. docs/serving.md has keys, limits and errors.\n");
  ServeOptions options;
  options.node.listen = "127.0.0.1:7070";
  options.network.log_level = "info";
  CLI::App& app = verb.app();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR")->required();
  app.add_option("--layers", options.layers, "Layers of this node: I:J without J, or I: to the end")->required();
  app.add_option("--codec", options.codecs,
                 "Codecs of the link that comes in, among which a head may choose: folders, packs or names")
      ->type_name("CODEC")
      ->delimiter(',')
      ->required();
  app.add_option("--listen", options.node.listen, "HOST:PORT; port 0: any; without keys loopback only");
  app.add_option("--next", options.node.next, "HOST:PORT of the node behind this one");
  app.add_option("--next-codec", options.next_codec, "Codec of the link to it; the same as --codec when not given")
      ->type_name("CODEC");
  app.add_option("--metrics-file", options.metrics, "Prometheus text, written every 5 s and at the end")
      ->type_name("FILE");
  app.add_option("-t,--threads", options.threads, "Threads; 0: all cores")->check(CLI::Range(0, 255));
  AddNetworkOptions(app, options.network);
  AddLimits(app, options);
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_RETURN_IF_ERROR(InitTorch(options.threads));
    CatchInterrupts();
    return CatchTorch([&] { return Serve(options, verb); });
  });
}

}  // namespace sluice
