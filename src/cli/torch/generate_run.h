#ifndef SLUICE_CLI_TORCH_GENERATE_RUN_H_
#define SLUICE_CLI_TORCH_GENERATE_RUN_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "backbone/generate.h"
#include "cli/verb.h"
#include "cli/wire_options.h"

namespace sluice {

/// Options of `sluice generate`, in one process and over a network.
struct GenerateVerbOptions {
  std::filesystem::path model;
  std::string codec;
  std::string prompt;
  std::filesystem::path prompt_file;
  int64_t cut = -1;
  uint32_t prompt_tokens = 0;  ///< 0: all of the prompt
  uint32_t chunk = 0;          ///< 0: the whole prompt in one process, kNetworkChunk over a network
  int threads = 0;
  GenerateOptions generate;
  // Over a network.
  std::string layers;
  std::string connect;
  NetworkOptions network;
  std::string require;
  bool automatic = false;
  double target_ttft = 0;  ///< seconds; 0: none
  double target_bits = 0;  ///< a token; 0: none
  bool RateControlled() const { return automatic || target_ttft > 0 || target_bits > 0; }
  std::filesystem::path metrics_file;
  bool log_probabilities = false;
  double deadline_seconds = 0;
  double retry_seconds = 60;
  double stall_seconds = 20;
};
inline constexpr uint32_t kNetworkChunk = 64;

/// What a run has to say besides its tokens.
struct GenerateResult {
  std::vector<int64_t> ids;
  nlohmann::ordered_json details = nlohmann::ordered_json::object();  ///< joins the JSON result
  std::string text;                                                   ///< a line for people; may be empty
};

/// One way to run a prompt; sees every new id as it comes.
using TokenSink = std::function<bool(int64_t)>;

/// In this process, uncut or through a codec as real bytes.
Result<GenerateResult> GenerateHere(const GenerateVerbOptions& options, const std::vector<int64_t>& prompt,
                                    const TokenSink& on_token);
/// With the layers behind --connect.
Result<GenerateResult> GenerateConnected(const GenerateVerbOptions& options, const std::vector<int64_t>& prompt,
                                         const TokenSink& on_token);

}  // namespace sluice

#endif  // SLUICE_CLI_TORCH_GENERATE_RUN_H_
