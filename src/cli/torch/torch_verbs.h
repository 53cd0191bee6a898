#ifndef SLUICE_CLI_TORCH_TORCH_VERBS_H_
#define SLUICE_CLI_TORCH_TORCH_VERBS_H_

namespace sluice {

/// The verbs that run a transformer. `argv[0]` is the verb; each returns the exit code.
int RunPretrain(int argc, char** argv);
int RunTrain(int argc, char** argv);
int RunModelEncode(int argc, char** argv);
int RunModelDecode(int argc, char** argv);
int RunEval(int argc, char** argv);
int RunCertify(int argc, char** argv);
int RunExport(int argc, char** argv);
int RunGenerate(int argc, char** argv);
int RunServe(int argc, char** argv);
int RunGateway(int argc, char** argv);
int RunLoad(int argc, char** argv);
/// `doctor` with the checks that need libtorch.
int RunTorchDoctor(int argc, char** argv);

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_TORCH_VERBS_H_
