#include "wire/trust.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "wire/keys/trial_keys.h"
#include "wire/tiny_network_test.h"

namespace sluice {
namespace {

class TrustTest : public ::testing::Test {
 protected:
  TrustTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-trust-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~TrustTest() override { std::filesystem::remove_all(folder_); }

  TrustOptions Keys(const std::string& folder, const std::string& node) {
    EXPECT_TRUE(MakeTrialKeys(folder_ / folder, {*ParseKeyOwner(node)}, 2).ok());
    return *TrustFromFolder(folder_ / folder / ParseKeyOwner(node)->name);
  }
  static Result<HeadOutcome> Ask(const TestNode& node, const TrustOptions& trust) {
    return TestHead::Connect(3, "fp32", node.server->address(), trust).head->Generate(RequestOf(9, 1), nullptr);
  }

  std::filesystem::path folder_;
};

TEST_F(TrustTest, RoundTripsASessionBetweenNodesOfOneAuthority) {
  NodeOptions options;
  options.trust = Keys("a", "tail=tail.lan,10.0.0.2");
  const TestNode node = TestNode::Serve(3, 6, "fp32", options);
  const auto outcome = Ask(node, Keys("a", "head"));
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(IdsOf(*outcome), TinyNetwork::Uncut(RequestOf(9, 1)));
}

TEST_F(TrustTest, RejectsStrangers) {
  NodeOptions options;
  options.trust = Keys("a", "tail");
  const TestNode node = TestNode::Serve(3, 6, "fp32", options);
  EXPECT_FALSE(Ask(node, {}).ok());                 // no TLS at all
  EXPECT_FALSE(Ask(node, Keys("b", "head")).ok());  // another authority on both sides
  TrustOptions half = Keys("b", "head");            // trusts the node, shows a stranger's certificate
  half.authority = options.trust.authority;
  half.token = options.trust.token;
  EXPECT_FALSE(Ask(node, half).ok());
  TrustOptions silent = Keys("a", "head");
  silent.token.clear();
  EXPECT_EQ(Ask(node, silent).status().code(), StatusCode::kDenied);
}

TEST_F(TrustTest, RejectsTlsBeforeOneThree) {
  NodeOptions options;
  options.trust = Keys("a", "tail");
  const TestNode node = TestNode::Serve(3, 6, "fp32", options);
  const auto connects = [&](const std::string& version) {
    const std::string command = "openssl s_client -connect " + node.server->address() + " -alpn h2 " + version +
                                " -cert " + options.trust.certificate.string() + " -key " + options.trust.key.string() +
                                " -CAfile " + options.trust.authority.string() +
                                " -verify_return_error </dev/null >/dev/null 2>&1";
    return system(command.c_str()) == 0;
  };
  if (system("openssl version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no openssl program to try old TLS with";
  EXPECT_TRUE(connects("-tls1_3"));
  EXPECT_FALSE(connects("-tls1_2"));
}

TEST_F(TrustTest, RejectsFilesThatAreNotKeys) {
  EXPECT_EQ(TrustFromFolder(folder_ / "none").status().code(), StatusCode::kIo);
  std::ofstream(folder_ / "empty") << "\n";
  std::ofstream(folder_ / "two") << "a b\n";
  std::ofstream(folder_ / "good") << "abc\n";
  EXPECT_EQ(ReadToken(folder_ / "empty").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadToken(folder_ / "two").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadToken(folder_ / "none").status().code(), StatusCode::kIo);
  EXPECT_EQ(*ReadToken(folder_ / "good"), "abc");
  EXPECT_TRUE(SameToken("abc", "abc"));
  EXPECT_FALSE(SameToken("abc", "abcd"));
  EXPECT_FALSE(SameToken("abc", ""));
}

TEST_F(TrustTest, Regresses_FolderOfKeysThatCannotBeLookedAt) {
  const Status status = TrustFromFolder(folder_ / std::string(300, 'x')).status();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_NE(status.message().find("too long"), std::string::npos) << status.message();
}

TEST_F(TrustTest, RejectsOpenAddressesWithoutKeys) {
  for (const char* address : {"127.0.0.1:1", "127.9.9.9:65535", "localhost:80", "[::1]:7"}) {
    EXPECT_TRUE(*IsLoopback(address)) << address;
    EXPECT_TRUE(ServerTrust({}, address).ok());
  }
  for (const char* address : {"0.0.0.0:1", "10.0.0.1:1", "127.0.0.1.evil.example:1", "[::]:1", "tail.lan:7070"}) {
    EXPECT_FALSE(*IsLoopback(address)) << address;
    EXPECT_EQ(ServerTrust({}, address).status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(ClientTrust({}, address).status().code(), StatusCode::kInvalidArgument);
    TrustOptions open;
    open.plaintext = true;
    EXPECT_TRUE(ClientTrust(open, address).ok());
  }
  for (const char* address :
       {"127.0.0.1:65536", "127.0.0.1:000080", "", "host", ":1", "host:", "host:x", "host:123456"}) {
    EXPECT_EQ(IsLoopback(address).status().code(), StatusCode::kInvalidArgument) << address;
  }
}

TEST_F(TrustTest, MatchesRightsOfSecretFiles) {
  const TrustOptions trust = Keys("a", "tail");
  struct stat about {};
  for (const auto& path : {trust.key, folder_ / "a" / "authority" / "ca.key", folder_ / "a" / "tail" / "token"}) {
    ASSERT_EQ(stat(path.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600U) << path;
  }
  for (const char* name : {"..", "a/b", "", "authority", "x=a b", "x=,"}) {
    EXPECT_EQ(ParseKeyOwner(name).status().code(), StatusCode::kInvalidArgument) << name;
  }
}

}  // namespace
}  // namespace sluice
