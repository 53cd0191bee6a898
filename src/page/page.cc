// A page is written in two layers. What a reader must get in any case (title, facts, tables, bars, captions, command,
// machine) is plain HTML made here; plots are JSON that the embedded script draws with uPlot and also offers as tables
// and CSV. The Content-Security-Policy names the hashes of our two scripts, so that even a hole in the escaping could
// not run foreign code, and forbids every connection, so that a page can be opened from an unknown sender.
#include "page/page.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "base/hash.h"
#include "page/page_assets.h"
#include "page/page_block.h"
#include "page/page_escape.h"

namespace sluice {
namespace {

std::string ScriptHash(std::string_view script) { return "'sha256-" + Base64(Sha256::Of(AsBytes(script))) + "'"; }

std::string HeadHtml(const PageContent& content) {
  const std::string policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src " +
                             ScriptHash(UplotScript()) + " " + ScriptHash(PageScript());
  std::string html = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html += "<meta http-equiv=\"Content-Security-Policy\" content=\"" + EscapeHtml(policy) + "\">\n";
  html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  html += "<meta name=\"color-scheme\" content=\"light dark\">\n";
  html += "<title>" + EscapeHtml(content.title) + "</title>\n";
  // Without an icon of its own a browser asks the server for one.
  html += "<link rel=\"icon\" href=\"data:,\">\n<style>\n";
  html.append(UplotStyle()).append("\n").append(PageStyle());
  return html + "</style>\n</head>\n";
}

std::string FactsHtml(std::span<const PageFact> facts) {
  if (facts.empty()) return "";
  std::string html = "<dl class=\"facts\" aria-label=\"Key figures\">\n";
  for (const PageFact& fact : facts) {
    html += "<div><dt>" + EscapeHtml(fact.label) + "</dt><dd class=\"value\">" + EscapeHtml(fact.value) + "</dd>";
    if (!fact.note.empty()) html += "<dd class=\"note\">" + EscapeHtml(fact.note) + "</dd>";
    html += "</div>\n";
  }
  return html + "</dl>\n";
}

std::string OriginHtml(const PageContent& content) {
  std::string html;
  if (!content.command.empty()) {
    html += "<h3>Command</h3>\n<div class=\"command\"><pre tabindex=\"0\"><code id=\"command\">" +
            EscapeHtml(content.command) +
            "</code></pre><button type=\"button\" data-copy=\"command\">Copy</button></div>\n";
  }
  if (!content.machine.empty()) {
    html += "<h3>Machine</h3>\n<dl class=\"machine\">\n";
    for (const auto& [name, value] : content.machine) {
      html += "<div><dt>" + EscapeHtml(name) + "</dt><dd>" + EscapeHtml(value) + "</dd></div>\n";
    }
    html += "</dl>\n";
  }
  if (!content.json.empty()) {
    html +=
        "<h3>Raw data</h3>\n<p class=\"tools\"><button type=\"button\" id=\"save-json\">Download JSON</button></p>\n"
        "<details id=\"raw\"><summary>Show the JSON document</summary><pre tabindex=\"0\"></pre></details>\n";
  }
  if (html.empty()) return "";
  return "<section class=\"card\" aria-labelledby=\"origin\">\n<h2 id=\"origin\">How these figures were made</h2>\n" +
         html + "</section>\n";
}

std::string ScriptsHtml(const PageContent& content, const nlohmann::ordered_json& blocks) {
  std::string html =
      "<script type=\"application/json\" id=\"blocks\">" + EscapeJsonForScript(blocks.dump()) + "</script>\n";
  if (!content.json.empty()) {
    html += "<script type=\"application/json\" id=\"document\">" + EscapeJsonForScript(content.json) + "</script>\n";
  }
  // The licence asks to travel with the script; a comment cannot hold "--", which the text does not have.
  html.append("<!-- uPlot:\n").append(UplotLicence()).append("\n-->\n");
  html.append("<script>").append(UplotScript()).append("</script>\n");
  html.append("<script>").append(PageScript()).append("</script>\n");
  return html;
}

Status Check(const PageContent& content) {
  size_t numbers = 0;
  for (size_t i = 0; i < content.blocks.size(); ++i) {
    Result<size_t> count = CheckBlock(content.blocks[i]);
    if (!count.ok()) return count.status().WithContext("page block " + std::to_string(i + 1));
    numbers += *count;
  }
  if (numbers > kMaxPageNumbers) {
    return InvalidArgument("page holds " + std::to_string(numbers) + " numbers, at most " +
                           std::to_string(kMaxPageNumbers) + " fit");
  }
  if (content.json.size() > kMaxPageJsonBytes) {
    return InvalidArgument("raw document has " + std::to_string(content.json.size()) + " bytes, at most " +
                           std::to_string(kMaxPageJsonBytes) + " fit");
  }
  if (!content.json.empty() && !nlohmann::json::accept(content.json)) {
    return InvalidArgument("raw document of the page is not JSON");
  }
  return OkStatus();
}

}  // namespace

Result<std::string> RenderPage(const PageContent& content) {
  SLUICE_RETURN_IF_ERROR(Check(content));
  nlohmann::ordered_json blocks = nlohmann::ordered_json::array();
  std::string html = HeadHtml(content);
  html += "<body>\n<a class=\"skip\" href=\"#main\">Skip to the figures</a>\n<header>\n<h1>" +
          EscapeHtml(content.title) + "</h1>\n";
  if (!content.summary.empty()) html += "<p>" + EscapeHtml(content.summary) + "</p>\n";
  html += "</header>\n<main id=\"main\">\n" + FactsHtml(content.facts);
  html += "<noscript><p class=\"card\">The plots need JavaScript; tables, bars and facts do not.</p></noscript>\n";
  for (size_t i = 0; i < content.blocks.size(); ++i) {
    html += BlockHtml(content.blocks[i], i);
    blocks.push_back(BlockJson(content.blocks[i]));
  }
  html += OriginHtml(content) + "</main>\n<div id=\"tip\" role=\"presentation\" hidden></div>\n";
  html += "<div id=\"announce\" class=\"hidden\" aria-live=\"polite\"></div>\n";
  return html + ScriptsHtml(content, blocks) + "</body>\n</html>\n";
}

}  // namespace sluice
