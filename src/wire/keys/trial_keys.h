#ifndef SLUICE_WIRE_KEYS_TRIAL_KEYS_H_
#define SLUICE_WIRE_KEYS_TRIAL_KEYS_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

/// A node and the names under which others reach it.
struct KeyOwner {
  std::string name;
  std::vector<std::string> hosts;  ///< names and IP addresses; localhost and 127.0.0.1 are always among them
};
/// From "tail" or "tail=tail.lan,10.0.0.2". Errors: InvalidArgument for a name that is not letters, digits, '-', '.',
/// '_'.
Result<KeyOwner> ParseKeyOwner(std::string_view text);

/// Makes a private authority and, for each owner, FOLDER/NAME with node.pem, node.key, ca.pem and the token that all
/// share; the authority's own key goes to FOLDER/authority. ECDSA P-256. Keys can be read by the owner alone.
/// An authority that is there already is used again, so that a node can be added later.
/// Errors: InvalidArgument for no owner, a name twice, or days outside 1 to 3650; Io; Corrupt for an authority that
/// cannot be read.
Status MakeTrialKeys(const std::filesystem::path& folder, const std::vector<KeyOwner>& owners, int days);

}  // namespace sluice

#endif  // SLUICE_WIRE_KEYS_TRIAL_KEYS_H_
