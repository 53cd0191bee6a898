#ifndef SLUICE_CLI_STREAM_OPTIONS_H_
#define SLUICE_CLI_STREAM_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "codec/certificate.h"

namespace sluice {

/// Options of `sluice encode`, with and without a transformer.
struct EncodeOptions {
  std::filesystem::path model;
  std::string codec;
  std::vector<std::filesystem::path> text;
  std::filesystem::path hidden;
  std::string tensor;
  std::filesystem::path out;
  int64_t cut = -1;
  int64_t context = 0;
  int64_t batch = 1;
  int64_t chunk = 256;
  int threads = 0;
  bool drop_blank_lines = false;
  std::string require;
  int point = 0;
  double bits_per_token = 0;
  std::filesystem::path ids;
  bool send_ids = false;
};
void AddEncodeOptions(CLI::App& app, EncodeOptions& options);
inline constexpr const char* kEncodeDescription = "Compress the hidden states of a text at a cut, or of a file.";
extern const char* const kEncodeExamples;

/// Options of `sluice decode`.
struct DecodeOptions {
  std::filesystem::path model;
  std::string codec;
  std::filesystem::path in;
  std::vector<std::filesystem::path> text;
  std::filesystem::path out;
  int64_t context = 0;
  bool drop_blank_lines = false;
  std::string require;
  std::filesystem::path ids, ids_out;
};
void AddDecodeOptions(CLI::App& app, DecodeOptions& options);
inline constexpr const char* kDecodeDescription =
    "Decode a stream: score the text behind it with the layers after the cut, or write the hidden states.";
extern const char* const kDecodeExamples;

/// Token ids in a file: numbers with white space between them. Errors: Io; Corrupt for anything else.
Result<std::vector<int32_t>> ReadIds(const std::filesystem::path& path);
/// Inverse, one to a line.
Status WriteIds(const std::filesystem::path& path, std::span<const int32_t> ids);

/// What the certificate of the pack `codec` says of its operating points; empty for an empty requirement.
/// Errors: InvalidArgument for a requirement that is not understood; Mismatch when no point meets it, the certificate
/// is missing or foreign, or the codec is no pack.
Result<PointVerdicts> JudgeRequirement(const std::string& require, const std::string& codec);

}  // namespace sluice

#endif  // SLUICE_CLI_STREAM_OPTIONS_H_
