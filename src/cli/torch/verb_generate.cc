#include <fmt/format.h>
#include <torch/torch.h>

#include <chrono>
#include <cstdio>

#include "backbone/backbone.h"
#include "backbone/generate.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"
#include "study/torch/cut_runner.h"
#include "text/tokenizer.h"

namespace sluice {
namespace {

struct Options {
  std::filesystem::path model;
  std::string codec;
  std::string prompt;
  std::filesystem::path prompt_file;
  int64_t cut = -1;
  int threads = 0;
  GenerateOptions generate;
};

Status Run(const Options& options, Verb& verb) {
  std::string prompt = options.prompt;
  if (!options.prompt_file.empty()) {
    SLUICE_ASSIGN_OR_RETURN(prompt, ReadFile(options.prompt_file, 1 << 24));
  }
  SLUICE_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(options.model));
  SLUICE_ASSIGN_OR_RETURN(const auto ids, tokenizer->Encode(prompt));
  std::vector<int64_t> tokens;
  if (tokenizer->bos().has_value()) tokens.push_back(*tokenizer->bos());
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<Backbone> backbone, LoadBackbone(options.model));
  const BackboneConfig& config = backbone->config();
  std::unique_ptr<TensorCodec> codec;
  if (!options.codec.empty()) {
    CutContext context{.layers = config.layers, .width = config.width, .cut = options.cut};
    SLUICE_ASSIGN_OR_RETURN(context.model, ModelIdentity(options.model));
    SLUICE_ASSIGN_OR_RETURN(codec, OpenTensorCodec(options.codec, context));
  }
  CutRunner runner(backbone, codec.get());
  GenerateOptions generate = options.generate;
  generate.context = config.context;
  generate.stop = config.eos;

  // Streams text as it comes: decoding all ids again each time keeps split characters whole.
  std::vector<int32_t> produced;
  std::string shown;
  const auto start = std::chrono::steady_clock::now();
  const auto on_token = [&](int64_t id) {
    produced.push_back(static_cast<int32_t>(id));
    const auto text = tokenizer->Decode(produced);
    if (text.ok() && text->size() > shown.size() && !verb.json()) {
      fmt::print("{}", text->substr(shown.size()));
      std::fflush(stdout);
    }
    if (text.ok()) shown = *text;
    return !InterruptRequested();
  };
  if (!verb.json()) fmt::print("{}", prompt);
  SLUICE_ASSIGN_OR_RETURN(const auto out,
                          Generate([&](const torch::Tensor& t) { return runner.Next(t); }, tokens, generate, on_token));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  nlohmann::ordered_json result = {
      {"prompt", prompt}, {"text", shown}, {"ids", out}, {"prompt_tokens", tokens.size()}, {"seconds", seconds}};
  std::string tail = "\n";
  if (codec != nullptr) {
    const auto sent = static_cast<double>(tokens.size() + out.size());
    result["wire_bytes"] = runner.wire_bytes();
    result["bits_per_token"] = 8.0 * static_cast<double>(runner.wire_bytes()) / sent;
    tail += fmt::format("\n[{} bytes crossed the cut, {:.1f} bits per token]\n", runner.wire_bytes(),
                        result["bits_per_token"].get<double>());
  }
  verb.Print(result, tail);
  if (InterruptRequested()) return Interrupted(fmt::format("stopped after {} tokens", out.size()));
  return OkStatus();
}

}  // namespace

int RunGenerate(int argc, char** argv) {
  Verb verb("generate", "Continue a prompt, uncut or with every hidden state sent through a codec.",
            "  sluice generate --model models/default -p 'ROMEO:' -n 64\n"
            "  sluice generate --model models/default --codec models/default-codec -p 'ROMEO:' --temperature 0\n");
  Options options;
  options.generate.sampling.temperature = 0.8;
  CLI::App& app = verb.app();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->required();
  app.add_option("--codec", options.codec, "Cut the model and send its hidden states through this codec");
  app.add_option("--cut", options.cut, "Layers before the cut; -1: the codec's, or the middle");
  auto* prompt = app.add_option("-p,--prompt", options.prompt, "Text to continue");
  app.add_option("-f,--file", options.prompt_file, "File with the text to continue")->excludes(prompt);
  app.add_option("-n,--max-tokens", options.generate.max_new_tokens, "Most new tokens")->check(CLI::Range(1, 1 << 20));
  app.add_option("--temperature", options.generate.sampling.temperature, "0: always the likeliest token")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-k", options.generate.sampling.top_k, "Only the k likeliest; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", options.generate.sampling.top_p, "Only the likeliest that hold this much probability");
  app.add_option("--seed", options.generate.sampling.seed, "Seed of the sampling");
  app.add_option("-t,--threads", options.threads, "Threads; 0: all cores")->check(CLI::Range(0, 255));
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_RETURN_IF_ERROR(InitTorch(options.threads));
    CatchInterrupts();
    return CatchTorch([&] { return Run(options, verb); });
  });
}

}  // namespace sluice
