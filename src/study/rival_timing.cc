#include "study/rival_timing.h"

namespace sluice {

nlohmann::ordered_json RivalTiming::ToJson() const {
  return {{"method", method},
          {"packing", packing},
          {"bits_per_token", bits_per_token},
          {"encode_us_per_token", encode_us},
          {"decode_us_per_token", decode_us}};
}

RivalTiming RivalTiming::FromJson(const nlohmann::ordered_json& json) {
  return {.method = json.value("method", ""),
          .packing = json.value("packing", ""),
          .bits_per_token = json.value("bits_per_token", 0.0),
          .encode_us = json.value("encode_us_per_token", 0.0),
          .decode_us = json.value("decode_us_per_token", 0.0)};
}

}  // namespace sluice
