#ifndef SLUICE_TOOLS_ROOMS_TABLE_H_
#define SLUICE_TOOLS_ROOMS_TABLE_H_

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace sluice {

/// One `room` line of tools/rooms.txt.
struct HouseRoom {
  int level = 0;
  bool torch = false;
  std::set<std::string> may;
  std::set<std::string> libraries;
};

/// tools/rooms.txt, parsed and found free of contradictions.
struct RoomsTable {
  std::map<std::string, HouseRoom> rooms;
  std::map<std::string, std::vector<std::string>> libraries;   ///< Name -> beginnings of header names.
  std::vector<std::pair<std::string, std::string>> forbidden;  ///< Text -> reason.

  /// The room with the longest folder that `path`, relative to src/, lies in; empty for none.
  std::string RoomOf(std::string_view path) const;
  /// The library that an outside header belongs to; empty for none.
  std::string LibraryOf(std::string_view header) const;
};

/// Errors: Corrupt with the line, for a line that is not understood, a room or library that is not declared, an arrow
///         that does not go to a smaller level, or a deployable room that may include a torch room or torch itself.
Result<RoomsTable> ParseRoomsTable(std::string_view text);

/// The words of a line.
std::vector<std::string> SplitWords(std::string_view line);
/// The lines of a text, without line feeds.
std::vector<std::string_view> SplitLines(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_TOOLS_ROOMS_TABLE_H_
