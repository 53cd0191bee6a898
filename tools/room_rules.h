#ifndef SLUICE_TOOLS_ROOM_RULES_H_
#define SLUICE_TOOLS_ROOM_RULES_H_

#include <vector>

#include "house_files.h"
#include "rooms_table.h"

namespace sluice {

/// Checks the arrows, islands, outside libraries, guards, names, lengths and words of every file against the table.
/// Findings come in the order of the files.
std::vector<Finding> CheckRooms(const std::vector<HouseFile>& files, const RoomsTable& table);

}  // namespace sluice

#endif  // SLUICE_TOOLS_ROOM_RULES_H_
