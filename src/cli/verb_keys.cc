#include <fmt/format.h>

#include "cli/light_verbs.h"
#include "cli/verb.h"
#include "wire/keys/trial_keys.h"

namespace sluice {

int RunKeys(int argc, char** argv) {
  Verb verb("keys", "Make a private authority and certificates for the nodes of a trial.",
            "  sluice keys --out trial head tail=tail.lan,10.0.0.2\n"
            "  scp -r trial/tail tail.lan:            # each node gets its own folder, nobody gets trial/authority\n"
            "  sluice serve --keys tail ...           # on the tail\n"
            "  sluice generate --keys trial/head ...  # on the head\n");
  std::filesystem::path out;
  std::vector<std::string> nodes;
  int days = 30;
  verb.app().add_option("--out", out, "Folder; an authority that it holds is used again")->type_name("DIR")->required();
  verb.app().add_option("nodes", nodes, "NAME or NAME=HOST,HOST,...: what others will connect to")->required();
  verb.app().add_option("--days", days, "How long the certificates are good")->check(CLI::Range(1, 36500));
  return verb.Run(argc, argv, [&]() -> Status {
    std::vector<KeyOwner> owners;
    for (const std::string& node : nodes) {
      SLUICE_ASSIGN_OR_RETURN(KeyOwner owner, ParseKeyOwner(node));
      owners.push_back(std::move(owner));
    }
    SLUICE_RETURN_IF_ERROR(MakeTrialKeys(out, owners, days));
    nlohmann::ordered_json result = {{"authority", (out / "authority").string()}};
    std::string text = fmt::format("authority   {}  (keep it here)\n", (out / "authority").string());
    for (const KeyOwner& owner : owners) {
      result["nodes"][owner.name] = (out / owner.name).string();
      text += fmt::format("{:<11} {}\n", owner.name, (out / owner.name).string());
    }
    verb.Print(result, text);
    return OkStatus();
  });
}

}  // namespace sluice
