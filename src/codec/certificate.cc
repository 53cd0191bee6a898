// A certificate is JSON, since people read it too; the pack embeds it outside of its hash, so that certifying does not
// change the codec. It names the pack's hash itself: one that was cut out of another pack is refused.
#include "codec/certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace sluice {
namespace {

using nlohmann::ordered_json;

/// A metric that can be demanded: which end of its interval counts against a bound.
struct Metric {
  const char* name;
  bool upper;  ///< its bound is an upper one
  double (*worst)(const CertifiedPoint& point);
};

constexpr Metric kMetrics[] = {
    {"ppl", true, [](const CertifiedPoint& p) { return p.ppl.high; }},
    {"kl", true, [](const CertifiedPoint& p) { return p.kl.high; }},
    {"bits", true, [](const CertifiedPoint& p) { return p.bits_per_token; }},
    {"top1", false, [](const CertifiedPoint& p) { return p.top1.low; }},
    {"greedy", false, [](const CertifiedPoint& p) { return p.greedy.low; }},
};

const Metric* FindMetric(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kMetrics), std::end(kMetrics), [&](const Metric& m) { return m.name == name; });
  return found == std::end(kMetrics) ? nullptr : found;
}

ordered_json MeasuredJson(const Measured& m) { return {{"value", m.value}, {"low", m.low}, {"high", m.high}}; }

/// Throws nlohmann's exceptions, which Parse turns into a Status; a number that is not finite is not in JSON.
Measured MeasuredFrom(const ordered_json& json) {
  return {json.at("value").get<double>(), json.at("low").get<double>(), json.at("high").get<double>()};
}

Sha256Digest DigestFrom(const ordered_json& json) {
  const auto digest = DigestFromHex(json.get<std::string>());
  if (!digest.has_value()) throw std::invalid_argument("a hash is not 64 hexadecimal digits");
  return *digest;
}

CertifiedPoint PointFrom(const ordered_json& json) {
  CertifiedPoint point;
  point.name = json.at("point").get<std::string>();
  point.bits_per_token = json.at("bits_per_token").get<double>();
  point.perplexity = json.at("perplexity").get<double>();
  point.uncut_perplexity = json.at("uncut_perplexity").get<double>();
  point.ppl = MeasuredFrom(json.at("perplexity_ratio"));
  point.kl = MeasuredFrom(json.at("kl_nats"));
  point.top1 = MeasuredFrom(json.at("top1_agreement"));
  point.greedy = MeasuredFrom(json.at("greedy_agreement"));
  point.tasks = json.at("tasks").get<std::map<std::string, double>>();
  return point;
}

Certificate CertificateFrom(const ordered_json& json) {
  Certificate certificate;
  certificate.model = DigestFrom(json.at("model_hash"));
  certificate.pack = DigestFrom(json.at("pack_hash"));
  certificate.corpus = DigestFrom(json.at("corpus_hash"));
  certificate.cut = json.at("cut").get<int64_t>();
  certificate.width = json.at("width").get<int64_t>();
  certificate.tokens = json.at("tokens").get<int64_t>();
  certificate.windows = json.at("windows").get<int64_t>();
  certificate.seed = json.at("seed").get<uint64_t>();
  certificate.program = json.at("program").get<std::string>();
  for (const auto& point : json.at("points")) certificate.points.push_back(PointFrom(point));
  return certificate;
}

}  // namespace

std::string Certificate::ToJson() const {
  ordered_json json = {{"certificate", kCertificateVersion},
                       {"model_hash", ToHex(model)},
                       {"pack_hash", ToHex(pack)},
                       {"corpus_hash", ToHex(corpus)},
                       {"cut", cut},
                       {"width", width},
                       {"tokens", tokens},
                       {"windows", windows},
                       {"seed", seed},
                       {"program", program},
                       {"points", ordered_json::array()}};
  for (const CertifiedPoint& point : points) {
    json["points"].push_back({{"point", point.name},
                              {"bits_per_token", point.bits_per_token},
                              {"perplexity", point.perplexity},
                              {"uncut_perplexity", point.uncut_perplexity},
                              {"perplexity_ratio", MeasuredJson(point.ppl)},
                              {"kl_nats", MeasuredJson(point.kl)},
                              {"top1_agreement", MeasuredJson(point.top1)},
                              {"greedy_agreement", MeasuredJson(point.greedy)},
                              {"tasks", point.tasks}});
  }
  return json.dump(1);
}

Result<Certificate> Certificate::Parse(std::string_view text) {
  const auto json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Corrupt("certificate: not a JSON object");
  if (!json.contains("certificate") || !json["certificate"].is_number_integer()) {
    return Corrupt("certificate: no version in \"certificate\"");
  }
  if (json["certificate"] != kCertificateVersion) {
    return Unsupported(
        fmt::format("certificate: version {}, this build reads {}", json["certificate"].dump(), kCertificateVersion));
  }
  try {
    return CertificateFrom(json);
  } catch (const std::exception& e) {
    return Corrupt(fmt::format("certificate: {}", e.what()));
  }
}

Result<Requirement> Requirement::Parse(std::string_view text) {
  Requirement requirement;
  while (true) {
    const std::string_view term = text.substr(0, text.find(','));
    const size_t sign = term.find_first_of("<>");
    const Metric* const metric = FindMetric(term.substr(0, sign));
    if (metric == nullptr) {
      return InvalidArgument(fmt::format("requirement \"{}\": expected ppl<=, kl<=, bits<=, top1>= or greedy>=", term));
    }
    const std::string_view expected = metric->upper ? "<=" : ">=";
    if (sign == std::string_view::npos || term.substr(sign, 2) != expected) {
      return InvalidArgument(fmt::format("requirement \"{}\": expected {}{}NUMBER", term, metric->name, expected));
    }
    const std::string_view number = term.substr(sign + 2);
    double bound = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bound);
    if (error != std::errc() || end != number.data() + number.size() || !std::isfinite(bound)) {
      return InvalidArgument(fmt::format("requirement \"{}\": expected a number, got \"{}\"", term, number));
    }
    requirement.terms_.push_back({metric->name, bound});
    if (term.size() == text.size()) return requirement;
    text.remove_prefix(term.size() + 1);
  }
}

Status Requirement::JudgePoint(const CertifiedPoint& point) const {
  for (const Term& term : terms_) {
    const Metric& metric = *FindMetric(term.metric);
    const double worst = metric.worst(point);
    const bool met = metric.upper ? worst <= term.bound : worst >= term.bound;
    if (!met) {
      return Mismatch(fmt::format("operating point \"{}\": {}{}{} is required, certified is {:.4f}", point.name,
                                  term.metric, metric.upper ? "<=" : ">=", term.bound, worst));
    }
  }
  return OkStatus();
}

Result<PointVerdicts> Requirement::Judge(const Pack& pack) const {
  if (pack.certificate().empty()) {
    return Mismatch("the pack has no certificate, one is required: `sluice certify` makes it");
  }
  SLUICE_ASSIGN_OR_RETURN(const Certificate certificate, Certificate::Parse(pack.certificate()));
  if (certificate.pack != pack.hash()) {
    return Mismatch(fmt::format("the certificate is for pack {}, this is {}", ToHex(certificate.pack).substr(0, 16),
                                ToHex(pack.hash()).substr(0, 16)));
  }
  const bool any_model = pack.info().model_hash == Sha256Digest{};
  if (!any_model && certificate.model != pack.info().model_hash) {
    return Mismatch(fmt::format("the certificate is for model {}, the pack for {}",
                                ToHex(certificate.model).substr(0, 16), ToHex(pack.info().model_hash).substr(0, 16)));
  }
  PointVerdicts verdicts;
  for (const OperatingPoint& own : pack.operating_points()) {
    Status verdict = Mismatch(fmt::format("operating point \"{}\": the certificate does not cover it", own.name));
    for (const CertifiedPoint& point : certificate.points) {
      if (point.name != own.name) continue;
      verdict = JudgePoint(point);
      if (!verdict.ok()) break;
    }
    verdicts.push_back(std::move(verdict));
  }
  // A pack that names none has one, whatever the certificate calls it.
  if (verdicts.empty() && certificate.points.size() == 1) verdicts.push_back(JudgePoint(certificate.points.front()));
  if (verdicts.empty()) verdicts.push_back(Mismatch("the certificate covers none of the pack's operating points"));
  return verdicts;
}

Status VerdictOn(const PointVerdicts& verdicts, int point) {
  if (verdicts.empty()) return OkStatus();
  if (point >= 0 && static_cast<size_t>(point) < verdicts.size()) return verdicts[static_cast<size_t>(point)];
  return Mismatch(fmt::format("operating point {}: the certificate covers {}", point, verdicts.size()));
}

Result<std::vector<int>> AllowedPoints(const PointVerdicts& verdicts) {
  std::vector<int> points;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i].ok()) points.push_back(static_cast<int>(i));
  }
  if (points.empty() && !verdicts.empty()) return verdicts.front();
  return points;
}

}  // namespace sluice
