// Enough of CommonMark for our own documents: fenced blocks, inline code, inline links and ATX headings. Anything else
// passes as prose.
#include "markdown.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "rooms_table.h"

namespace sluice {
namespace {

// Removes `code` spans, so that neither links nor words inside them count.
std::string WithoutCode(std::string_view line) {
  std::string prose;
  bool code = false;
  for (const char c : line) {
    if (c == '`') {
      code = !code;
    } else if (!code) {
      prose += c;
    }
  }
  return prose;
}

void FindLinks(const std::string& prose, size_t line, std::vector<MarkdownLink>& links) {
  for (size_t at = 0; (at = prose.find("](", at)) != std::string::npos; ++at) {
    const size_t end = prose.find_first_of(") ", at + 2);
    if (end != std::string::npos) links.push_back({line, prose.substr(at + 2, end - at - 2)});
  }
}

// "2. Modes, and why" -> "2-modes-and-why": lower case, spaces become hyphens, punctuation goes.
std::string Anchor(std::string_view heading) {
  std::string anchor;
  for (const unsigned char c : heading) {
    if (std::isalnum(c) || c == '_' || c == '-' || c >= 0x80) anchor += static_cast<char>(std::tolower(c));
    if (c == ' ') anchor += '-';
  }
  return anchor;
}

struct Fence {
  bool open = false;
  bool commands = false;
  bool console = false;
  bool continued = false;
};

void ReadFenced(std::string_view line, size_t number, Fence& fence, std::vector<MarkdownCommand>& commands) {
  if (!fence.commands) return;
  if (fence.console && !fence.continued) {
    if (!line.starts_with("$ ")) return;
    line.remove_prefix(2);
  }
  const bool more = line.ends_with('\\');
  if (more) line.remove_suffix(1);
  if (fence.continued) {
    commands.back().text += std::string(line);
  } else {
    commands.push_back({number, std::string(line)});
  }
  fence.continued = more;
}

}  // namespace

Markdown ParseMarkdown(std::string_view text) {
  Markdown document;
  std::map<std::string, int> seen;
  Fence fence;
  const std::vector<std::string_view> lines = SplitLines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = lines[i];
    const size_t indent = std::min(line.find_first_not_of(' '), line.size());
    if (line.substr(indent).starts_with("```")) {
      const std::string_view language = line.substr(indent + 3);
      fence = Fence{!fence.open, language == "sh" || language == "bash" || language == "console", language == "console",
                    false};
      continue;
    }
    if (fence.open) {
      ReadFenced(line, i + 1, fence, document.commands);
      continue;
    }
    const std::string prose = WithoutCode(line);
    FindLinks(prose, i + 1, document.links);
    document.prose.emplace_back(i + 1, prose);
    const size_t level = line.find_first_not_of('#');
    if (level > 0 && level < line.size() && line[level] == ' ') {
      std::string heading(line.substr(level + 1));
      std::erase(heading, '`');
      const std::string anchor = Anchor(heading);
      const int copies = seen[anchor]++;
      document.anchors.push_back(copies == 0 ? anchor : anchor + "-" + std::to_string(copies));
    }
  }
  return document;
}

}  // namespace sluice
