#include <fmt/format.h>

#include "cli/torch/torch_verbs.h"
#include "cli/torch/training_options.h"
#include "cli/verb.h"
#include "train/pretraining.h"

namespace sluice {

int RunPretrain(int argc, char** argv) {
  Verb verb("pretrain", "Train a GPT-2-style language model and its tokenizer from text files.",
            "  sluice pretrain --text book.txt --out models/book --width 128 --layers 4 --steps 3000\n"
            "  sluice pretrain --text book.txt --out models/book --steps 3000 --resume\n");
  PretrainOptions options;
  options.loop.learning_rate = 2e-3;
  options.loop.weight_decay = 0.1;
  MachineOptions machine;
  bool half = false;
  CLI::App& app = verb.app();
  app.add_option("--text", options.text, "UTF-8 text files")->type_name("FILE")->required();
  app.add_option("--out", options.out, "Folder of the model (Hugging Face layout); the run is in its run/")
      ->type_name("DIR")
      ->required();
  app.add_option("--layers", options.layers, "Transformer layers")->check(CLI::Range(1, 1024));
  app.add_option("--width", options.width, "Width of the hidden state, d")->check(CLI::Range(1, 65536));
  app.add_option("--heads", options.heads, "Attention heads")->check(CLI::Range(1, 1024));
  app.add_option("-c,--context", options.context, "Tokens of context")->check(CLI::Range(2, 1 << 20));
  app.add_option("--vocab", options.vocab, "Pieces of the tokenizer")->check(CLI::Range(300, 1 << 20));
  app.add_option("--select-share", options.select_share, "Last share of the text, kept for select_ figures")
      ->check(CLI::Range(0.0, 0.5));
  app.add_flag("--half", half, "Store the weights as float16");
  AddLoopOptions(app, options.loop);
  AddMachineOptions(app, machine);
  return verb.Run(argc, argv, [&]() -> Status {
    options.stored = half ? StoredType::kFloat16 : StoredType::kFloat32;
    SLUICE_RETURN_IF_ERROR(StartTraining(machine));
    SLUICE_RETURN_IF_ERROR(Pretrain(options));
    nlohmann::ordered_json result = {{"model", options.out.string()}, {"steps", options.loop.steps}};
    SLUICE_RETURN_IF_ERROR(AddLastFigures(options.out / "run", result));
    verb.Print(result, fmt::format("model written to {}\n", options.out.string()));
    return OkStatus();
  });
}

}  // namespace sluice
