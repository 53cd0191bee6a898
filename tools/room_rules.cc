// Each rule looks at one file and the table. Includes are read line by line, without preprocessing: an include under an
// #if counts like any other, since the arrow exists on some machine.
#include "room_rules.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHeaderSoft = 120, kHeaderHard = 250, kSourceSoft = 250, kSourceHard = 500;
constexpr size_t kReasonLetters = 15;

struct Include {
  std::string name;
  bool quoted = false;
};

std::optional<Include> ParseInclude(std::string_view line) {
  size_t at = line.find_first_not_of(" \t");
  if (at == std::string_view::npos || line[at] != '#') return std::nullopt;
  at = line.find_first_not_of(" \t", at + 1);
  if (at == std::string_view::npos || !line.substr(at).starts_with("include")) return std::nullopt;
  const size_t open = line.find_first_of("\"<", at);
  if (open == std::string_view::npos) return std::nullopt;
  const size_t close = line.find(line[open] == '<' ? '>' : '"', open + 1);
  if (close == std::string_view::npos) return std::nullopt;
  return Include{std::string(line.substr(open + 1, close - open - 1)), line[open] == '"'};
}

bool IsHeader(std::string_view path) { return path.ends_with(".h"); }
bool IsCode(std::string_view path) { return IsHeader(path) || path.ends_with(".cc"); }
bool IsTest(std::string_view path) { return path.ends_with("_test.cc"); }
bool IsPublic(std::string_view path) { return path.starts_with("include/sluice/"); }

std::string Stem(std::string_view path) { return fs::path(path).stem().string(); }

// The words of a stem decide whether a file encodes or decodes: rans_encoder, decode_frame.
bool Does(const std::string& path, std::string_view verb) {
  std::string stem = Stem(path) + "_";
  for (size_t from = 0, to; (to = stem.find('_', from)) != std::string::npos; from = to + 1) {
    const std::string word = stem.substr(from, to - from);
    if (word == verb || word == std::string(verb) + "r") return true;
  }
  return false;
}

// Reads one file; the findings of all rules go to one list.
class FileRules {
 public:
  FileRules(const HouseFile& file, const RoomsTable& table, const std::set<std::string>& paths,
            std::vector<Finding>& findings)
      : file_(file), table_(table), paths_(paths), findings_(findings) {
    if (file.path.starts_with("src/")) room_ = table.RoomOf(std::string_view(file.path).substr(4));
  }

  void Check() {
    const std::vector<std::string_view> lines = SplitLines(file_.text);
    const bool code = IsCode(file_.path);
    if (code && file_.path.starts_with("src/") && room_.empty()) Add(0, "lies in no room of tools/rooms.txt");
    for (line_ = 1; line_ <= lines.size(); ++line_) {
      const std::string_view line = lines[line_ - 1];
      CheckWords(line);
      if (!code) continue;
      if (const auto include = ParseInclude(line))
        include->quoted ? CheckQuoted(include->name) : CheckOutside(include->name);
    }
    if (code) CheckLength(lines.size());
    if (IsHeader(file_.path)) CheckGuard(lines);
  }

 private:
  void Add(size_t line, std::string message, bool warning = false) {
    findings_.push_back({file_.path, line, std::move(message), warning});
  }

  void CheckQuoted(const std::string& name) {
    if (name.find("..") != std::string::npos)
      return Add(line_, "\"" + name + "\": includes start at src/ or include/, without ..");
    if (name.ends_with(".cc")) return Add(line_, "\"" + name + "\": a source file is never included");
    if (IsPublic(file_.path) && !name.starts_with("sluice/")) {
      return Add(line_, "\"" + name + "\": a public header includes only public headers");
    }
    const bool decodes = Does(file_.path, "decode"), encodes = Does(file_.path, "encode");
    if (!IsTest(file_.path) && decodes != encodes && Does(name, encodes ? "decode" : "encode")) {
      Add(line_, "\"" + name + "\": encode and decode do not include each other");
    }
    if (room_.empty()) return;
    if (name.ends_with(".pb.h") && table_.rooms.at(room_).libraries.contains("protobuf")) return;
    const std::string to = name.starts_with("sluice/") ? "sluice" : table_.RoomOf(name);
    // Highway includes its own headers with quotes.
    if (to.empty() && !table_.LibraryOf(name).empty()) return CheckOutside(name);
    if (to.empty()) return Add(line_, "\"" + name + "\" is in no room");
    if (to != "sluice" && !paths_.contains("src/" + name)) return Add(line_, "\"" + name + "\" does not exist");
    if (to == room_ || table_.rooms.at(room_).may.contains(to)) return;
    Add(line_, "\"" + name + "\": room " + room_ + " may not include room " + to);
  }

  void CheckOutside(const std::string& name) {
    const std::string library = table_.LibraryOf(name);
    const bool c_standard = IsPublic(file_.path) && (name == "stddef.h" || name == "stdint.h");  // for callers in C
    const bool standard = c_standard || (library.empty() && name.find_first_of("./") == std::string::npos);
    if (standard || library == "any") {
      if (IsPublic(file_.path) && !standard)
        Add(line_, "<" + name + ">: a public header includes only the standard library");
      return;
    }
    if (IsPublic(file_.path)) return Add(line_, "<" + name + ">: a public header includes only the standard library");
    if (room_.empty()) return;
    if (library.empty()) return Add(line_, "<" + name + "> belongs to no library of tools/rooms.txt");
    if (library == "tests") {
      const bool helper = Stem(file_.path).find("test") != std::string::npos;
      if (!helper) Add(line_, "<" + name + ">: only tests include test libraries");
      return;
    }
    const HouseRoom& room = table_.rooms.at(room_);
    if (library == "torch" && !room.torch)
      return Add(line_, "<" + name + ">: deployable room " + room_ + " may not see torch");
    if (!room.libraries.contains(library)) Add(line_, "<" + name + ">: room " + room_ + " may not use " + library);
  }

  void CheckWords(std::string_view line) {
    if (file_.path == "tools/rooms.txt" || Stem(file_.path) == "room_rules_test") return;
    for (const auto& [text, reason] : table_.forbidden) {
      if (line.find(text) != std::string_view::npos) Add(line_, "\"" + text + "\": " + reason);
    }
    // Split, so that this file does not accuse itself.
    constexpr std::string_view kNote =
        "TO"
        "DO";
    const size_t at = line.find(kNote);
    if (at == std::string_view::npos || !IsCode(file_.path)) return;
    const auto letters =
        std::count_if(line.begin() + at + kNote.size(), line.end(), [](unsigned char c) { return std::isalpha(c); });
    if (static_cast<size_t>(letters) < kReasonLetters) Add(line_, std::string(kNote) + " without a reason");
  }

  void CheckLength(size_t lines) {
    const bool header = IsHeader(file_.path);
    const size_t soft = header ? kHeaderSoft : kSourceSoft, hard = header ? kHeaderHard : kSourceHard;
    const std::string measure = std::to_string(lines) + " lines, ";
    if (lines > hard) return Add(0, measure + "at most " + std::to_string(hard) + " are allowed");
    if (lines > soft) Add(0, measure + "the aim is " + std::to_string(soft), true);
  }

  std::string ExpectedGuard() const {
    std::string_view path = file_.path;
    for (const std::string_view prefix : {"src/", "include/sluice/"}) {
      if (path.starts_with(prefix)) path.remove_prefix(prefix.size());
    }
    std::string guard = "SLUICE_";
    for (const unsigned char c : path) guard += std::isalnum(c) ? static_cast<char>(std::toupper(c)) : '_';
    return guard + "_";
  }

  void CheckGuard(const std::vector<std::string_view>& lines) {
    // Highway compiles *-inl.h once for each target; its guard is a toggle.
    if (file_.path.ends_with("-inl.h")) return;
    const std::string guard = ExpectedGuard();
    const bool sound = lines.size() >= 3 && lines[0] == "#ifndef " + guard && lines[1] == "#define " + guard &&
                       lines.back() == "#endif  // " + guard;
    if (!sound) Add(1, "expected the header guard " + guard + " around the whole file");
  }

  const HouseFile& file_;
  const RoomsTable& table_;
  const std::set<std::string>& paths_;
  std::vector<Finding>& findings_;
  std::string room_;
  size_t line_ = 0;
};

// x.h, x.cc, x_test.cc, bench_x.cc and fuzz_x.cc share the stem x, and a stem lives in one folder of the repository.
void CheckStems(const std::vector<HouseFile>& files, std::vector<Finding>& findings) {
  std::map<std::string, std::string> homes;
  for (const HouseFile& file : files) {
    std::string stem = Stem(file.path);
    const std::string folder = fs::path(file.path).parent_path().string();
    if (!IsCode(file.path) || stem.starts_with("bench_") || stem.starts_with("fuzz_") || IsPublic(file.path)) continue;
    if (IsTest(file.path)) stem.resize(stem.size() - 5);
    const auto [home, added] = homes.emplace(stem, folder);
    if (!added && home->second != folder)
      findings.push_back({file.path, 0, "the name " + stem + " is taken by " + home->second});
  }
}

// What CMake links must be what the table allows: DEPENDS of sluice_room(name ...) in src/name/CMakeLists.txt. A target's
// name has no slash: the room study/torch is sluice_room(study_torch ...).
void CheckDepends(const HouseFile& file, const RoomsTable& table, std::vector<Finding>& findings) {
  const size_t from = file.text.find("sluice_room(");
  if (!file.path.starts_with("src/") || from == std::string::npos) return;
  const size_t open = from + std::string_view("sluice_room(").size();
  const size_t line = 1 + std::count(file.text.begin(), file.text.begin() + from, '\n');
  std::string call = file.text.substr(open, file.text.find(')', open) - open);
  std::replace(call.begin(), call.end(), '\n', ' ');
  const std::vector<std::string> words = SplitWords(call);
  if (words.empty()) return;
  const auto named = [&](std::string name) {
    if (!table.rooms.contains(name)) std::replace(name.begin(), name.end(), '_', '/');
    return name;
  };
  const auto room = table.rooms.find(named(words[0]));
  if (room == table.rooms.end())
    return findings.push_back({file.path, line, "room " + words[0] + " is not in tools/rooms.txt"});
  bool depends = false;
  for (const std::string& word : words) {
    if (depends && word == "LIBS") return;
    if (depends && !room->second.may.contains(named(word))) {
      findings.push_back({file.path, line, "room " + words[0] + " may not depend on room " + word});
    }
    depends = depends || word == "DEPENDS";
  }
}

}  // namespace

std::vector<Finding> CheckRooms(const std::vector<HouseFile>& files, const RoomsTable& table) {
  std::vector<Finding> findings;
  std::set<std::string> paths;
  for (const HouseFile& file : files) paths.insert(file.path);
  for (const HouseFile& file : files) {
    FileRules(file, table, paths, findings).Check();
    if (file.path.ends_with("CMakeLists.txt")) CheckDepends(file, table, findings);
  }
  CheckStems(files, findings);
  return findings;
}

}  // namespace sluice
