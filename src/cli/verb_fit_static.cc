#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "base/interrupt.h"
#include "base/progress.h"
#include "cli/light_verbs.h"
#include "cli/verb.h"
#include "codec/static_fit.h"
#include "format/hidden_file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct FitOptions {
  fs::path hidden;
  std::string tensor;
  fs::path out;
  std::string basis = "principal";
  StaticFitOptions fit;
};

void AddOptions(CLI::App& app, FitOptions& options) {
  app.add_option("--hidden", options.hidden, "Hidden states to fit to, .safetensors or .npy, [T, d] or [B, T, d]")
      ->type_name("FILE")
      ->required();
  app.add_option("--tensor", options.tensor, "Name of the tensor in --hidden");
  auto* step = app.add_option("--step", options.fit.step, "Step of every latent: half of it is the largest error")
                   ->check(CLI::PositiveNumber);
  auto* rate = app.add_option("--bits-per-token", options.fit.bits_per_token, "Look for the step that costs so much")
                   ->check(CLI::PositiveNumber);
  step->excludes(rate);
  app.add_option("--basis", options.basis, "principal: along the axes of the sample; diagonal: channel by channel")
      ->check(CLI::IsMember({"principal", "diagonal"}));
  app.add_option("--precision", options.fit.precision_bits, "log2 of the sum of a probability table")
      ->check(CLI::Range(10, 16));
  app.add_option("--cut", options.fit.cut, "Layers before the cut that the hidden states are from")
      ->check(CLI::Range(0, kMostLayers));
  app.add_option("--out", options.out, "Pack to write (.pack)")->type_name("FILE")->required();
}

// A bar for each part of the work, in the order in which they come.
class FitProgress {
 public:
  bool operator()(std::string_view what, double done) {
    if (what != what_) {
      bar_.reset();
      what_ = what;
      bar_.emplace(what_, kSteps);
    }
    bar_->Update(static_cast<uint64_t>(done * kSteps));
    return !InterruptRequested();
  }

 private:
  static constexpr uint64_t kSteps = 1000;
  std::string what_;
  std::optional<ProgressBar> bar_;
};

}  // namespace

int RunFitStatic(int argc, char** argv) {
  Verb verb("fit-static", "Fit codec \"static\" to hidden states: a transform, a step and a table for each channel.",
            "  sluice fit-static --hidden states.safetensors --step 0.5 --out static.pack\n"
            "  sluice fit-static --hidden states.safetensors --bits-per-token 400 --out static.pack --json\n"
            "  sluice encode --hidden states.safetensors --codec static.pack --out states.slc\n");
  FitOptions options;
  AddOptions(verb.app(), options);
  return verb.Run(argc, argv, [&]() -> Status {
    CatchInterrupts();
    SLUICE_ASSIGN_OR_RETURN(const HiddenStates hidden, LoadHidden(options.hidden, options.tensor));
    options.fit.basis = options.basis == "diagonal" ? StaticBasis::kDiagonal : StaticBasis::kPrincipal;
    FitProgress progress;
    options.fit.progress = [&](std::string_view what, double done) { return progress(what, done); };
    SLUICE_ASSIGN_OR_RETURN(const StaticFit fit, FitStaticPack(hidden.values.View(), options.fit));
    SLUICE_RETURN_IF_ERROR(fit.pack.Write(options.out));
    const uint64_t tokens = hidden.batch * hidden.tokens, width = hidden.values.cols();
    const nlohmann::ordered_json result = {{"out", options.out.string()},
                                           {"tokens", tokens},
                                           {"width", width},
                                           {"step", fit.step},
                                           {"bits_per_token", fit.bits_per_token},
                                           {"mean_squared_error", fit.mean_squared_error},
                                           {"bytes", fs::file_size(options.out)}};
    verb.Print(result,
               fmt::format("{}: step {:.4g}, {:.2f} bits per token and mean squared error {:.4g} on {} tokens of "
                           "width {}\n",
                           options.out.string(), fit.step, fit.bits_per_token, fit.mean_squared_error, tokens, width));
    return OkStatus();
  });
}

}  // namespace sluice
