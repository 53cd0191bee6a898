#ifndef SLUICE_TOOLS_DOC_RULES_H_
#define SLUICE_TOOLS_DOC_RULES_H_

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "house_files.h"

namespace sluice {

/// What commands in the documents may name.
struct KnownCommands {
  std::set<std::string> make_targets;
  std::set<std::string> presets;
};

/// Targets of the Makefile and presets of CMakePresets.json among `files`.
KnownCommands ReadKnownCommands(const std::vector<HouseFile>& files);

/// Checks every Markdown file: links and anchors resolve under `root`; commands name targets and presets that exist;
/// every document of docs/ is reached from README.md or docs/README.md; words that docs/glossary.md replaces are
/// absent.
std::vector<Finding> CheckDocs(const std::vector<HouseFile>& files, const std::filesystem::path& root);

/// Checks that every `sluice VERB` in commands of the documents is one of `verbs`.
std::vector<Finding> CheckVerbs(const std::vector<HouseFile>& files, const std::set<std::string>& verbs);

/// The verbs that `sluice --help` lists: the first word of every indented line below a heading "Subcommands:" or
/// "Commands:", or any heading that contains one of these words, up to the next line that starts at the margin.
std::set<std::string> VerbsOfHelp(std::string_view help);

}  // namespace sluice

#endif  // SLUICE_TOOLS_DOC_RULES_H_
