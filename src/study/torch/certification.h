#ifndef SLUICE_STUDY_TORCH_CERTIFICATION_H_
#define SLUICE_STUDY_TORCH_CERTIFICATION_H_

#include <filesystem>
#include <string>
#include <vector>

#include "codec/certificate.h"
#include "study/torch/text_stream.h"

namespace sluice {

struct CertificationOptions {
  std::filesystem::path model, pack;
  TextSource text;
  std::vector<std::filesystem::path> last_words;  ///< passages, as EvaluateLastWords takes them; may be empty
  int64_t prompts = 32;                           ///< windows whose beginning is continued
  int64_t prompt_tokens = 32, new_tokens = 32;
  std::string program;  ///< name and version, for the certificate
};

/// Measures what each operating point of a pack does to its model on a text. Intervals are Student's t over windows or
/// prompts; a text of one window has none, and ends of its interval that no requirement meets.
/// Errors: as Evaluate; InvalidArgument for a text too short for a prompt; Interrupted.
/// Cost: one evaluation and `prompts` continuations a point.
Result<Certificate> CertifyPack(const CertificationOptions& options);

}  // namespace sluice

#endif  // SLUICE_STUDY_TORCH_CERTIFICATION_H_
