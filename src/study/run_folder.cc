// What is on disk decides how far a run has come, and every file there appears in one step: run.json (what it is made
// from), train.json (the training ended well), eval.json (done) or failed.json. A process that dies between two of them
// leaves the earlier state. A run whose recorded inputs differ is never taken for the one that is wanted, and never
// overwritten unasked.
#include "study/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json_depth.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kLargestJson = uint64_t{1} << 28;

bool Mentions(const StudyRun& run, const std::string& text) {
  const auto has = [&](const std::string& argument) { return argument.find(text) != std::string::npos; };
  return std::any_of(run.train.begin(), run.train.end(), has) || std::any_of(run.eval.begin(), run.eval.end(), has);
}

// The files of a folder in the order of their names, so that the digest does not depend on the file system.
std::vector<fs::path> FilesOf(const fs::path& path) {
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.is_regular_file() && !entry.path().filename().string().starts_with(".")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<std::string> HashOf(const std::vector<fs::path>& paths) {
  Sha256 all;
  for (const fs::path& path : paths) {
    std::error_code error;
    if (!fs::exists(path, error)) return IoError(path.string() + ": no such file or folder");
    for (const fs::path& file : FilesOf(path)) {
      SLUICE_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::Open(file));
      const std::string line = file.filename().string() + " " + ToHex(Sha256::Of(mapped.bytes())) + "\n";
      all.Update(AsBytes(line));
    }
  }
  return ToHex(all.Finish());
}

// The first difference between what was and what is, in words. Choices that are not made now are not compared.
std::string Difference(const Json& before, const Json& now) {
  for (const char* key : {"train", "eval"}) {
    if (before.value(key, Json::array()) != now.at(key)) {
      return fmt::format("its arguments of {} were {}, now {}", key, before.value(key, Json()).dump(),
                         now.at(key).dump());
    }
  }
  for (const auto& [name, value] : now.at("choices").items()) {
    const Json old = before.value("choices", Json::object());
    if (old.contains(name) && old[name] != value)
      return fmt::format("the choice of {} was {}, now {}", name, old[name].dump(), value.dump());
  }
  for (const auto& [name, value] : now.at("runs").items()) {
    const Json old = before.value("runs", Json::object());
    if (old.contains(name) && old[name] != value) return fmt::format("run {}, which it uses, was another", name);
  }
  for (const auto& [name, value] : now.at("files").items()) {
    const Json old = before.value("files", Json::object());
    if (!old.contains(name) || old[name] != value) return fmt::format("the content of {} was another", name);
  }
  if (before.value("version", "") != now.at("version")) {
    return fmt::format("it was made by version {}, this is {}", before.value("version", "?"),
                       now.at("version").get<std::string>());
  }
  return "";
}

Status CheckFinite(const Json& value, const std::string& where) {
  if (value.is_null()) return Internal("figure " + where + " is not a finite number");
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    return Internal("figure " + where + " is not a finite number");
  if (value.is_object() || value.is_array()) {
    for (const auto& [key, inner] : value.items())
      SLUICE_RETURN_IF_ERROR(CheckFinite(inner, where.empty() ? key : where + "." + key));
  }
  return OkStatus();
}

}  // namespace

Json RunInputs::ToJson() const {
  return {{"train", train}, {"eval", eval}, {"choices", choices},
          {"files", files}, {"runs", runs}, {"version", version}};
}

Result<std::map<std::string, std::string>> HashFiles(const StudyPlan& plan) {
  std::map<std::string, std::string> hashes;
  for (const auto& [name, paths] : plan.files) {
    SLUICE_ASSIGN_OR_RETURN(hashes[name], HashOf(paths));
  }
  return hashes;
}

RunInputs InputsOf(const StudyRun& run, const std::map<std::string, std::string>& hashes,
                   const std::map<std::string, std::string>& choices, const std::string& version) {
  RunInputs inputs{.train = run.train, .eval = run.eval, .choices = {}, .files = {}, .runs = {}, .version = version};
  for (const auto& [name, hash] : hashes) {
    if (Mentions(run, "{" + name + "}")) inputs.files[name] = hash;
  }
  for (const auto& [name, value] : choices) {
    if (Mentions(run, "{choice:" + name + "}") || Mentions(run, "{best:" + name + "}")) inputs.choices[name] = value;
  }
  return inputs;
}

Result<Json> ReadJsonObject(const fs::path& path) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kLargestJson));
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text).WithContext(path.string()));
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Corrupt(path.string() + ": not a JSON object");
  return json;
}

Result<RunFolderState> ReadRunState(const fs::path& folder, const StudyRun& run, const RunInputs& inputs) {
  if (!fs::exists(folder / "run.json")) return RunFolderState{};
  SLUICE_ASSIGN_OR_RETURN(const auto record, ReadRunRecord(folder));
  if (std::string difference = Difference(record->inputs, inputs.ToJson()); !difference.empty())
    return RunFolderState{RunState::kStale, std::move(difference)};
  if (fs::exists(folder / "eval.json")) {
    SLUICE_ASSIGN_OR_RETURN(const Json figures, ReadFigures(folder));
    return RunFolderState{RunState::kDone, ""};
  }
  if (fs::exists(folder / "failed.json")) {
    SLUICE_ASSIGN_OR_RETURN(const RunFailure failure, ReadRunFailure(folder));
    return RunFolderState{RunState::kFailed, failure.message};
  }
  const bool trained = run.train.empty() || fs::exists(folder / "train.json");
  return RunFolderState{trained ? RunState::kTrained : RunState::kFresh, ""};
}

Status WriteRunRecord(const fs::path& folder, const RunRecord& record) {
  const Json json = {{"inputs", record.inputs},
                     {"model", record.model},
                     {"commands", {{"train", record.train_command}, {"eval", record.eval_command}}},
                     {"train_seconds", record.train_seconds},
                     {"eval_seconds", record.eval_seconds}};
  return WriteFileAtomic(folder / "run.json", json.dump(2) + "\n");
}

Result<std::optional<RunRecord>> ReadRunRecord(const fs::path& folder) {
  if (!fs::exists(folder / "run.json")) return std::optional<RunRecord>();
  SLUICE_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(folder / "run.json"));
  try {
    const Json& inputs = json.at("inputs");
    inputs.at("version").get_ref<const std::string&>();
    for (const char* name : {"choices", "files"}) {
      for (const auto& [key, value] : inputs.at(name).items()) value.get_ref<const std::string&>();
    }
    return std::optional<RunRecord>(RunRecord{.inputs = json.at("inputs"),
                                              .train_command = json.at("commands").at("train"),
                                              .eval_command = json.at("commands").at("eval"),
                                              .model = json.at("model"),
                                              .train_seconds = json.at("train_seconds"),
                                              .eval_seconds = json.at("eval_seconds")});
  } catch (const nlohmann::json::exception& error) {
    return Corrupt(fmt::format("{}: {}", (folder / "run.json").string(), error.what()));
  }
}

Status WriteRunFailure(const fs::path& folder, const RunFailure& failure) {
  const Json json = {{"stage", failure.stage},
                     {"exit_code", failure.exit_code},
                     {"signal", failure.signal},
                     {"message", failure.message}};
  return WriteFileAtomic(folder / "failed.json",
                         json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

Result<RunFailure> ReadRunFailure(const fs::path& folder) {
  SLUICE_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(folder / "failed.json"));
  try {
    return RunFailure{.stage = json.at("stage"),
                      .exit_code = json.at("exit_code"),
                      .signal = json.at("signal"),
                      .message = json.at("message")};
  } catch (const nlohmann::json::exception& error) {
    return Corrupt(fmt::format("{}: {}", (folder / "failed.json").string(), error.what()));
  }
}

Result<Json> ParseFigures(std::string_view text) {
  SLUICE_RETURN_IF_ERROR(CheckJsonDepth(text));
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || json.empty()) return Corrupt("the program printed no figures: not a JSON object");
  SLUICE_RETURN_IF_ERROR(CheckFinite(json, ""));
  return json;
}

Result<Json> ReadFigures(const fs::path& folder) {
  const fs::path path = folder / "eval.json";
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kLargestJson));
  Result<Json> figures = ParseFigures(text);
  return figures.ok() ? figures : Result<Json>(figures.status().WithContext(path.string()));
}

}  // namespace sluice
