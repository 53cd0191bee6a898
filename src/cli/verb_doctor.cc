#include "cli/light_verbs.h"
#include "cli/machine_checks.h"
#include "cli/torch_library.h"
#include "cli/verb.h"

namespace sluice {

int RunDoctor(int argc, char** argv) {
  const auto torch = LoadTorchVerbs();
  if (torch.ok()) return kNeedsTorch;
  Verb verb("doctor", "Check this machine and say how to mend what slows sluice down.", "  sluice doctor\n");
  return verb.Run(argc, argv, [&]() -> Status {
    auto checks = CheckMachine();
    checks.push_back({MachineCheck::Verdict::kWarning, "torch part", "not available", torch.status().message()});
    verb.Print(ChecksToJson(checks), ChecksToText(checks));
    return OkStatus();
  });
}

}  // namespace sluice
