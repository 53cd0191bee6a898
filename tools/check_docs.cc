// check_docs ROOT [PROGRAM]: checks the documents under ROOT; with PROGRAM, checks instead that the verbs and options
// they use are listed by `PROGRAM --help` and `PROGRAM VERB --help`. Exit code 0, 1 when a document is wrong, 2 when
// the check cannot run, 77 when PROGRAM is not there.
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>

#include "doc_rules.h"
#include "house_files.h"

namespace {

namespace fs = std::filesystem;

sluice::Result<std::string> ReadHelp(const std::string& program, const std::string& verb = "") {
  const std::string command = "'" + program + "' " + verb + " --help 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return sluice::IoError("cannot start " + command);
  std::string help;
  char buffer[4096];
  for (size_t got = 0; (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) help.append(buffer, got);
  const int status = pclose(pipe);
  if (status != 0) return sluice::Internal(command + " ended with status " + std::to_string(status));
  return help;
}

// Without the torch island its verbs cannot print their options; they are named, and only the verb is checked.
sluice::Result<sluice::KnownVerbs> ReadVerbs(const std::string& program) {
  SLUICE_ASSIGN_OR_RETURN(const std::string help, ReadHelp(program));
  sluice::KnownVerbs verbs;
  for (const std::string& verb : sluice::VerbsOfHelp(help)) {
    const sluice::Result<std::string> options = ReadHelp(program, verb);
    verbs[verb] = options.ok() ? sluice::OptionsOfHelp(*options) : std::set<std::string>{};
    if (!options.ok())
      std::printf("options of sluice %s are not known to this build and were not checked\n", verb.c_str());
  }
  if (verbs.empty()) return sluice::Internal(program + " --help lists no verbs");
  return verbs;
}

sluice::Result<int> Check(const fs::path& root, const std::string& program) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<sluice::HouseFile> files, sluice::ReadHouse(root));
  if (program.empty()) return sluice::Report("check_docs", sluice::CheckDocs(files, root), files.size());
  if (!fs::exists(program)) {
    std::printf("SKIP: %s is not built, so the verbs of the documents were not checked\n",
                fs::path(program).filename().c_str());
    return 77;
  }
  SLUICE_ASSIGN_OR_RETURN(const sluice::KnownVerbs verbs, ReadVerbs(program));
  return sluice::Report("check_docs", sluice::CheckVerbs(files, verbs), files.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: check_docs ROOT [PROGRAM]\n");
    return 2;
  }
  const sluice::Result<int> code = Check(argv[1], argc == 3 ? argv[2] : "");
  if (code.ok()) return *code;
  std::fprintf(stderr, "check_docs: %s\n", code.status().ToString().c_str());
  return 2;
}
