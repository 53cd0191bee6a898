#ifndef SLUICE_TOOLS_DOC_RULES_H_
#define SLUICE_TOOLS_DOC_RULES_H_

#include <filesystem>
#include <map>
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

/// Verbs of the program, each with the options it takes; no options at all means that they are not known.
using KnownVerbs = std::map<std::string, std::set<std::string>>;

/// Checks that every `sluice VERB --option ...` in commands of the documents is one of `verbs` with options of that
/// verb.
std::vector<Finding> CheckVerbs(const std::vector<HouseFile>& files, const KnownVerbs& verbs);

/// The verbs that `sluice --help` lists: the first word of every line indented by two to four spaces below a line at
/// the margin that says "usage", "commands" or "verbs", up to the next line at the margin.
std::set<std::string> VerbsOfHelp(std::string_view help);

/// The long options ("--out") that `sluice VERB --help` names.
std::set<std::string> OptionsOfHelp(std::string_view help);

}  // namespace sluice

#endif  // SLUICE_TOOLS_DOC_RULES_H_
