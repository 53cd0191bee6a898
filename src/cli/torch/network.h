#ifndef SLUICE_CLI_TORCH_NETWORK_H_
#define SLUICE_CLI_TORCH_NETWORK_H_

#include <string>

#include "cli/wire_options.h"
#include "wire/trust.h"
#include "wire/wire_log.h"

namespace sluice {

/// Errors: those of TrustFromFolder and ReadToken.
Result<TrustOptions> TrustOf(const NetworkOptions& options);
WireLog LogOf(const NetworkOptions& options, const std::string& name);

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_NETWORK_H_
