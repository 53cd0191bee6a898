#include "codec/certificate.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace sluice {
namespace {

std::vector<uint8_t> TinyPack(uint32_t width = 8) {
  PackInfo info{.codec = "static", .model_hash = Sha256::Of(AsBytes("model")), .width = width, .precision_bits = 12};
  PackWriter writer(info);
  writer.SetOperatingPoints({{"good", 0.001, 100}, {"cheap", 0.01, 50}});
  return *writer.Serialize();
}

Certificate Sample(std::span<const uint8_t> pack) {
  Certificate certificate;
  certificate.model = Sha256::Of(AsBytes("model"));
  certificate.pack = Pack::FromBytes(pack)->hash();
  certificate.corpus = Sha256::Of(AsBytes("text"));
  certificate.cut = 2;
  certificate.width = 8;
  certificate.tokens = 1000;
  certificate.windows = 10;
  certificate.seed = 7;
  certificate.program = "sluice test";
  certificate.points = {
      {"good", 100.5, 5.05, 5, {1.01, 1.005, 1.015}, {0.01, 0.009, 0.011}, {0.98, 0.97, 0.99}, {0.9, 0.8, 1}, {}},
      {"cheap", 50.25, 5.25, 5, {1.05, 1.04, 1.06}, {0.05, 0.04, 0.06}, {0.9, 0.88, 0.92}, {0.5, 0.4, 0.6}, {}}};
  certificate.points[0].tasks["last-word"] = -0.25;
  return certificate;
}

Result<PointVerdicts> JudgeWith(const std::vector<uint8_t>& pack, const std::string& json,
                                std::string_view requirement) {
  const auto bytes = WithCertificate(pack, json);
  EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
  return Requirement::Parse(requirement)->Judge(*Pack::FromBytes(*bytes));
}

TEST(CertificateTest, RoundTripsThroughJson) {
  const Certificate certificate = Sample(TinyPack());
  const auto parsed = Certificate::Parse(certificate.ToJson());
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed->ToJson(), certificate.ToJson());
  EXPECT_EQ(parsed->points[0].tasks.at("last-word"), -0.25);
}

TEST(CertificateTest, RejectsWhatIsNoCertificate) {
  const std::string good = Sample(TinyPack()).ToJson();
  EXPECT_EQ(Certificate::Parse("").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(Certificate::Parse("[1]").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(Certificate::Parse("{}").status().code(), StatusCode::kCorrupt);
  EXPECT_EQ(Certificate::Parse("{\"certificate\": 2}").status().code(), StatusCode::kUnsupported);
  std::string broken = good;
  broken.replace(broken.find("perplexity_ratio"), 10, "PERPLEXITY");
  EXPECT_EQ(Certificate::Parse(broken).status().code(), StatusCode::kCorrupt);
  broken = good;
  broken.replace(broken.find("pack_hash") + 13, 1, "x");
  EXPECT_EQ(Certificate::Parse(broken).status().code(), StatusCode::kCorrupt);
}

TEST(CertificateTest, MatchesRequirementsAgainstTheWorseEndOfEachPoint) {
  const auto pack = TinyPack();
  const std::string json = Sample(pack).ToJson();
  const auto codes = [&](std::string_view requirement) {
    const auto verdicts = JudgeWith(pack, json, requirement);
    EXPECT_TRUE(verdicts.ok()) << verdicts.status().ToString();
    std::vector<StatusCode> got;
    for (const Status& one : *verdicts) got.push_back(one.code());
    return got;
  };
  using Codes = std::vector<StatusCode>;
  const StatusCode met = StatusCode::kOk, below = StatusCode::kMismatch;
  EXPECT_EQ(codes("ppl<=1.06,top1>=0.88,kl<=0.06,greedy>=0.4,bits<=100.5"), (Codes{met, met}));
  // The measured values of the second point meet these, the ends of its intervals do not.
  EXPECT_EQ(codes("ppl<=1.055"), (Codes{met, below}));
  EXPECT_EQ(codes("top1>=0.89"), (Codes{met, below}));
  EXPECT_EQ(codes("bits<=60"), (Codes{below, met}));
  EXPECT_EQ(codes("ppl<=1.01"), (Codes{below, below}));
}

TEST(CertificateTest, RejectsOnlyThePointsThatAreBelow) {
  const auto pack = TinyPack();
  const PointVerdicts verdicts = *JudgeWith(pack, Sample(pack).ToJson(), "kl<=1,ppl<=1.03");
  EXPECT_TRUE(VerdictOn(verdicts, 0).ok());
  const Status status = VerdictOn(verdicts, 1);
  EXPECT_EQ(status.code(), StatusCode::kMismatch);
  EXPECT_NE(status.message().find("\"cheap\": ppl<=1.03 is required, certified is 1.0600"), std::string::npos)
      << status.message();
  EXPECT_EQ(VerdictOn(verdicts, 2).code(), StatusCode::kMismatch);
  EXPECT_EQ(VerdictOn(verdicts, -1).code(), StatusCode::kMismatch);
  EXPECT_EQ(*AllowedPoints(verdicts), std::vector<int>{0});
  EXPECT_EQ(AllowedPoints(*JudgeWith(pack, Sample(pack).ToJson(), "ppl<=1")).status().code(), StatusCode::kMismatch);
  EXPECT_TRUE(VerdictOn({}, 7).ok()) << "nothing is required";
  EXPECT_TRUE(AllowedPoints({})->empty());
}

TEST(CertificateTest, RejectsCertificatesThatAreMissingOrForeign) {
  const auto pack = TinyPack();
  const auto code = [&](const std::vector<uint8_t>& bytes, const std::string& json) {
    return JudgeWith(bytes, json, "ppl<=2").status().code();
  };
  EXPECT_EQ(code(pack, ""), StatusCode::kMismatch);
  EXPECT_EQ(code(TinyPack(9), Sample(pack).ToJson()), StatusCode::kMismatch);
  Certificate other = Sample(pack);
  other.model = Sha256::Of(AsBytes("another"));
  EXPECT_EQ(code(pack, other.ToJson()), StatusCode::kMismatch);
  EXPECT_EQ(code(pack, "{\"certificate\": 1}"), StatusCode::kCorrupt);
}

TEST(CertificateTest, RejectsThePointsThatACertificateLacks) {
  const auto pack = TinyPack();
  Certificate partial = Sample(pack);
  partial.points.erase(partial.points.begin());
  PointVerdicts verdicts = *JudgeWith(pack, partial.ToJson(), "ppl<=2");
  EXPECT_EQ(VerdictOn(verdicts, 0).code(), StatusCode::kMismatch);
  EXPECT_NE(VerdictOn(verdicts, 0).message().find("\"good\": the certificate does not cover it"), std::string::npos);
  EXPECT_TRUE(VerdictOn(verdicts, 1).ok());
  partial.points[0].name = "another";
  verdicts = *JudgeWith(pack, partial.ToJson(), "ppl<=2");
  EXPECT_EQ(AllowedPoints(verdicts).status().code(), StatusCode::kMismatch);
  partial.points.clear();
  EXPECT_EQ(VerdictOn(*JudgeWith(pack, partial.ToJson(), "ppl<=2"), 0).code(), StatusCode::kMismatch);
}

TEST(CertificateTest, RejectsRequirementsThatAreNotUnderstood) {
  for (const char* text : {"", "ppl", "ppl<1.03", "ppl>=1.03", "top1<=0.9", "ppl<=", "ppl<=x", "ppl<=1.03,", "ppl<=nan",
                           "ppl<=1.03 ", "speed>=3", ",ppl<=1", "ppl<=1e999"}) {
    EXPECT_EQ(Requirement::Parse(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace sluice
