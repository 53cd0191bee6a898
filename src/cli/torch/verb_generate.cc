#include <fmt/format.h>

#include <cstdio>

#include "backbone/torch_setup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "cli/torch/generate_run.h"
#include "cli/torch/torch_verbs.h"
#include "text/tokenizer.h"

namespace sluice {
namespace {

Status Run(const GenerateVerbOptions& options, Verb& verb) {
  std::string prompt = options.prompt;
  if (!options.prompt_file.empty()) {
    SLUICE_ASSIGN_OR_RETURN(prompt, ReadFile(options.prompt_file, 1 << 24));
  }
  SLUICE_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(options.model));
  SLUICE_ASSIGN_OR_RETURN(const auto ids, tokenizer->Encode(prompt));
  std::vector<int64_t> tokens;
  if (tokenizer->bos().has_value()) tokens.push_back(*tokenizer->bos());
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  if (options.prompt_tokens > 0) {
    if (tokens.size() < options.prompt_tokens) {
      return InvalidArgument(
          fmt::format("the prompt has {} tokens, --prompt-tokens wants {}", tokens.size(), options.prompt_tokens));
    }
    tokens.resize(options.prompt_tokens);
  }

  // Streams text as it comes: decoding all ids again each time keeps split characters whole.
  std::vector<int32_t> produced;
  std::string shown;
  bool prompt_shown = false;
  const auto start = Clock::now();
  const auto on_token = [&](int64_t id) {
    if (!prompt_shown && !verb.json()) fmt::print("{}", prompt);
    prompt_shown = true;
    produced.push_back(static_cast<int32_t>(id));
    const auto text = tokenizer->Decode(produced);
    if (text.ok() && text->size() > shown.size() && !verb.json()) {
      fmt::print("{}", text->substr(shown.size()));
      std::fflush(stdout);
    }
    if (text.ok()) shown = *text;
    return !InterruptRequested();
  };
  SLUICE_ASSIGN_OR_RETURN(const GenerateResult out, options.connect.empty()
                                                        ? GenerateHere(options, tokens, on_token)
                                                        : GenerateConnected(options, tokens, on_token));
  const double seconds = SecondsSince(start);
  nlohmann::ordered_json result = {
      {"prompt", prompt}, {"text", shown}, {"ids", out.ids}, {"prompt_tokens", tokens.size()}, {"seconds", seconds}};
  result.update(out.details);
  verb.Print(result, out.text.empty() ? "\n" : "\n\n" + out.text + "\n");
  if (InterruptRequested()) return Interrupted(fmt::format("stopped after {} tokens", out.ids.size()));
  return OkStatus();
}

void AddNetwork(CLI::App& app, GenerateVerbOptions& options) {
  const std::string group = "Over a network";
  auto* connect = app.add_option("--connect", options.connect, "HOST:PORT of the node that has the next layers");
  auto* layers = app.add_option("--layers", options.layers, "Layers of this node, :K");
  connect->group(group)->needs(layers);
  layers->group(group)->needs(connect);
  auto* automatic = app.add_flag("--auto", options.automatic,
                                 "Measure the link and take the fastest of the codecs, given best quality first: "
                                 "--codec fp16,int8,static.pack");
  auto* ttft = app.add_option("--target-ttft", options.target_ttft,
                              "Seconds to the first token: the first of the codecs that should keep it");
  auto* bits = app.add_option("--target-bits-per-token", options.target_bits,
                              "The first of the codecs that needs no more, measured on the prompt");
  for (auto* option : {ttft, bits}) option->group(group)->needs(connect)->check(CLI::PositiveNumber);
  automatic->group(group)->needs(connect)->excludes(ttft)->excludes(bits);
  ttft->excludes(bits);
  for (auto* option :
       {app.add_option("--metrics-file", options.metrics_file, "Prometheus text, written at the end")
            ->type_name("FILE"),
        app.add_flag("--log-probabilities", options.log_probabilities, "Of every token, into the JSON result"),
        AddSeconds(app, "--deadline-seconds", options.deadline_seconds, "For everything; 0: none",
                   CLI::NonNegativeNumber),
        AddSeconds(app, "--retry-seconds", options.retry_seconds, "Of trying again without progress after a fault",
                   CLI::NonNegativeNumber),
        AddSeconds(app, "--stall-seconds", options.stall_seconds,
                   "Without an answer, until the link counts as dead")}) {
    option->group(group)->needs(connect);
  }
  AddNetworkOptions(app, options.network);
}

}  // namespace

int RunGenerate(int argc, char** argv) {
  Verb verb("generate", "Continue a prompt: uncut, through a codec, or with the other layers on other machines.",
            "  sluice generate --model models/default -p 'ROMEO:' -n 64\n"
            "  sluice generate --model models/default --codec models/default-codec -p 'ROMEO:' --temperature 0\n"
            "  sluice generate --model models/default --layers :3 --codec fp16 --connect 127.0.0.1:7070 -p 'ROMEO:'\n");
  GenerateVerbOptions options;
  options.generate.sampling.temperature = 0.8;
  CLI::App& app = verb.app();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR")->required();
  app.add_option("--codec", options.codec, "Cut the model and send its hidden states through this codec")
      ->type_name("CODEC");
  app.add_option("--cut", options.cut, "Layers before the cut; -1: the codec's, or the middle")
      ->check(CLI::Range(-1, kMostLayers));
  app.add_option("--require", options.require, "What the pack's certificate must say, like ppl<=1.03,top1>=0.97");
  auto* prompt = app.add_option("-p,--prompt", options.prompt, "Text to continue");
  app.add_option("-f,--file", options.prompt_file, "File with the text to continue")
      ->type_name("FILE")
      ->excludes(prompt);
  app.add_option("-n,--max-tokens", options.generate.max_new_tokens, "Most new tokens")->check(CLI::Range(1, 1 << 20));
  app.add_option("--temperature", options.generate.sampling.temperature, "0: always the likeliest token")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-k", options.generate.sampling.top_k, "Only the k likeliest; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", options.generate.sampling.top_p, "Only the likeliest that hold this much probability")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", options.generate.sampling.seed, "Seed of the sampling");
  app.add_option("--prompt-tokens", options.prompt_tokens, "Use only this many tokens of the prompt; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--chunk", options.chunk, "Tokens of the prompt in one piece; 0: all here, 64 over a network")
      ->check(CLI::NonNegativeNumber);
  app.add_option("-t,--threads", options.threads, "Threads; 0: all cores")->check(CLI::Range(0, 255));
  AddNetwork(app, options);
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_RETURN_IF_ERROR(InitTorch(options.threads));
    CatchInterrupts();
    return CatchTorch([&] { return Run(options, verb); });
  });
}

}  // namespace sluice
