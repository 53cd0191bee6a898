// Enough of a certificate authority for a trial between a few machines of one's own: one signature deep, no revocation.
// ECDSA on P-256 because every TLS library has it and its certificates are small. Subject alternative names carry the
// hosts, since nothing else of a certificate is compared with the name that a peer was reached by.
#include "wire/keys/trial_keys.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <memory>
#include <set>

#include "base/file.h"
#include "base/hash.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* object) const { Free(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION, X509_EXTENSION_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO, BIO_free_all>>;

constexpr int kMostDays = 3650;
constexpr int kVersion3 = 2;  // as X.509 counts
constexpr long kSecondsOfDay = 86'400;
constexpr long kClockSlack = 300;  // machines' clocks differ
constexpr uint64_t kMaxPem = 1 << 16;

struct Authority {
  Key key;
  Certificate certificate;
};

Status Failed(std::string_view what) { return Internal(fmt::format("OpenSSL could not {}", what)); }

bool IsAddress(const std::string& host) {
  return host.find(':') != std::string::npos ||
         (host.find('.') != std::string::npos && host.find_first_not_of("0123456789.") == std::string::npos);
}

Status AddExtension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return InvalidArgument(fmt::format("'{}' cannot be put into a certificate", value));
  }
  return OkStatus();
}

Status SetSerial(X509* certificate) {
  uint64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return Failed("find randomness");
  return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1
             ? OkStatus()
             : Failed("set a serial number");
}

/// A certificate of `key` without extensions and signature.
Result<Certificate> Blank(const std::string& name, EVP_PKEY* key, X509* issuer, int days) {
  Certificate certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), kVersion3) != 1) return Failed("make a certificate");
  SLUICE_RETURN_IF_ERROR(SetSerial(certificate.get()));
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kClockSlack);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), days * kSecondsOfDay);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
  const bool sound = X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1 &&
                     X509_set_issuer_name(certificate.get(), issuer ? X509_get_subject_name(issuer) : subject) == 1 &&
                     X509_set_pubkey(certificate.get(), key) == 1;
  if (!sound) return Failed("fill in a certificate");
  return certificate;
}

Result<std::string> Pem(const std::function<int(BIO*)>& write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return Failed("write PEM");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

Status WriteCertificate(const fs::path& path, X509* certificate) {
  SLUICE_ASSIGN_OR_RETURN(const std::string pem, Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); }));
  return WriteFileAtomic(path, std::string_view(pem));
}

/// Nobody but the owner reads it, from its first byte on: the folder is closed before the file is there.
Status WriteSecret(const fs::path& path, std::string_view text) {
  SLUICE_RETURN_IF_ERROR(WriteFileAtomic(path, text));
  if (chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) return IoError(path.string() + ": its rights cannot be set");
  return OkStatus();
}

Status WriteKey(const fs::path& path, EVP_PKEY* key) {
  SLUICE_ASSIGN_OR_RETURN(const std::string pem, Pem([&](BIO* bio) {
                            return PEM_write_bio_PKCS8PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
                          }));
  return WriteSecret(path, pem);
}

Status MakePrivateFolder(const fs::path& folder) {
  SLUICE_RETURN_IF_ERROR(MakeFolder(folder));
  if (chmod(folder.c_str(), S_IRWXU) != 0) return IoError(folder.string() + ": its rights cannot be set");
  return OkStatus();
}

Result<Authority> MakeAuthority(const fs::path& folder) {
  Authority authority{Key(EVP_EC_gen("P-256")), nullptr};
  if (!authority.key) return Failed("make a key");
  SLUICE_ASSIGN_OR_RETURN(authority.certificate,
                          Blank("sluice trial authority", authority.key.get(), nullptr, kMostDays));
  X509* certificate = authority.certificate.get();
  SLUICE_RETURN_IF_ERROR(AddExtension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  SLUICE_RETURN_IF_ERROR(AddExtension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign"));
  SLUICE_RETURN_IF_ERROR(AddExtension(certificate, certificate, NID_subject_key_identifier, "hash"));
  if (X509_sign(certificate, authority.key.get(), EVP_sha256()) == 0) return Failed("sign");
  SLUICE_RETURN_IF_ERROR(MakePrivateFolder(folder));
  SLUICE_RETURN_IF_ERROR(WriteKey(folder / "ca.key", authority.key.get()));
  std::array<uint8_t, 32> secret;
  if (RAND_bytes(secret.data(), static_cast<int>(secret.size())) != 1) return Failed("find randomness");
  SLUICE_RETURN_IF_ERROR(WriteSecret(folder / "token", ToHex(secret) + "\n"));
  SLUICE_RETURN_IF_ERROR(WriteCertificate(folder / "ca.pem", certificate));
  return authority;
}

Result<Authority> LoadAuthority(const fs::path& folder) {
  SLUICE_ASSIGN_OR_RETURN(const std::string key, ReadFile(folder / "ca.key", kMaxPem));
  SLUICE_ASSIGN_OR_RETURN(const std::string certificate, ReadFile(folder / "ca.pem", kMaxPem));
  const Bio key_bio(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())));
  const Bio certificate_bio(BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size())));
  Authority authority{Key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr)),
                      Certificate(PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr))};
  if (authority.key && authority.certificate &&
      X509_check_private_key(authority.certificate.get(), authority.key.get()) == 1) {
    return authority;
  }
  return Corrupt(folder.string() + ": ca.pem and ca.key are not an authority");
}

Status MakeNode(const fs::path& folder, const KeyOwner& owner, const Authority& authority, const std::string& token,
                int days) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return Failed("make a key");
  X509* issuer = authority.certificate.get();
  SLUICE_ASSIGN_OR_RETURN(const Certificate certificate, Blank(owner.name, key.get(), issuer, days));
  std::string names = "DNS:localhost,IP:127.0.0.1,IP:::1";
  for (const std::string& host : owner.hosts) names += (IsAddress(host) ? ",IP:" : ",DNS:") + host;
  const std::array<std::pair<int, std::string>, 4> extensions = {{{NID_basic_constraints, "critical,CA:FALSE"},
                                                                  {NID_key_usage, "critical,digitalSignature"},
                                                                  {NID_ext_key_usage, "serverAuth,clientAuth"},
                                                                  {NID_subject_alt_name, names}}};
  for (const auto& [id, value] : extensions) SLUICE_RETURN_IF_ERROR(AddExtension(certificate.get(), issuer, id, value));
  if (X509_sign(certificate.get(), authority.key.get(), EVP_sha256()) == 0) return Failed("sign");
  SLUICE_RETURN_IF_ERROR(MakePrivateFolder(folder));
  SLUICE_RETURN_IF_ERROR(WriteKey(folder / "node.key", key.get()));
  SLUICE_RETURN_IF_ERROR(WriteSecret(folder / "token", token));
  SLUICE_RETURN_IF_ERROR(WriteCertificate(folder / "ca.pem", issuer));
  return WriteCertificate(folder / "node.pem", certificate.get());
}

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '.' || c == '_';
  });
}

}  // namespace

Result<KeyOwner> ParseKeyOwner(std::string_view text) {
  const size_t equals = std::min(text.find('='), text.size());
  KeyOwner owner{std::string(text.substr(0, equals)), {}};
  const bool folder = owner.name == "." || owner.name == ".." || owner.name == "authority";
  if (!IsName(owner.name) || folder) {
    return InvalidArgument(fmt::format("'{}' cannot name a node: letters, digits, '-', '.', '_'", owner.name));
  }
  std::string_view rest = equals < text.size() ? text.substr(equals + 1) : "";
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string host(rest.substr(0, comma));
    const bool address = host.find_first_not_of("0123456789abcdefABCDEF:") == std::string::npos;
    if (host.empty() || !(IsName(host) || address)) return InvalidArgument(fmt::format("'{}' is not a host", host));
    owner.hosts.push_back(host);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return owner;
}

Status MakeTrialKeys(const fs::path& folder, const std::vector<KeyOwner>& owners, int days) {
  if (owners.empty()) return InvalidArgument("no node is named");
  if (days < 1 || days > kMostDays) return InvalidArgument(fmt::format("{} days, expected 1 to {}", days, kMostDays));
  std::set<std::string> names;
  for (const KeyOwner& owner : owners) {
    if (!names.insert(owner.name).second) return InvalidArgument(fmt::format("{} is named twice", owner.name));
  }
  const fs::path home = folder / "authority";
  std::error_code error;
  SLUICE_ASSIGN_OR_RETURN(const Authority authority,
                          fs::exists(home / "ca.pem", error) ? LoadAuthority(home) : MakeAuthority(home));
  SLUICE_ASSIGN_OR_RETURN(const std::string token, ReadFile(home / "token", kMaxPem));
  for (const KeyOwner& owner : owners) {
    SLUICE_RETURN_IF_ERROR(MakeNode(folder / owner.name, owner, authority, token, days));
  }
  return OkStatus();
}

}  // namespace sluice
