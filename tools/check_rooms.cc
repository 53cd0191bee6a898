// check_rooms ROOT: proves that the tree under ROOT keeps the rules of ROOT/tools/rooms.txt. Exit code 0, 1 when a rule
// is broken, 2 when the check itself cannot run.
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "house_files.h"
#include "room_rules.h"
#include "rooms_table.h"

namespace {

sluice::Result<int> Check(const std::filesystem::path& root) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, sluice::ReadFile(root / "tools" / "rooms.txt"));
  SLUICE_ASSIGN_OR_RETURN(const sluice::RoomsTable table, sluice::ParseRoomsTable(text));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<sluice::HouseFile> files, sluice::ReadHouse(root));
  return sluice::Report("check_rooms", sluice::CheckRooms(files, table), files.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: check_rooms ROOT\n");
    return 2;
  }
  const sluice::Result<int> code = Check(argv[1]);
  if (code.ok()) return *code;
  std::fprintf(stderr, "check_rooms: %s\n", code.status().ToString().c_str());
  return 2;
}
