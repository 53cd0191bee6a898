// Documents rot in four ways that a program can see: a link breaks, a page is orphaned, a command changes its name, a
// thing gets a second name. The glossary's last column is the list of second names.
#include "doc_rules.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "markdown.h"
#include "rooms_table.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGlossary = "docs/glossary.md";

using Documents = std::map<std::string, Markdown>;

Documents ParseAll(const std::vector<HouseFile>& files) {
  Documents documents;
  for (const HouseFile& file : files) {
    if (file.path.ends_with(".md")) documents.emplace(file.path, ParseMarkdown(file.text));
  }
  return documents;
}

bool IsOutside(std::string_view target) {
  return target.starts_with("http://") || target.starts_with("https://") || target.starts_with("mailto:");
}

// The path that a link leads to, relative to the root.
std::string Resolve(const std::string& from, std::string_view target) {
  const std::string path(target.substr(0, target.find('#')));
  if (path.empty()) return from;
  return (fs::path(from).parent_path() / path).lexically_normal().generic_string();
}

void CheckLinks(const Documents& documents, const fs::path& root, std::vector<Finding>& findings) {
  for (const auto& [path, document] : documents) {
    for (const MarkdownLink& link : document.links) {
      if (IsOutside(link.target)) continue;
      const std::string to = Resolve(path, link.target);
      const auto target = documents.find(to);
      if (to.starts_with("..") || (target == documents.end() && !fs::exists(root / to))) {
        findings.push_back({path, link.line, "link to " + link.target + ", which does not exist"});
        continue;
      }
      const size_t hash = link.target.find('#');
      if (hash == std::string::npos || target == documents.end()) continue;
      const auto& anchors = target->second.anchors;
      if (std::find(anchors.begin(), anchors.end(), link.target.substr(hash + 1)) == anchors.end()) {
        findings.push_back({path, link.line, "link to " + link.target + ": no such heading"});
      }
    }
  }
}

void CheckReach(const Documents& documents, std::vector<Finding>& findings) {
  std::set<std::string> reached;
  std::vector<std::string> queue = {"README.md", "docs/README.md"};
  while (!queue.empty()) {
    const std::string path = queue.back();
    queue.pop_back();
    const auto document = documents.find(path);
    if (document == documents.end() || !reached.insert(path).second) continue;
    for (const MarkdownLink& link : document->second.links) {
      if (!IsOutside(link.target)) queue.push_back(Resolve(path, link.target));
    }
  }
  for (const auto& [path, document] : documents) {
    if (path.starts_with("docs/") && !reached.contains(path)) {
      findings.push_back({path, 0, "is not reached from README.md or docs/README.md"});
    }
  }
}

std::string Trim(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t\"");
  return from == std::string_view::npos ? ""
                                        : std::string(text.substr(from, text.find_last_not_of(" \t\"") - from + 1));
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Cells of the glossary's rows: | word | meaning | instead of |
std::map<std::string, std::string> SecondNames(const std::vector<HouseFile>& files, std::vector<Finding>& findings) {
  std::map<std::string, std::string> names;
  for (const HouseFile& file : files) {
    if (file.path != kGlossary) continue;
    const std::vector<std::string_view> lines = SplitLines(file.text);
    for (size_t i = 0; i < lines.size(); ++i) {
      std::vector<std::string> cells;
      for (size_t at = 0; lines[i].starts_with('|') && at + 1 < lines[i].size();) {
        const size_t end = std::min(lines[i].find('|', at + 1), lines[i].size());
        cells.push_back(Trim(lines[i].substr(at + 1, end - at - 1)));
        at = end;
      }
      if (cells.size() < 3 || cells[0] == "word" || cells[0].starts_with("--") || cells[0].starts_with(":--")) continue;
      if (cells[1].empty()) findings.push_back({file.path, i + 1, "\"" + cells[0] + "\" has no meaning"});
      std::string_view rest = cells[2];
      while (!rest.empty()) {
        const size_t comma = std::min(rest.find(','), rest.size());
        const std::string name = Lower(Trim(rest.substr(0, comma)));
        if (!name.empty()) names.emplace(name, cells[0]);
        rest.remove_prefix(std::min(comma + 1, rest.size()));
      }
    }
  }
  return names;
}

void CheckGlossary(const std::vector<HouseFile>& files, const Documents& documents, std::vector<Finding>& findings) {
  const std::map<std::string, std::string> names = SecondNames(files, findings);
  for (const auto& [path, document] : documents) {
    if (path == kGlossary) continue;
    for (const auto& [line, prose] : document.prose) {
      const std::string lower = Lower(prose);
      for (const auto& [name, word] : names) {
        if (lower.find(name) != std::string::npos) {
          findings.push_back({path, line, "\"" + name + "\": the glossary's word is " + word});
        }
      }
    }
  }
}

void CheckCommand(const std::string& path, const MarkdownCommand& command, const KnownCommands& known,
                  std::vector<Finding>& findings) {
  const std::vector<std::string> words = SplitWords(command.text);
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& next = words[i + 1];
    if (words[i] == "#") return;
    const bool assigned = next.find('=') != std::string::npos || next.starts_with('-');
    if (words[i] == "make" && !assigned && !known.make_targets.contains(next)) {
      findings.push_back({path, command.line, "make " + next + ": no such target in the Makefile"});
    }
    const bool cmake = words[0] == "cmake" || words[0] == "ctest";
    if (cmake && words[i] == "--preset" && !known.presets.contains(next)) {
      findings.push_back({path, command.line, "--preset " + next + ": no such preset in CMakePresets.json"});
    }
  }
}

bool IsVerb(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::islower(c) || c == '-'; }) &&
         word[0] != '-';
}

// "--out=x" and "--out" name the option --out.
std::string OptionName(std::string_view word) {
  size_t end = 2;
  while (end < word.size() && (std::isalnum(static_cast<unsigned char>(word[end])) || word[end] == '-')) ++end;
  return std::string(word.substr(0, end));
}

bool EndsCommand(std::string_view word) {
  return word == "|" || word == "&&" || word == ";" || word == "||" || word == ">" || word.starts_with('#');
}

// One call of the program: words[at] is its verb.
void CheckCall(const std::string& path, size_t line, const std::vector<std::string>& words, size_t at,
               const KnownVerbs& verbs, std::vector<Finding>& findings) {
  const auto verb = verbs.find(words[at]);
  if (verb == verbs.end()) {
    findings.push_back({path, line, "sluice " + words[at] + ": no such verb in sluice --help"});
    return;
  }
  for (size_t i = at + 1; i < words.size() && !EndsCommand(words[i]) && !verb->second.empty(); ++i) {
    if (!words[i].starts_with("--") || verb->second.contains(OptionName(words[i]))) continue;
    findings.push_back({path, line, "sluice " + words[at] + " " + words[i] + ": no such option in its --help"});
  }
}

}  // namespace

KnownCommands ReadKnownCommands(const std::vector<HouseFile>& files) {
  KnownCommands known;
  for (const HouseFile& file : files) {
    for (const std::string_view line : SplitLines(file.text)) {
      if (file.path == "Makefile" && !line.empty() && std::isalpha(static_cast<unsigned char>(line[0]))) {
        const size_t colon = line.find(':');
        if (colon != std::string_view::npos && !line.substr(colon).starts_with(":="))
          known.make_targets.emplace(line.substr(0, colon));
      }
      constexpr std::string_view kName = "\"name\": \"";
      const size_t at = line.find(kName);
      if (file.path != "CMakePresets.json" || at == std::string_view::npos) continue;
      const std::string_view rest = line.substr(at + kName.size());
      known.presets.emplace(rest.substr(0, rest.find('"')));
    }
  }
  return known;
}

std::vector<Finding> CheckDocs(const std::vector<HouseFile>& files, const fs::path& root) {
  std::vector<Finding> findings;
  const Documents documents = ParseAll(files);
  const KnownCommands known = ReadKnownCommands(files);
  CheckLinks(documents, root, findings);
  CheckReach(documents, findings);
  CheckGlossary(files, documents, findings);
  for (const auto& [path, document] : documents) {
    for (const MarkdownCommand& command : document.commands) CheckCommand(path, command, known, findings);
  }
  return findings;
}

std::vector<Finding> CheckVerbs(const std::vector<HouseFile>& files, const KnownVerbs& verbs) {
  std::vector<Finding> findings;
  for (const auto& [path, document] : ParseAll(files)) {
    for (const MarkdownCommand& command : document.commands) {
      const std::vector<std::string> words = SplitWords(command.text);
      for (size_t i = 0; i + 1 < words.size(); ++i) {
        const bool program = words[i] == "sluice" || words[i].ends_with("/bin/sluice");
        const bool starts = i == 0 || EndsCommand(words[i - 1]) || words[i - 1].find('=') != std::string::npos ||
                            words[i - 1] == "time" || words[i - 1] == "sudo";
        if (program && starts && IsVerb(words[i + 1])) CheckCall(path, command.line, words, i + 1, verbs, findings);
      }
    }
  }
  return findings;
}

std::set<std::string> VerbsOfHelp(std::string_view help) {
  std::set<std::string> verbs;
  bool inside = false;
  for (const std::string_view line : SplitLines(help)) {
    const std::string heading = Lower(std::string(line));
    if (!line.empty() && line[0] != ' ') {
      inside = heading.find("usage") != std::string::npos || heading.find("commands") != std::string::npos ||
               heading.find("verbs") != std::string::npos;
      continue;
    }
    const std::vector<std::string> words = SplitWords(line);
    // Descriptions that run over several lines are indented further than the verbs.
    const bool near_margin = line.find_first_not_of(' ') <= 4;
    if (inside && near_margin && !words.empty() && IsVerb(words[0])) verbs.insert(words[0]);
  }
  return verbs;
}

std::set<std::string> OptionsOfHelp(std::string_view help) {
  std::set<std::string> options;
  for (size_t at = 0; (at = help.find("--", at)) != std::string_view::npos;) {
    const std::string name = OptionName(help.substr(at));
    if (name.size() > 2 && std::isalpha(static_cast<unsigned char>(name[2]))) options.insert(name);
    at += name.size();
  }
  return options;
}

}  // namespace sluice
