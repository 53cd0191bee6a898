#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "backbone/torch_setup.h"
#include "base/interrupt.h"
#include "cli/torch/generate_run.h"
#include "cli/torch/local_model.h"
#include "cli/torch/network.h"
#include "cli/torch/torch_verbs.h"
#include "gateway/gateway.h"

namespace sluice {
namespace {

constexpr auto kPollTime = std::chrono::milliseconds(20);
constexpr size_t kKibibyte = 1 << 10;

struct GatewayVerbOptions {
  std::filesystem::path model;
  std::string model_name;
  std::string codec;
  std::string layers;
  std::string connect;
  std::string require;
  int64_t cut = -1;
  uint32_t chunk = kNetworkChunk;
  std::string chat_template = "auto";
  NetworkOptions network;
  GatewayOptions http;
  std::filesystem::path api_token_file;
  bool plain_http = false;
  size_t body_kib = 1024;
  double drain_seconds = 30;
  double retry_seconds = 30;
  double stall_seconds = 20;
  int threads = 0;
};

/// What a head stands on.
struct HeadParts {
  std::unique_ptr<TorchStage> stage;
  std::unique_ptr<LinkCodec> codec;
  std::optional<LinkPeer> peer;
  std::unique_ptr<StageQueue> queue;
};

Result<HeadParts> Connect(const GatewayVerbOptions& options, const TrustOptions& trust) {
  if (options.layers.empty() || options.codec.empty()) {
    return InvalidArgument("--connect needs --layers :K, the layers of this node, and --codec, that of the link");
  }
  SLUICE_ASSIGN_OR_RETURN(const LayerRange range, ParseLayers(options.layers));
  if (range.begin != 0 || range.end < 0) {
    return InvalidArgument(fmt::format("layers '{}' are not those of a head; expected :K", options.layers));
  }
  HeadParts parts;
  SLUICE_ASSIGN_OR_RETURN(LinkPeer peer, LinkPeer::Make(options.connect, trust));
  SLUICE_ASSIGN_OR_RETURN(parts.stage, TorchStage::Load(options.model, range));
  SLUICE_ASSIGN_OR_RETURN(parts.codec, OpenAnyLinkCodec(options.codec, parts.stage->info(), range.end));
  parts.peer.emplace(std::move(peer));
  parts.queue = std::make_unique<StageQueue>(*parts.stage);
  return parts;
}

std::string NameOf(const GatewayVerbOptions& options) {
  if (!options.model_name.empty()) return options.model_name;
  const std::filesystem::path folder = std::filesystem::absolute(options.model).lexically_normal();
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

GatewayModel ModelOf(const GatewayVerbOptions& options, const BackboneConfig& config, const Tokenizer& tokenizer,
                     const PromptEncoder& encoder, ContinuePrompt go_on) {
  return {.name = NameOf(options),
          .tokenizer = &tokenizer,
          .encoder = &encoder,
          .context = static_cast<uint64_t>(config.context),
          .vocabulary = config.vocab,
          .stop_tokens = config.eos,
          .chunk_tokens = options.chunk,
          .requirement = options.require,
          .go_on = std::move(go_on)};
}

/// Listens until the user or the system asks to stop.
Status ServeHttp(const GatewayModel& model, const GatewayVerbOptions& options, const WireMetrics& metrics,
                 const WireLog& log, Verb& verb) {
  SLUICE_ASSIGN_OR_RETURN(const auto gateway, Gateway::Start(model, options.http, metrics, log));
  const char* scheme = options.http.trust.certificate.empty() ? "http" : "https";
  const std::string url = fmt::format("{}://{}", scheme, gateway->address());
  const auto& chat = model.encoder->chat_template();
  const std::string chat_name = chat ? std::string(chat->name()) : "none";
  const char* token = options.http.token.empty() ? "no token" : "with a token";
  verb.Print({{"listening", gateway->address()}, {"url", url}, {"model", model.name}, {"chat_template", chat_name}},
             fmt::format("listening on {}/v1, {}: model '{}', chat template {}\n", url, token, model.name, chat_name));
  std::fflush(stdout);
  while (!InterruptRequested()) std::this_thread::sleep_for(kPollTime);
  log.Event(LogLevel::kInfo, "draining", {{"requests", gateway->active()}, {"seconds", options.drain_seconds}});
  const bool finished = gateway->Drain(options.drain_seconds);
  log.Event(finished ? LogLevel::kInfo : LogLevel::kWarning, "stopped", {{"all_finished", finished}});
  return OkStatus();
}

Status Run(GatewayVerbOptions options, Verb& verb) {
  SLUICE_ASSIGN_OR_RETURN(TrustOptions trust, TrustOf(options.network));
  SLUICE_ASSIGN_OR_RETURN(options.http.token, ReadApiToken(options.api_token_file));
  options.http.trust = trust;
  if (options.plain_http) {
    options.http.trust = TrustOptions();
    options.http.trust.plaintext = trust.plaintext;
  }
  options.http.limits.body_bytes = options.body_kib * kKibibyte;
  const WireLog log = LogOf(options.network, options.network.name.empty() ? "gateway" : options.network.name);
  SLUICE_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(options.model));
  SLUICE_ASSIGN_OR_RETURN(const PromptEncoder encoder,
                          PromptEncoder::Make(*tokenizer, options.model, options.chat_template));
  WireMetrics metrics;
  if (options.connect.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const auto local, LocalModel::Load(options.model, options.codec, options.cut, metrics));
    const GatewayModel model =
        ModelOf(options, local->config(), *tokenizer, encoder,
                [&](const auto& request, const auto& on_token) { return local->Continue(request, on_token); });
    return ServeHttp(model, options, metrics, log, verb);
  }
  SLUICE_ASSIGN_OR_RETURN(HeadParts parts, Connect(options, trust));
  Head head(*parts.stage, *parts.queue, *parts.codec, *parts.peer, {.stall_seconds = options.stall_seconds},
            options.retry_seconds, metrics, log);
  const GatewayModel model =
      ModelOf(options, parts.stage->config(), *tokenizer, encoder,
              [&](const auto& request, const auto& on_token) { return head.Generate(request, on_token); });
  return ServeHttp(model, options, metrics, log, verb);
}

void AddModelOptions(CLI::App& app, GatewayVerbOptions& options) {
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR")->required();
  app.add_option("--listen", options.http.listen, "HOST:PORT; port 0: any; loopback only without keys and a token");
  app.add_option("--model-name", options.model_name, "What requests call the model; the folder's name when not given");
  app.add_option("--chat-template", options.chat_template, "plain, chatml, llama2, or auto: the model's own")
      ->check(CLI::IsMember({"auto", "plain", "chatml", "llama2"}));
  app.add_option("--codec", options.codec, "Codec of the link, or of a cut in this process: a folder, a pack or a name")
      ->type_name("CODEC");
  auto* connect = app.add_option("--connect", options.connect, "HOST:PORT of the node that has the next layers");
  auto* layers = app.add_option("--layers", options.layers, "Layers of this node, :K");
  connect->needs(layers);
  layers->needs(connect);
  app.add_option("--cut", options.cut, "Without --connect: layers before the cut; -1: the codec's, or the middle")
      ->check(CLI::Range(-1, kMostLayers))
      ->excludes(connect);
  app.add_option("--require", options.require, "What the pack's certificate must say, like ppl<=1.03,top1>=0.97");
  app.add_option("--chunk", options.chunk, "Tokens of a prompt in one piece")->check(CLI::Range(1, 1 << 20));
  app.add_option("-t,--threads", options.threads, "Threads; 0: all cores")->check(CLI::Range(0, 255));
}

void AddLimits(CLI::App& app, GatewayVerbOptions& options) {
  const std::string group = "Limits";
  GatewayOptions& http = options.http;
  app.add_option("--sessions", http.sessions, "Most requests that generate at once")
      ->check(CLI::Range(1, 4096))
      ->group(group);
  app.add_option("--connections", http.connections, "Most clients at once")->check(CLI::Range(1, 4096))->group(group);
  app.add_option("--max-body-kib", options.body_kib, "Largest body of a request")
      ->check(CLI::Range(1, 1 << 18))
      ->group(group);
  app.add_option("--max-prompt-tokens", http.limits.prompt_tokens, "Of all prompts of a request; 0: the context")
      ->group(group);
  app.add_option("--max-new-tokens", http.limits.new_tokens, "Of one answer; 0: the context")->group(group);
  AddSeconds(app, "--session-seconds", http.limits.session_seconds, "For one answer")->group(group);
  AddSeconds(app, "--request-seconds", http.patience.request_seconds, "For a client to send its request")->group(group);
  AddSeconds(app, "--write-seconds", http.patience.write_seconds, "For a client to take a piece of its answer")
      ->group(group);
  AddSeconds(app, "--drain-seconds", options.drain_seconds, "For running requests after SIGTERM",
             CLI::NonNegativeNumber)
      ->group(group);
  AddSeconds(app, "--retry-seconds", options.retry_seconds, "Of trying again without progress after a node's fault",
             CLI::NonNegativeNumber)
      ->group(group);
  AddSeconds(app, "--stall-seconds", options.stall_seconds, "Without an answer, until the link counts as dead")
      ->group(group);
}

}  // namespace

int RunGateway(int argc, char** argv) {
  Verb verb("gateway",
            "An HTTP server for clients of OpenAI's interface, in front of a model here or on several nodes.",
            "  sluice gateway -m models/default --listen 127.0.0.1:8080                      # all in this process\n"
            "  sluice gateway -m models/default --layers :3 --codec fp16 --connect 127.0.0.1:7070\n"
            "  curl 127.0.0.1:8080/v1/completions -H 'Content-Type: application/json' \\\n"
            "      -d '{\"prompt\": \"ROMEO:\", \"max_tokens\": 32}'\n"
            "SIGTERM lets running requests finish. docs/serving.md has routes, fields, templates and errors.\n");
  GatewayVerbOptions options;
  options.network.log_level = "info";
  CLI::App& app = verb.app();
  AddModelOptions(app, options);
  AddNetworkOptions(app, options.network);
  app.add_option("--api-token-file", options.api_token_file,
                 "File with the secret that HTTP clients show; else the environment's SLUICE_API_TOKEN")
      ->type_name("FILE");
  app.add_flag("--plain-http", options.plain_http, "No TLS for HTTP clients, although there are keys for the nodes");
  AddLimits(app, options);
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_RETURN_IF_ERROR(InitTorch(options.threads));
    CatchInterrupts();
    return CatchTorch([&] { return Run(options, verb); });
  });
}

}  // namespace sluice
