#include "fuzz_input.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/bytes.h"

namespace sluice {

void FailFuzzTarget(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
  std::abort();
}

void RequireInputFault(const Status& status) {
  const StatusCode code = status.code();
  if (code != StatusCode::kInternal && code != StatusCode::kIo && code != StatusCode::kInterrupted) return;
  FailFuzzTarget(__FILE__, __LINE__, status.ToString().c_str());
}

uint8_t FuzzInput::Byte() {
  if (rest_.empty()) return 0;
  const uint8_t byte = rest_.front();
  rest_ = rest_.subspan(1);
  return byte;
}

uint32_t FuzzInput::Word() {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word |= static_cast<uint32_t>(Byte()) << (8 * i);
  return word;
}

uint32_t FuzzInput::InRange(uint32_t lowest, uint32_t highest) {
  const uint32_t span = highest - lowest;
  const uint32_t drawn = span < 256 ? Byte() : Word();
  return span == UINT32_MAX ? drawn : lowest + drawn % (span + 1);
}

std::span<const uint8_t> FuzzInput::Bytes(size_t size) {
  const std::span<const uint8_t> bytes = rest_.first(std::min(size, rest_.size()));
  rest_ = rest_.subspan(bytes.size());
  return bytes;
}

std::string_view FuzzInput::ShortText() {
  const size_t size = Byte();
  return AsText(Bytes(size));
}

ScratchFile::ScratchFile(const std::string& suffix) {
  const std::filesystem::path memory = "/dev/shm";
  std::error_code error;
  const auto parent = std::filesystem::is_directory(memory, error) ? memory : std::filesystem::temp_directory_path();
  folder_ = (parent / "sluice-fuzz-XXXXXX").string();
  FUZZ_REQUIRE(::mkdtemp(folder_.data()) != nullptr);
  path_ = folder_ + "/input" + suffix;
}

ScratchFile::~ScratchFile() {
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

const std::string& ScratchFile::With(std::span<const uint8_t> bytes) {
  std::FILE* file = std::fopen(path_.c_str(), "wb");
  FUZZ_REQUIRE(file != nullptr);
  FUZZ_REQUIRE(bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
  FUZZ_REQUIRE(std::fclose(file) == 0);
  return path_;
}

}  // namespace sluice
