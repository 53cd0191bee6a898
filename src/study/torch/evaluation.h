#ifndef SLUICE_STUDY_TORCH_EVALUATION_H_
#define SLUICE_STUDY_TORCH_EVALUATION_H_

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "page/page_content.h"
#include "study/torch/codec_timing.h"
#include "study/torch/text_stream.h"

namespace sluice {

struct EvaluationOptions {
  std::filesystem::path model;
  std::string codec;  ///< folder or name
  TextSource text;
  int64_t cut = -1;
  int64_t batch = 1;
  int point = 0;                     ///< operating point, where the codec has several
  bool baselines = true;             ///< other codecs on the same hidden states
  TextSource fit_text;               ///< for codecs that are fitted, as OpenStudyCodec says
  std::vector<int64_t> time_chunks;  ///< also time coding in chunks of these many tokens
  std::filesystem::path reference;   ///< a model to compare with, for joint training; empty: none
};

/// Rate and quality of one codec on one text, all rates from bytes that were written and read back.
struct Evaluation {
  std::string codec;
  bool learned = false;
  int64_t cut = 0, width = 0, tokens = 0, chunks = 0;
  uint64_t bytes = 0;                                          ///< the whole stream, headers included
  uint64_t payload_bytes = 0;                                  ///< without stream and frame headers
  double estimated_bits = 0, hyper_bits = 0, latent_bits = 0;  ///< learned codecs only
  LanguageScore score;
  double reference_cross_entropy_nats = 0;  ///< 0: no reference was given
  double encode_seconds = 0, decode_seconds = 0;
  double multiply_adds_per_token = 0;  ///< of encoding and decoding; learned codecs only
  std::vector<ChunkTiming> timing;
  std::vector<double> channel_bits_per_token;
  std::vector<std::pair<std::string, double>> baseline_bits_per_token;

  double BitsPerToken() const { return 8.0 * static_cast<double>(bytes) / static_cast<double>(tokens); }
  nlohmann::ordered_json ToJson() const;
  /// The same as a table for people.
  std::string ToText() const;
  /// Plots: rate by part and by channel, and other codecs beside it.
  std::vector<PageBlock> ToBlocks() const;
};

/// Encodes the text's hidden states to a stream in memory, decodes it, and scores what the tail makes of it.
/// Errors: as OpenTensorCodec, LoadBackbone, TextWindows::Load; Interrupted.
Result<Evaluation> Evaluate(const EvaluationOptions& options);

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_EVALUATION_H_
