#ifndef SLUICE_FUZZ_FUZZ_INPUT_H_
#define SLUICE_FUZZ_FUZZ_INPUT_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

/// Ends the process, with the place and the condition, when a property that a target checks does not hold.
#define FUZZ_REQUIRE(condition) \
  (static_cast<bool>(condition) ? void() : ::sluice::FailFuzzTarget(__FILE__, __LINE__, #condition))

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace sluice {

[[noreturn]] void FailFuzzTarget(const char* file, int line, const char* condition);

/// Requires that a status is Ok or blames the input: Truncated, Corrupt, Unsupported, Mismatch or InvalidArgument. An
/// Internal or Io status would be a fault of ours.
void RequireInputFault(const Status& status);

/// Takes decisions from the front of a fuzzer's bytes. Past the end everything is 0.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte();
  uint32_t Word();
  /// lowest + something, at most highest. Data: one byte for ranges of up to 256 values, else four.
  uint32_t InRange(uint32_t lowest, uint32_t highest);
  /// The next `size` bytes, or as many as there are.
  std::span<const uint8_t> Bytes(size_t size);
  /// A length of one byte and so many bytes of text.
  std::string_view ShortText();
  std::span<const uint8_t> Rest() { return Bytes(rest_.size()); }

 private:
  std::span<const uint8_t> rest_;
};

inline std::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A file that readers take by its path, rewritten for every input. It lives in memory where the system has such a
/// folder, and vanishes with the process.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& suffix);
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();

  /// Its path, with exactly `bytes` in it.
  const std::string& With(std::span<const uint8_t> bytes);

 private:
  std::string folder_;
  std::string path_;
};

}  // namespace sluice

#endif  // SLUICE_FUZZ_FUZZ_INPUT_H_
