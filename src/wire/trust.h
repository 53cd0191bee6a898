#ifndef SLUICE_WIRE_TRUST_H_
#define SLUICE_WIRE_TRUST_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

/// Whom a node trusts, and how it shows who it is. PEM files.
struct TrustOptions {
  std::filesystem::path certificate;  ///< the node's own chain
  std::filesystem::path key;          ///< of the certificate
  std::filesystem::path authority;    ///< whose certificates the other side must show
  std::string token;                  ///< shared secret that callers show; empty: none
  bool plaintext = false;             ///< no TLS although the address is not loopback
};

/// A folder that `sluice keys` made: node.pem, node.key, ca.pem and token. Errors: Io for a missing file.
Result<TrustOptions> TrustFromFolder(const std::filesystem::path& folder);

/// The secret in a file, or without one in the environment's `variable`; empty when there is neither.
/// Errors: Io; InvalidArgument for an empty file, or one that holds what a header cannot carry.
Result<std::string> ReadToken(const std::filesystem::path& file, const char* variable = "SLUICE_TOKEN");
/// Takes as long for equal secrets as for others.
bool SameToken(std::string_view expected, std::string_view got);

/// Whether HOST:PORT can be reached from this machine only. Errors: InvalidArgument when it is not HOST:PORT.
Result<bool> IsLoopback(std::string_view address);

/// TLS 1.3 and nothing older, with certificates on both sides, whenever a certificate is given; without one, loopback
/// addresses alone. Errors: InvalidArgument, saying what is missing and how to make it; Io.
Result<std::shared_ptr<grpc::ServerCredentials>> ServerTrust(const TrustOptions& options, std::string_view listen);
Result<std::shared_ptr<grpc::ChannelCredentials>> ClientTrust(const TrustOptions& options, std::string_view target);

/// Settings that gRPC reads once: no TLS before 1.3, and its own log only where GRPC_VERBOSITY asks for it. Called by
/// everything in this room that starts gRPC.
void PrepareGrpc();

}  // namespace sluice

#endif  // SLUICE_WIRE_TRUST_H_
