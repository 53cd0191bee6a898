#include <fmt/format.h>

#include "backbone/torch_setup.h"
#include "base/file.h"
#include "cli/machine_checks.h"
#include "cli/torch/report.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"
#include "study/torch/evaluation.h"

namespace sluice {

int RunEval(int argc, char** argv) {
  Verb verb(
      "eval", "Measure a codec on text: real bytes, and the quality of the cut model beside the uncut one.",
      "  sluice eval --model DIR --codec runs/a --text held-out.txt\n"
      "  sluice eval --model DIR --codec runs/a --text held-out.txt --json --html eval.html\n"
      "  sluice eval --model runs/c/model --codec runs/c/codec --reference runs/c/reference --text held-out.txt\n");
  EvaluationOptions options;
  std::filesystem::path html;
  int threads = 0;
  bool no_baselines = false;
  CLI::App& app = verb.app();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->required();
  app.add_option("--codec", options.codec, "A trained codec's folder, or a name: fp16, int8, q80, zstd:3, ...")
      ->required();
  app.add_option("--text", options.text.files, "UTF-8 text files to measure on")->required();
  app.add_option("--cut", options.cut, "Layers before the cut; -1: the codec's, or the middle");
  app.add_option("-c,--context", options.text.context, "Tokens of a window; 0: the model's context")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--max-tokens", options.text.max_tokens, "Stop after about this many; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--batch", options.batch, "Windows in one frame")->check(CLI::Range(1, 4096));
  app.add_option("--reference", options.reference, "A model to compare with: joint training's reference");
  app.add_flag("--no-baselines", no_baselines, "Do not also run other codecs on the same hidden states");
  app.add_flag("--drop-blank-lines", options.text.drop_blank_lines, "Leave out blank lines of the text");
  app.add_option("--html", html, "Also write a self-contained report page");
  app.add_option("-t,--threads", threads, "Threads; 0: all cores")->check(CLI::Range(0, 255));
  return verb.Run(argc, argv, [&]() -> Status {
    options.baselines = !no_baselines;
    SLUICE_RETURN_IF_ERROR(InitTorch(threads));
    SLUICE_ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(options));
    const auto json = evaluation.ToJson();
    if (!html.empty()) SLUICE_RETURN_IF_ERROR(WriteEvaluationPage(html, evaluation, CommandLine(argc, argv)));
    verb.Print(json, evaluation.ToText());
    return OkStatus();
  });
}

}  // namespace sluice
