#ifndef SLUICE_TOOLS_MARKDOWN_H_
#define SLUICE_TOOLS_MARKDOWN_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct MarkdownLink {
  size_t line = 0;
  std::string target;  ///< As written: "docs/codec.md#modes".
};

/// A command of a fenced block marked sh, bash or console (there only lines that start with "$ "), continuation lines
/// joined.
struct MarkdownCommand {
  size_t line = 0;
  std::string text;
};

/// What the checks need of a document.
struct Markdown {
  std::vector<MarkdownLink> links;
  std::vector<MarkdownCommand> commands;
  std::vector<std::string> anchors;                   ///< Of its headings, as GitHub makes them.
  std::vector<std::pair<size_t, std::string>> prose;  ///< Line number and text, without fenced blocks and `code`.
};

Markdown ParseMarkdown(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_TOOLS_MARKDOWN_H_
