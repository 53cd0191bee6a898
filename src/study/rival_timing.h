#ifndef SLUICE_STUDY_RIVAL_TIMING_H_
#define SLUICE_STUDY_RIVAL_TIMING_H_

#include <nlohmann/json.hpp>
#include <string>

namespace sluice {

/// What a general compressor makes of a learned codec's own integers; an item of "same_integers" in eval.json.
struct RivalTiming {
  std::string method = {};   ///< "deflate:6"
  std::string packing = {};  ///< as IntegerCodec names it, of the last chunk
  double bits_per_token = 0;
  double encode_us = 0, decode_us = 0;  ///< a token

  nlohmann::ordered_json ToJson() const;
  /// Inverse; what is missing stays as above.
  static RivalTiming FromJson(const nlohmann::ordered_json& json);
};

}  // namespace sluice

#endif  // SLUICE_STUDY_RIVAL_TIMING_H_
