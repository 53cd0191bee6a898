#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "cli/light_verbs.h"
#include "cli/torch_library.h"
#include "cli/verb.h"

namespace {

struct VerbEntry {
  std::string_view name;
  std::string_view summary;
  // Null: the verb needs the torch island. A light verb may answer kNeedsTorch for arguments that do.
  int (*run)(int argc, char** argv);
};

constexpr VerbEntry kVerbs[] = {
    {"pretrain", "train a GPT-2-style model and its tokenizer from text files", nullptr},
    {"train", "learn a codec for one cut of a model", nullptr},
    {"fit-static", "fit the codec without a network to hidden states: a pack that needs no libtorch",
     sluice::RunFitStatic},
    {"encode", "text or hidden states -> compressed stream (runs only the layers before the cut)", sluice::RunEncode},
    {"decode", "compressed stream -> scored text or hidden states (runs only the layers after the cut)",
     sluice::RunDecode},
    {"pack-hidden", "hidden states -> archive, without any model, lossless or within an error bound",
     sluice::RunPackHidden},
    {"unpack-hidden", "archive -> hidden states, all of them or a range of tokens", sluice::RunUnpackHidden},
    {"eval", "rate and quality of a codec on text, beside the uncut model and other codecs", nullptr},
    {"certify", "measure what a pack does to its model, and put the certificate into the pack", nullptr},
    {"export", "a trained codec of preset sluice or fast -> a pack, which needs no libtorch", nullptr},
    {"generate", "continue a prompt: uncut, through a codec, or with layers on other machines", nullptr},
    {"serve", "run some layers of a model for others over the network", nullptr},
    {"gateway", "an HTTP server for OpenAI's clients, in front of a model here or on several nodes", nullptr},
    {"load", "put a chain of nodes under load: tokens a second, latency, memory", nullptr},
    {"top", "show the links of nodes as they work", sluice::RunTop},
    {"keys", "a private authority and certificates for the nodes of a trial", sluice::RunKeys},
    {"study", "many trainings and measurements as one experiment, resumable", sluice::RunStudyVerb},
    {"report", "one page of figures, plots and tables from the folders of studies", sluice::RunReport},
    {"inspect", "what is in a stream, a codec or a model", sluice::RunInspect},
    {"doctor", "check this machine: BLAS, threads, instruction sets, memory, versions", sluice::RunDoctor},
};

void PrintHelp() {
  fmt::print(
      "sluice {}: cut a transformer in two and send a few hundred bits a token across\n\n"
      "usage: sluice VERB [options]        sluice VERB --help for options and examples\n\n",
      SLUICE_VERSION);
  for (const VerbEntry& verb : kVerbs) fmt::print("  {:<13} {}\n", verb.name, verb.summary);
  fmt::print(
      "\nA first walk, with the model and text that come with sluice:\n"
      "  sluice eval --model models/default --codec models/default-codec --text models/text/shakespeare-report.txt\n");
}

int RunTorchVerb(int argc, char** argv) {
  // OpenMP reads this once, when the library below brings it in. Threads that spin while they wait make a busy machine
  // ten times slower; whoever wants them can say so in the environment.
  setenv("OMP_WAIT_POLICY", "PASSIVE", /*overwrite=*/0);
  const auto run = sluice::LoadTorchVerbs();
  if (!run.ok()) {
    return sluice::ReportStatus(run.status(), fmt::format("sluice {}", argv[0]), sluice::AsksForJson(argc, argv));
  }
  return (*run)(argc, argv);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "--help";
  if (name == "--help" || name == "-h" || name == "help") {
    PrintHelp();
    return argc > 1 ? 0 : 2;
  }
  if (name == "--version" || name == "version") {
    fmt::print("sluice {}\n", SLUICE_VERSION);
    return 0;
  }
  for (const VerbEntry& verb : kVerbs) {
    if (verb.name != name) continue;
    const int code = verb.run == nullptr ? sluice::kNeedsTorch : verb.run(argc - 1, argv + 1);
    return code == sluice::kNeedsTorch ? RunTorchVerb(argc - 1, argv + 1) : code;
  }
  return sluice::ReportStatus(
      sluice::InvalidArgument(fmt::format("unknown verb '{}'; sluice --help lists the verbs", name)), "sluice",
      sluice::AsksForJson(argc, argv));
}
