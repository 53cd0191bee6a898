#include <fmt/format.h>

#include "backbone/torch_setup.h"
#include "base/file.h"
#include "cli/machine_checks.h"
#include "cli/torch/report.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"
#include "study/torch/evaluation.h"
#include "study/torch/last_words.h"

namespace sluice {

int RunEval(int argc, char** argv) {
  Verb verb("eval", "Measure a codec on text: real bytes, and the quality of the cut model beside the uncut one.",
            "  sluice eval --model DIR --codec runs/a --text held-out.txt\n"
            "  sluice eval --model DIR --codec runs/a --text held-out.txt --json --html eval.html\n"
            "  sluice eval --model runs/c/model --codec runs/c/codec --reference runs/c/reference --text held-out.txt\n"
            "  sluice eval --model DIR --codec runs/a --last-words lambada.jsonl\n");
  EvaluationOptions options;
  std::filesystem::path html;
  int threads = 0;
  bool no_baselines = false;
  std::vector<std::filesystem::path> last_words;
  CLI::App& app = verb.app();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR")->required();
  app.add_option("--codec", options.codec, "A trained codec's folder, or a name: fp16, int8, q80, zstd:3, ...")
      ->type_name("CODEC")
      ->required();
  CLI::Option* text = app.add_option("--text", options.text.files, "UTF-8 text files to measure on")->type_name("FILE");
  CLI::Option* words =
      app.add_option("--last-words", last_words,
                     "Instead of --text: passages, JSON lines {\"text\": ...}, whose last word is scored")
          ->type_name("FILE");
  app.add_option("--fit-text", options.fit_text.files, "Text that step:S and static:S are fitted on")
      ->type_name("FILE");
  CLI::Option* chunks = app.add_option("--time-chunks", options.time_chunks,
                                       "Also time coding in chunks of these many tokens: 1,64,1024");
  chunks->delimiter(',')->check(CLI::Range(1, 1 << 20));
  app.add_option("--point", options.point, "Operating point, for codecs that have several: 0 is the finest")
      ->check(CLI::Range(0, 255));
  app.add_option("--cut", options.cut, "Layers before the cut; -1: the codec's, or the middle")
      ->check(CLI::Range(-1, kMostLayers));
  app.add_option("-c,--context", options.text.context, "Tokens of a window; 0: the model's context")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--max-tokens", options.text.max_tokens, "Stop after about this many; 0: all")
      ->check(CLI::NonNegativeNumber);
  CLI::Option* batch = app.add_option("--batch", options.batch, "Windows in one frame")->check(CLI::Range(1, 4096));
  CLI::Option* reference =
      app.add_option("--reference", options.reference, "A model to compare with: joint training's reference")
          ->type_name("DIR");
  app.add_flag("--no-baselines", no_baselines, "Do not also run other codecs on the same hidden states");
  app.add_flag("--drop-blank-lines", options.text.drop_blank_lines, "Leave out blank lines of the text");
  CLI::Option* page = app.add_option("--html", html, "Also write a self-contained report page")->type_name("FILE");
  app.add_option("-t,--threads", threads, "Threads; 0: all cores")->check(CLI::Range(0, 255));
  // Passages are scored one by one and give figures alone.
  for (CLI::Option* other : {text, chunks, batch, reference, page}) words->excludes(other);
  return verb.Run(argc, argv, [&]() -> Status {
    options.baselines = !no_baselines;
    options.fit_text.context = options.text.context;
    if (options.text.files.empty() && last_words.empty()) return InvalidArgument("--text or --last-words is required");
    SLUICE_RETURN_IF_ERROR(InitTorch(threads));
    if (!last_words.empty()) {
      options.text.files = last_words;
      SLUICE_ASSIGN_OR_RETURN(const auto figures, EvaluateLastWords(options));
      verb.Print(figures, figures.dump(2) + "\n");
      return OkStatus();
    }
    SLUICE_ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(options));
    const auto json = evaluation.ToJson();
    if (!html.empty()) SLUICE_RETURN_IF_ERROR(WriteEvaluationPage(html, evaluation, CommandLine(argc, argv)));
    verb.Print(json, evaluation.ToText());
    return OkStatus();
  });
}

}  // namespace sluice
