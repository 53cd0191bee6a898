// The table is read line by line and then checked as a whole. Levels alone make cycles impossible; the islands are a
// second check on top of them, because a level says nothing about what a room carries into a deployed program.
#include "rooms_table.h"

#include <charconv>

namespace sluice {
namespace {

// "sluice" stands for the public headers under include/sluice, below every room that may use them.
constexpr std::string_view kPublicHeaders = "sluice";

Status BadLine(size_t line, const std::string& what) {
  return Corrupt("rooms.txt:" + std::to_string(line) + ": " + what);
}

Status ParseRoom(const std::vector<std::string>& words, size_t line, RoomsTable& table) {
  HouseRoom room;
  if (words.size() < 8 || words[4] != "may")
    return BadLine(line, "expected: room NAME LEVEL ISLAND may ROOMS using LIBRARIES");
  const std::string& level = words[2];
  const auto [end, error] = std::from_chars(level.data(), level.data() + level.size(), room.level);
  if (error != std::errc() || end != level.data() + level.size())
    return BadLine(line, "level is " + level + ", expected a number");
  if (words[3] != "plain" && words[3] != "torch")
    return BadLine(line, "island is " + words[3] + ", expected plain or torch");
  room.torch = words[3] == "torch";
  bool libraries = false;
  for (size_t i = 5; i < words.size(); ++i) {
    if (words[i] == "using") {
      libraries = true;
    } else if (words[i] != "-") {
      (libraries ? room.libraries : room.may).insert(words[i]);
    }
  }
  if (!libraries) return BadLine(line, "room " + words[1] + " has no `using`");
  if (!table.rooms.emplace(words[1], room).second) return BadLine(line, "room " + words[1] + " is declared twice");
  return OkStatus();
}

Status ParseForbidden(std::string_view line, size_t number, RoomsTable& table) {
  constexpr std::string_view kWord = "forbid ";
  constexpr std::string_view kBecause = " because ";
  const size_t at = line.find(kBecause);
  if (at == std::string_view::npos || at <= kWord.size())
    return BadLine(number, "expected: forbid TEXT because REASON");
  table.forbidden.emplace_back(line.substr(kWord.size(), at - kWord.size()), line.substr(at + kBecause.size()));
  return OkStatus();
}

Status CheckArrows(const std::string& name, const HouseRoom& room, const RoomsTable& table) {
  for (const std::string& to : room.may) {
    if (to == kPublicHeaders) continue;
    const auto target = table.rooms.find(to);
    if (target == table.rooms.end())
      return Corrupt("rooms.txt: room " + name + " may include " + to + ", which is no room");
    if (target->second.level >= room.level) {
      return Corrupt("rooms.txt: arrow " + name + " -> " + to + " goes from level " + std::to_string(room.level) +
                     " to " + std::to_string(target->second.level) + ", expected a smaller level");
    }
    if (target->second.torch && !room.torch) {
      return Corrupt("rooms.txt: deployable room " + name + " may include torch room " + to);
    }
  }
  for (const std::string& library : room.libraries) {
    if (!table.libraries.contains(library))
      return Corrupt("rooms.txt: room " + name + " uses " + library + ", which is no library");
  }
  if (!room.torch && room.libraries.contains("torch"))
    return Corrupt("rooms.txt: deployable room " + name + " uses torch");
  return OkStatus();
}

}  // namespace

std::vector<std::string> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  for (size_t at = 0; at < line.size();) {
    const size_t from = line.find_first_not_of(" \t\r", at);
    if (from == std::string_view::npos) break;
    at = std::min(line.find_first_of(" \t\r", from), line.size());
    words.emplace_back(line.substr(from, at - from));
  }
  return words;
}

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string RoomsTable::RoomOf(std::string_view path) const {
  std::string best;
  for (const auto& [name, room] : rooms) {
    const bool inside = path.size() > name.size() && path.starts_with(name) && path[name.size()] == '/';
    if (inside && name.size() > best.size()) best = name;
  }
  return best;
}

std::string RoomsTable::LibraryOf(std::string_view header) const {
  for (const auto& [name, beginnings] : libraries) {
    for (const std::string& beginning : beginnings) {
      if (header.starts_with(beginning)) return name;
    }
  }
  return "";
}

Result<RoomsTable> ParseRoomsTable(std::string_view text) {
  RoomsTable table;
  const std::vector<std::string_view> lines = SplitLines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::vector<std::string> words = SplitWords(lines[i]);
    if (words.empty() || words[0].starts_with('#')) continue;
    if (words[0] == "room") {
      SLUICE_RETURN_IF_ERROR(ParseRoom(words, i + 1, table));
    } else if (words[0] == "library" && words.size() >= 3) {
      table.libraries[words[1]].assign(words.begin() + 2, words.end());
    } else if (words[0] == "forbid") {
      SLUICE_RETURN_IF_ERROR(ParseForbidden(lines[i], i + 1, table));
    } else {
      return BadLine(i + 1, "\"" + words[0] + "\" is not understood, expected room, library or forbid");
    }
  }
  for (const auto& [name, room] : table.rooms) SLUICE_RETURN_IF_ERROR(CheckArrows(name, room, table));
  return table;
}

}  // namespace sluice
