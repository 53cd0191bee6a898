// Brackets outside of strings, counted in one pass over the text.
#include "base/json_depth.h"

#include <string>

namespace sluice {

Status CheckJsonDepth(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '[' || c == '{')) {
      if (++depth > kMaxJsonDepth) {
        return Corrupt("JSON at byte " + std::to_string(i) + ": more than " + std::to_string(kMaxJsonDepth) +
                       " values inside of each other");
      }
    } else if (!in_string && (c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return OkStatus();
}

}  // namespace sluice
