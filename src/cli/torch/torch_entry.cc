// The one symbol that the torch island's shared library exports.
#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "cli/torch/torch_verbs.h"

extern "C" __attribute__((visibility("default"))) int SluiceRunTorchVerb(int argc, char** argv) {
  const std::string_view name = argv[0];
  if (name == "pretrain") return sluice::RunPretrain(argc, argv);
  if (name == "train") return sluice::RunTrain(argc, argv);
  if (name == "encode") return sluice::RunModelEncode(argc, argv);
  if (name == "decode") return sluice::RunModelDecode(argc, argv);
  if (name == "eval") return sluice::RunEval(argc, argv);
  if (name == "certify") return sluice::RunCertify(argc, argv);
  if (name == "export") return sluice::RunExport(argc, argv);
  if (name == "generate") return sluice::RunGenerate(argc, argv);
  if (name == "load") return sluice::RunLoad(argc, argv);
  if (name == "serve") return sluice::RunServe(argc, argv);
  if (name == "gateway") return sluice::RunGateway(argc, argv);
  if (name == "doctor") return sluice::RunTorchDoctor(argc, argv);
  fmt::print(stderr, "sluice: Internal: verb '{}' is not in the torch library\n", name);
  return 1;
}
