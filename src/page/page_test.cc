#include "page/page.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "page/page_assets.h"
#include "page/page_escape.h"
#include "page/page_sample.h"

namespace sluice {
namespace {

constexpr char kHostile[] = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' &amp; -->";

std::string Render(const PageContent& content) {
  Result<std::string> html = RenderPage(content);
  EXPECT_TRUE(html.ok()) << html.status().ToString();
  return html.ok() ? *html : "";
}

// The text of the script element with this id.
std::string ScriptText(const std::string& html, const std::string& id) {
  const std::string open = "<script type=\"application/json\" id=\"" + id + "\">";
  const size_t from = html.find(open) + open.size();
  return html.substr(from, html.find("</script>", from) - from);
}

void ExpectRejects(const PageContent& content, const std::string& part_of_message) {
  const Result<std::string> html = RenderPage(content);
  ASSERT_FALSE(html.ok());
  EXPECT_EQ(html.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(html.status().message().find(part_of_message), std::string::npos) << html.status().message();
}

TEST(PageTest, MatchesItselfOnEveryRun) { EXPECT_EQ(Render(SamplePage()), Render(SamplePage())); }

TEST(PageTest, RejectsEveryConnection) {
  const std::string html = Render(SamplePage());
  EXPECT_NE(html.find("default-src &#39;none&#39;"), std::string::npos);
  EXPECT_EQ(html.find(" src="), std::string::npos);
  EXPECT_EQ(html.find("@import"), std::string::npos);
  EXPECT_EQ(html.find("url("), std::string::npos);
  EXPECT_EQ(Occurrences(html, "<link"), 1u) << "only the empty icon";
}

TEST(PageTest, MatchesThePolicyWithTheScripts) {
  const std::string html = Render(SamplePage());
  for (const std::string_view script : {UplotScript(), PageScript()}) {
    ASSERT_GT(script.size(), 1000u);
    EXPECT_NE(html.find("sha256-" + Base64(Sha256::Of(AsBytes(script)))), std::string::npos);
    EXPECT_NE(html.find("<script>" + std::string(script) + "</script>"), std::string::npos);
  }
}

TEST(PageTest, RoundTripsTheRawDocument) {
  PageContent content = SamplePage();
  content.json = R"({"name":"a<b>&\u2028 é","list":[1,2.5,null]})";
  const std::string embedded = ScriptText(Render(content), "document");
  EXPECT_EQ(embedded.find('<'), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(embedded), nlohmann::json::parse(content.json));
}

TEST(PageTest, RoundTripsNumbersExactly) {
  PageContent content;
  content.blocks = {
      PlotBlock{.title = "t", .series = {{.name = "s", .x = {0.1, 1e-300, 3}, .y = {1.0 / 3, NAN, -0.0}}}}};
  const auto blocks = nlohmann::json::parse(ScriptText(Render(content), "blocks"));
  EXPECT_EQ(blocks[0]["series"][0]["x"][1].get<double>(), 1e-300);
  EXPECT_EQ(blocks[0]["series"][0]["y"][0].get<double>(), 1.0 / 3);
  EXPECT_TRUE(blocks[0]["series"][0]["y"][1].is_null());
}

TEST(PageTest, RejectsNoTextAndRunsNoneOfIt) {
  const std::string harmless = Render(SamplePage());
  const std::string html = Render(HostilePage(kHostile));
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_EQ(html.find("alert(1)</script>"), std::string::npos);
  EXPECT_EQ(Occurrences(html, "<script"), Occurrences(harmless, "<script"));
  EXPECT_EQ(Occurrences(html, "</script>"), Occurrences(harmless, "</script>"));
  EXPECT_NE(html.find(EscapeHtml(kHostile)), std::string::npos);
}

TEST(PageTest, RoundTripsOnlyValidUtf8) {
  const std::string html = Render(HostilePage("a\xFF\xC3(\xED\xA0\x80\x01z"));
  EXPECT_NE(html.find("a\xEF\xBF\xBD\xEF\xBF\xBD("), std::string::npos);
  EXPECT_EQ(html.find('\xFF'), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
}

TEST(PageTest, MatchesTheFactsAndBarsWithoutScript) {
  const std::string html = Render(SamplePage());
  EXPECT_NE(html.find("<dd class=\"value\">151.8</dd>"), std::string::npos);
  EXPECT_NE(html.find("<div class=\"total\">151.8</div>"), std::string::npos);
  EXPECT_NE(html.find("sluice eval --model"), std::string::npos);
}

TEST(PageTest, RejectsSeriesOfUnequalLength) {
  PageContent content;
  content.blocks = {PlotBlock{.series = {{.name = "loss", .x = {1, 2}, .y = {1}}}}};
  ExpectRejects(content, "page block 1: y of series \"loss\" has 1 values, expected 2");
  content.blocks = {PlotBlock{.series = {{.name = "loss", .x = {1, 2}, .y = {1, 2}, .labels = {"a"}}}}};
  ExpectRejects(content, "labels of series \"loss\"");
}

TEST(PageTest, RejectsBarsThatCannotBeDrawn) {
  for (const double bad : {-1.0, static_cast<double>(NAN), std::numeric_limits<double>::infinity()}) {
    PageContent content;
    content.blocks = {TableBlock{}, BarsBlock{.rows = {"a", "b"}, .parts = {{"latent", {1, bad}}}}};
    ExpectRejects(content, "page block 2: part \"latent\", row 2");
  }
}

TEST(PageTest, RejectsRowsOfUnequalLength) {
  PageContent content;
  content.blocks = {TableBlock{.columns = {"a", "b"}, .rows = {{"1", "2"}, {"1"}}}};
  ExpectRejects(content, "table row 2 has 1 values, expected 2");
}

TEST(PageTest, RejectsWhatIsNotJson) {
  for (const char* bad : {"{", "{\"a\":1}}", "\"\xFF\"", "NaN"}) {
    PageContent content;
    content.json = bad;
    ExpectRejects(content, "not JSON");
  }
}

TEST(PageTest, RejectsMoreNumbersThanTheLimit) {
  PageContent content;
  content.blocks = {ChannelsBlock{.values = std::vector<double>(kMaxPageNumbers + 1, 1.0)}};
  ExpectRejects(content, "at most 2000000");
}

TEST(PageEscapeTest, MatchesKnownBase64) {
  EXPECT_EQ(Base64(AsBytes("")), "");
  EXPECT_EQ(Base64(AsBytes("f")), "Zg==");
  EXPECT_EQ(Base64(AsBytes("fo")), "Zm8=");
  EXPECT_EQ(Base64(AsBytes("foobar")), "Zm9vYmFy");
}

TEST(PageEscapeTest, RoundTripsValidText) {
  const std::string text = "tab\tline\né €, \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF";
  EXPECT_EQ(CleanText(text), text);
}

}  // namespace
}  // namespace sluice
