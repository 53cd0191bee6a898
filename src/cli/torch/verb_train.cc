#include <fmt/format.h>

#include "cli/torch/report.h"
#include "cli/torch/torch_verbs.h"
#include "cli/torch/training_options.h"
#include "cli/verb.h"
#include "train/codec_training.h"

namespace sluice {

int RunTrain(int argc, char** argv) {
  Verb verb("train", "Learn a codec for one cut of a model: minimizes D + lambda R over text.",
            "  sluice train --model models/default --text book.txt --lambda 1e-3 --out runs/a\n"
            "  sluice train --model DIR --cut 3 --mode frozen --set transform=learned --text a.txt b.txt --out runs/b\n"
            "  sluice train --model DIR --mode joint --lambda 5e-4 --text a.txt --out runs/c    (writes model, codec, "
            "reference)\n"
            "  sluice train ... --out runs/b --resume                                            (after Ctrl-C or a "
            "crash)\n");
  CodecTrainOptions options;
  options.loop.learning_rate = 8e-3;
  options.loop.batch = 4;
  options.loop.steps = 600;
  options.loop.warmup = 30;
  options.loop.beta2 = 0.99;
  options.loop.clip = 0.05;
  options.loop.final_rate_ratio = 0.02;
  std::string mode = "frozen", distortion = "auto";
  MachineOptions machine;
  bool no_reference = false;
  std::filesystem::path html;
  CLI::App& app = verb.app();
  app.add_option("-m,--model", options.model, "Model folder (Hugging Face layout)")->type_name("DIR")->required();
  app.add_option("--text", options.text, "UTF-8 text files to train on")->type_name("FILE")->required();
  app.add_option("--out", options.out, "Folder of the codec and its run")->type_name("DIR")->required();
  app.add_option("--preset", options.preset, "Codec preset")
      ->check(CLI::IsMember({"paper", "paper+", "fourier", "direct", "sluice", "fast"}));
  app.add_option("--set", options.switches, "Switch of the preset, name=value; may be repeated")
      ->type_name("NAME=VALUE");
  app.add_option("--side", options.side,
                 "What the decoder knows beside the stream (sluice, fast): none, or the token ids")
      ->check(CLI::IsMember({"none", "tokens"}));
  app.add_option("--cut", options.cut, "Layers before the cut; -1: the middle")->check(CLI::Range(-1, kMostLayers));
  app.add_option("--mode", mode, "frozen: the model stays as it is; joint: it is trained along")
      ->check(CLI::IsMember({"frozen", "joint"}));
  app.add_option("--lambda", options.lambda, "Weight of one bit a token, in units of the distortion")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--distortion", distortion,
                 "kl to the uncut model, ce of the text, mse of the hidden state; auto: kl frozen, ce joint")
      ->check(CLI::IsMember({"auto", "kl", "ce", "mse"}));
  app.add_option("-c,--context", options.context, "Tokens of a training window; 0: the model's context")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--select-share", options.select_share, "Last share of the text, kept for select_ figures")
      ->check(CLI::Range(0.0, 0.5));
  app.add_option("--rate-only-share", options.rate_only_share,
                 "First share of the steps that train the entropy model alone (frozen)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--backbone-lr-scale", options.backbone_rate_scale,
                 "Joint: the backbone's learning rate over the codec's")
      ->check(CLI::PositiveNumber);
  app.add_flag("--no-reference", no_reference, "Joint: do not also train the backbone alone for comparison");
  app.add_option("--html", html, "Also write a self-contained page with the training curves")->type_name("FILE");
  AddLoopOptions(app, options.loop);
  AddMachineOptions(app, machine);
  return verb.Run(argc, argv, [&]() -> Status {
    options.mode = mode == "joint" ? CodecMode::kJoint : CodecMode::kFrozen;
    options.train_reference = !no_reference;
    if (distortion == "auto") distortion = mode == "joint" ? "ce" : "kl";
    SLUICE_ASSIGN_OR_RETURN(options.distortion, ParseDistortion(distortion));
    SLUICE_RETURN_IF_ERROR(StartTraining(machine));
    SLUICE_RETURN_IF_ERROR(TrainCodec(options));
    if (!html.empty()) SLUICE_RETURN_IF_ERROR(WriteTrainingPage(html, options.out / "run", CommandLine(argc, argv)));
    nlohmann::ordered_json result = {{"out", options.out.string()}, {"steps", options.loop.steps}};
    SLUICE_RETURN_IF_ERROR(AddLastFigures(options.out / "run", result));
    verb.Print(result, fmt::format("codec written to {}\n", options.out.string()));
    return OkStatus();
  });
}

}  // namespace sluice
