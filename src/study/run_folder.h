#ifndef SLUICE_STUDY_RUN_FOLDER_H_
#define SLUICE_STUDY_RUN_FOLDER_H_

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/status.h"
#include "study/study_plan.h"

namespace sluice {

/// Everything that a run's figures depend on: arguments with their placeholders, choices, contents of files, program.
struct RunInputs {
  std::vector<std::string> train;
  std::vector<std::string> eval;
  std::map<std::string, std::string> choices;  ///< name and value, of those that the run uses and that are made
  std::map<std::string, std::string> files;    ///< placeholder and SHA-256 of its files, of those that the run uses
  std::map<std::string, std::string> runs;     ///< name and digest of the inputs, of runs whose folders it reads
  std::string version;

  nlohmann::ordered_json ToJson() const;
};

/// SHA-256 of every file that a plan names, by placeholder; for a folder, of the files in it. Errors: Io.
Result<std::map<std::string, std::string>> HashFiles(const StudyPlan& plan);

/// The inputs of one run but for other runs. `hashes`: as HashFiles gave them.
RunInputs InputsOf(const StudyRun& run, const std::map<std::string, std::string>& hashes,
                   const std::map<std::string, std::string>& choices, const std::string& version);

/// How far a run has come.
enum class RunState {
  kFresh,    ///< nothing, or an interrupted training that --resume goes on with
  kTrained,  ///< the codec is there, not measured yet
  kDone,     ///< eval.json is there
  kFailed,   ///< failed.json says why
  kStale,    ///< made with other inputs: RunFolderState::reason says which
};

struct RunFolderState {
  RunState state = RunState::kFresh;
  std::string reason;  ///< of kStale and kFailed
};

/// Reads a run's folder. Choices that are not made yet, and runs behind them, are not compared. Errors: Corrupt naming
/// the file.
Result<RunFolderState> ReadRunState(const std::filesystem::path& folder, const StudyRun& run, const RunInputs& inputs);

/// run.json: what a run was made from and how. Written before the first process starts, and after each.
struct RunRecord {
  nlohmann::ordered_json inputs;
  std::string train_command, eval_command;  ///< as typed
  std::string model;                        ///< SHA-256 of the model's files
  double train_seconds = 0;                 ///< processes that were killed not counted
  double eval_seconds = 0;
};
Status WriteRunRecord(const std::filesystem::path& folder, const RunRecord& record);
/// Nothing when there is no record. Errors: Corrupt.
Result<std::optional<RunRecord>> ReadRunRecord(const std::filesystem::path& folder);

/// failed.json. Range: exit_code as ProcessEnd's.
struct RunFailure {
  std::string stage;  ///< "train" or "eval"
  int exit_code = 0;
  int signal = 0;
  std::string message;
};
Status WriteRunFailure(const std::filesystem::path& folder, const RunFailure& failure);
/// Errors: Io; Corrupt.
Result<RunFailure> ReadRunFailure(const std::filesystem::path& folder);

/// Checks what `eval` printed and gives it back as JSON. Errors: Corrupt when it is not a JSON object; Internal naming
/// the figure that is not a finite number (NaN becomes null in JSON).
Result<nlohmann::ordered_json> ParseFigures(std::string_view text);
/// eval.json. Errors: Io; as ParseFigures.
Result<nlohmann::ordered_json> ReadFigures(const std::filesystem::path& folder);

/// Reads a JSON object from a file. Errors: Io; Corrupt.
Result<nlohmann::ordered_json> ReadJsonObject(const std::filesystem::path& path);

}  // namespace sluice

#endif  // SLUICE_STUDY_RUN_FOLDER_H_
