#include <fmt/format.h>

#include "backbone/torch_setup.h"
#include "base/file.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"
#include "study/torch/certification.h"

namespace sluice {
namespace {

Status Embed(const std::filesystem::path& path, const std::string& json) {
  SLUICE_ASSIGN_OR_RETURN(const std::string pack, ReadFile(path, kMaxPackBytes));
  SLUICE_ASSIGN_OR_RETURN(const auto certified, WithCertificate(AsBytes(pack), json));
  return WriteFileAtomic(path, certified);
}

std::string TextOf(const Certificate& certificate) {
  std::string text =
      fmt::format("{} tokens in {} windows, intervals of 95 %\n\n", certificate.tokens, certificate.windows);
  for (const CertifiedPoint& point : certificate.points) {
    if (certificate.points.size() > 1) text += fmt::format("{}\n", point.name);
    const auto row = [&text](const char* name, const Measured& m) {
      text += fmt::format("  {:<28} {:>9.4f}  {}\n", name, m.value,
                          m.HasInterval() ? fmt::format("[{:.4f}, {:.4f}]", m.low, m.high) : "no interval");
    };
    text += fmt::format("  {:<28} {:>9.2f}\n", "bits per token", point.bits_per_token);
    text += fmt::format("  {:<28} {:>9.4f}  (uncut {:.4f})\n", "perplexity", point.perplexity, point.uncut_perplexity);
    row("ppl, over the uncut model's", point.ppl);
    row("kl, nats", point.kl);
    row("top1 agreement", point.top1);
    row("greedy agreement", point.greedy);
    for (const auto& [task, delta] : point.tasks) text += fmt::format("  {:<28} {:>+9.4f}\n", task, delta);
  }
  return text;
}

}  // namespace

int RunCertify(int argc, char** argv) {
  Verb verb(
      "certify",
      "Measure what a pack does to its model on a text, and put the certificate into the pack: --require on encode "
      "and decode then refuses packs that are not good enough.",
      "  sluice certify --model DIR --codec static.pack --text held-out.txt\n"
      "  sluice certify --model DIR --codec static.pack --text a.txt b.txt --out certificate.json --no-embed\n"
      "  sluice encode --codec static.pack --require 'ppl<=1.03,top1>=0.97' --hidden h.npy --out h.slc\n");
  CertificationOptions options;
  std::filesystem::path out;
  int threads = 0;
  bool no_embed = false;
  CLI::App& app = verb.app();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR")->required();
  app.add_option("--codec", options.pack, "The pack")->type_name("FILE")->required();
  app.add_option("--text", options.text.files, "UTF-8 text files to measure on; not what it was trained on")
      ->type_name("FILE")
      ->required();
  app.add_option("--last-words", options.last_words, "Passages, JSON lines {\"text\": ...}, whose last word is scored")
      ->type_name("FILE");
  app.add_option("--out", out, "Also write the certificate as JSON")->type_name("FILE");
  app.add_flag("--no-embed", no_embed, "Leave the pack as it is");
  app.add_option("-c,--context", options.text.context, "Tokens of a window; 0: the model's context")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--max-tokens", options.text.max_tokens, "Stop after about this many; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--prompts", options.prompts, "Windows whose beginning is continued greedily")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--prompt-tokens", options.prompt_tokens, "Tokens of such a beginning")->check(CLI::Range(1, 1 << 20));
  app.add_option("--new-tokens", options.new_tokens, "Tokens of its continuation")->check(CLI::Range(1, 1 << 20));
  app.add_flag("--drop-blank-lines", options.text.drop_blank_lines, "Leave out blank lines of the text");
  app.add_option("-t,--threads", threads, "Threads; 0: all cores")->check(CLI::Range(0, 255));
  return verb.Run(argc, argv, [&]() -> Status {
    SLUICE_RETURN_IF_ERROR(InitTorch(threads));
    options.program = "sluice " + ProgramVersion();
    SLUICE_ASSIGN_OR_RETURN(const Certificate certificate, CertifyPack(options));
    const std::string json = certificate.ToJson();
    if (!out.empty()) SLUICE_RETURN_IF_ERROR(WriteFileAtomic(out, AsBytes(json + "\n")));
    if (!no_embed) SLUICE_RETURN_IF_ERROR(Embed(options.pack, json));
    verb.Print(nlohmann::ordered_json::parse(json), TextOf(certificate));
    return OkStatus();
  });
}

}  // namespace sluice
