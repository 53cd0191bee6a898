// gRPC offers no setting for the oldest TLS that is spoken: it fixes 1.2. But the suites of 1.2 are a setting, and
// those of 1.3 are not affected by it; with a single suite that needs a pre-shared key, which nobody has, 1.2 cannot be
// agreed on. Secrets are compared as digests, so that neither content nor length shows in the time it takes.
#include "wire/trust.h"

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"

namespace sluice {
namespace {

constexpr uint64_t kMaxKeyFile = 1 << 20;
constexpr size_t kMaxToken = 4096;
constexpr const char* kAdvice =
    "make keys for a trial with `sluice keys` and give them with --keys, or listen on 127.0.0.1; --no-tls sends "
    "everything readable, for networks that are protected otherwise";

struct Pem {
  std::string certificate, key, authority;
};

Result<Pem> ReadPem(const TrustOptions& options) {
  Pem pem;
  if (options.certificate.empty() || options.key.empty() || options.authority.empty()) {
    return InvalidArgument("TLS needs the node's certificate, its key and the authority's certificate, all three");
  }
  SLUICE_ASSIGN_OR_RETURN(pem.certificate, ReadFile(options.certificate, kMaxKeyFile));
  SLUICE_ASSIGN_OR_RETURN(pem.key, ReadFile(options.key, kMaxKeyFile));
  SLUICE_ASSIGN_OR_RETURN(pem.authority, ReadFile(options.authority, kMaxKeyFile));
  return pem;
}

void SilentLog(gpr_log_func_args*) {}

// A path that cannot be looked at is an error, not a file that is missing.
Result<bool> Exists(const std::filesystem::path& path) {
  std::error_code error;
  const bool there = std::filesystem::exists(path, error);
  return error ? Result<bool>(IoError(fmt::format("{}: {}", path.string(), error.message()))) : there;
}

/// False for loopback and for what --no-tls allows.
Result<bool> NeedsTls(const TrustOptions& options, std::string_view address, std::string_view what) {
  if (!options.certificate.empty() || !options.authority.empty()) return true;
  SLUICE_ASSIGN_OR_RETURN(const bool loopback, IsLoopback(address));
  if (loopback || options.plaintext) return false;
  return InvalidArgument(fmt::format("{} {} without keys: {}", what, address, kAdvice));
}

}  // namespace

void PrepareGrpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    setenv("GRPC_SSL_CIPHER_SUITES", "PSK-AES256-GCM-SHA384", /*overwrite=*/1);
    if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function(&SilentLog);
  });
}

Result<TrustOptions> TrustFromFolder(const std::filesystem::path& folder) {
  TrustOptions options{folder / "node.pem", folder / "node.key", folder / "ca.pem", "", false};
  for (const auto& path : {options.certificate, options.key, options.authority}) {
    SLUICE_ASSIGN_OR_RETURN(const bool there, Exists(path));
    if (!there) {
      return IoError(fmt::format("{}: does not exist; `sluice keys` makes such folders", path.string()));
    }
  }
  SLUICE_ASSIGN_OR_RETURN(const bool has_token, Exists(folder / "token"));
  if (has_token) {
    SLUICE_ASSIGN_OR_RETURN(options.token, ReadToken(folder / "token"));
  }
  return options;
}

Result<std::string> ReadToken(const std::filesystem::path& file, const char* variable) {
  std::string token;
  if (file.empty()) {
    const char* value = std::getenv(variable);
    if (value == nullptr) return token;
    token = value;
  } else {
    SLUICE_ASSIGN_OR_RETURN(token, ReadFile(file, kMaxToken));
  }
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  const std::string where = file.empty() ? variable : file.string();
  if (token.empty()) return InvalidArgument(where + ": the token is empty");
  const bool printable = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!printable || token.size() > kMaxToken) {
    return InvalidArgument(where + ": a token is one word of printable ASCII characters");
  }
  return token;
}

bool SameToken(std::string_view expected, std::string_view got) {
  const Sha256Digest a = Sha256::Of(AsBytes(expected)), b = Sha256::Of(AsBytes(got));
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<bool> IsLoopback(std::string_view address) {
  const size_t colon = address.rfind(':');
  const char* const end = address.data() + address.size();
  uint16_t port = 0;
  bool valid = colon != std::string_view::npos && colon > 0 && address.size() - colon <= 6;
  if (valid) {
    const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
    valid = parsed.ec == std::errc() && parsed.ptr == end;
  }
  if (!valid) {
    return InvalidArgument(fmt::format("'{}' is not HOST:PORT, for example 127.0.0.1:7070", address));
  }
  const std::string_view host = address.substr(0, colon);
  if (host == "localhost" || host == "[::1]") return true;
  const bool numbers = std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
  return numbers && host.starts_with("127.") && std::count(host.begin(), host.end(), '.') == 3;
}

Result<std::shared_ptr<grpc::ServerCredentials>> ServerTrust(const TrustOptions& options, std::string_view listen) {
  PrepareGrpc();
  SLUICE_ASSIGN_OR_RETURN(const bool tls, NeedsTls(options, listen, "listening on"));
  if (!tls) return grpc::InsecureServerCredentials();
  SLUICE_ASSIGN_OR_RETURN(const Pem pem, ReadPem(options));
  grpc::SslServerCredentialsOptions ssl(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  ssl.pem_root_certs = pem.authority;
  ssl.pem_key_cert_pairs.push_back({pem.key, pem.certificate});
  return grpc::SslServerCredentials(ssl);
}

Result<std::shared_ptr<grpc::ChannelCredentials>> ClientTrust(const TrustOptions& options, std::string_view target) {
  PrepareGrpc();
  SLUICE_ASSIGN_OR_RETURN(const bool tls, NeedsTls(options, target, "connecting to"));
  if (!tls) return grpc::InsecureChannelCredentials();
  SLUICE_ASSIGN_OR_RETURN(const Pem pem, ReadPem(options));
  return grpc::SslCredentials(
      {.pem_root_certs = pem.authority, .pem_private_key = pem.key, .pem_cert_chain = pem.certificate});
}

}  // namespace sluice
