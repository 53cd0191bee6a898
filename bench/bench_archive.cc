// What the activation archive costs and saves, beside general compressors on the same bytes. All of it runs on one
// thread and is timed by that thread's processor time, one codec after the other in every round, so that a busy machine
// slows all alike; medians over the rounds. Compressors see byte planes: the lowest bytes of all elements, then the
// next.
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "codec/activation_coder.h"
#include "format/hidden_file.h"
#include "format/safetensors.h"
#include "measuring.h"

namespace sluice {
namespace {

struct Codec {
  std::string name;
  std::function<Bytes(const Bytes&)> encode;
  std::function<Bytes(const Bytes&)> decode;
};

struct Chunk {
  Bytes bytes;
  DType dtype;
  size_t tokens;
  size_t width;
};

Bytes ToPlanes(const Bytes& bytes, size_t element_size) {
  Bytes planes(bytes.size());
  const size_t count = bytes.size() / element_size;
  for (size_t i = 0; i < count; ++i) {
    for (size_t k = 0; k < element_size; ++k) planes[k * count + i] = bytes[i * element_size + k];
  }
  return planes;
}

Bytes FromPlanes(const Bytes& planes, size_t element_size) {
  Bytes bytes(planes.size());
  const size_t count = planes.size() / element_size;
  for (size_t i = 0; i < count; ++i) {
    for (size_t k = 0; k < element_size; ++k) bytes[i * element_size + k] = planes[k * count + i];
  }
  return bytes;
}

Codec Zstd(int level, const Chunk& chunk) {
  const size_t size = DTypeSize(chunk.dtype), length = chunk.bytes.size();
  return {fmt::format("zstd -{} on planes", level),
          [=](const Bytes& in) {
            const Bytes planes = ToPlanes(in, size);
            Bytes out(ZSTD_compressBound(planes.size()));
            out.resize(ZSTD_compress(out.data(), out.size(), planes.data(), planes.size(), level));
            return out;
          },
          [=](const Bytes& in) {
            Bytes planes(length);
            ZSTD_decompress(planes.data(), planes.size(), in.data(), in.size());
            return FromPlanes(planes, size);
          }};
}

Codec Zlib(int level, const Chunk& chunk) {
  const size_t size = DTypeSize(chunk.dtype), length = chunk.bytes.size();
  return {fmt::format("zlib -{} on planes", level),
          [=](const Bytes& in) {
            const Bytes planes = ToPlanes(in, size);
            uLongf used = compressBound(planes.size());
            Bytes out(used);
            compress2(out.data(), &used, planes.data(), planes.size(), level);
            out.resize(used);
            return out;
          },
          [=](const Bytes& in) {
            Bytes planes(length);
            uLongf used = length;
            uncompress(planes.data(), &used, in.data(), in.size());
            return FromPlanes(planes, size);
          }};
}

Codec Ours(std::string name, const FidelitySpec& spec, const Chunk& chunk) {
  const DType dtype = chunk.dtype;
  const size_t tokens = chunk.tokens, width = chunk.width;
  return {std::move(name), [=](const Bytes& in) { return *EncodeActivations(in, dtype, tokens, width, spec); },
          [=](const Bytes& in) { return *DecodeActivations(in, dtype, tokens, width, spec); }};
}

std::vector<Codec> CodecsFor(const Chunk& chunk, bool lossy) {
  std::vector<Codec> codecs = {Zstd(19, chunk),
                               Zstd(3, chunk),
                               Zlib(6, chunk),
                               {"raw", [](const Bytes& in) { return in; }, [](const Bytes& in) { return in; }},
                               Ours("archive", {}, chunk)};
  if (!lossy) return codecs;
  codecs.push_back(Ours("archive, absolute 0.01", {Fidelity::kAbsolute, 0.01}, chunk));
  codecs.push_back(Ours("archive, absolute 0.1", {Fidelity::kAbsolute, 0.1}, chunk));
  codecs.push_back(Ours("archive, relative 0.01", {Fidelity::kRelative, 0.01}, chunk));
  codecs.push_back(Ours("archive, 4 bits", {Fidelity::kBits, 4}, chunk));
  return codecs;
}

nlohmann::ordered_json Measure(const Chunk& chunk, bool lossy, int rounds) {
  const std::vector<Codec> codecs = CodecsFor(chunk, lossy);
  std::vector<std::vector<double>> encode(codecs.size()), decode(codecs.size());
  std::vector<size_t> sizes(codecs.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < codecs.size(); ++i) {
      const double begin = ThreadSeconds();
      const Bytes packed = codecs[i].encode(chunk.bytes);
      const double middle = ThreadSeconds();
      const Bytes back = codecs[i].decode(packed);
      encode[i].push_back(middle - begin);
      decode[i].push_back(ThreadSeconds() - middle);
      sizes[i] = packed.size();
      if (i < 5 && back != chunk.bytes)
        fmt::print(stderr, "{}: does not give back what it was given\n", codecs[i].name);
    }
  }
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  const auto megabytes = static_cast<double>(chunk.bytes.size()) / 1e6;
  for (size_t i = 0; i < codecs.size(); ++i) {
    rows.push_back(
        {{"codec", codecs[i].name},
         {"bytes", sizes[i]},
         {"bits_per_element", 8.0 * static_cast<double>(sizes[i]) / static_cast<double>(chunk.tokens * chunk.width)},
         {"size_over_zstd19", static_cast<double>(sizes[i]) / static_cast<double>(sizes[0])},
         {"encode_mb_s", megabytes / Median(encode[i])},
         {"decode_mb_s", megabytes / Median(decode[i])},
         {"encode_speed_over_zstd19", Median(encode[0]) / Median(encode[i])}});
  }
  return rows;
}

void PrintTable(const nlohmann::ordered_json& set) {
  fmt::print("\n{}, {}: {} tokens of width {}\n{:<24} {:>12} {:>8} {:>10} {:>10} {:>10}\n",
             set["tensor"].get<std::string>(), set["type"].get<std::string>(), set["tokens"].get<size_t>(),
             set["width"].get<size_t>(), "", "bits/element", "size", "enc MB/s", "dec MB/s", "enc speed");
  for (const auto& row : set["rows"]) {
    fmt::print("{:<24} {:>12.3f} {:>8.3f} {:>10.1f} {:>10.1f} {:>9.1f}x\n", row["codec"].get<std::string>(),
               row["bits_per_element"].get<double>(), row["size_over_zstd19"].get<double>(),
               row["encode_mb_s"].get<double>(), row["decode_mb_s"].get<double>(),
               row["encode_speed_over_zstd19"].get<double>());
  }
}

Status Run(const std::string& path, const std::vector<std::string>& tensors, size_t chunk_tokens, int rounds,
           bool json) {
  SLUICE_ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  nlohmann::ordered_json result = nlohmann::ordered_json::array();
  for (const std::string& name : tensors) {
    SLUICE_ASSIGN_OR_RETURN(const TensorView view, ChooseHidden(file, name));
    SLUICE_ASSIGN_OR_RETURN(std::vector<float> values, ToFloats(view));
    const size_t width = view.shape.back(), tokens = std::min(chunk_tokens, values.size() / width);
    values.resize(tokens * width);
    for (const DType dtype : {DType::kF16, DType::kBf16, DType::kF32}) {
      SLUICE_ASSIGN_OR_RETURN(Bytes bytes, FromFloats(values, dtype));
      nlohmann::ordered_json set = {
          {"tensor", view.name}, {"type", DTypeName(dtype)}, {"tokens", tokens}, {"width", width}, {"rounds", rounds}};
      set["rows"] = Measure({std::move(bytes), dtype, tokens, width}, dtype == DType::kF16, rounds);
      if (!json) PrintTable(set);
      result.push_back(std::move(set));
    }
  }
  if (json) fmt::print("{}\n", result.dump(1));
  return OkStatus();
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  CLI::App app("Sizes and speeds of the activation archive and of general compressors on byte planes");
  std::string path;
  std::vector<std::string> tensors = {""};
  size_t tokens = 16'384;
  int rounds = 5;
  bool json = false;
  app.add_option("file", path, "Hidden states (.safetensors)")->required();
  app.add_option("--tensor", tensors, "Names of tensors");
  app.add_option("--tokens", tokens, "Tokens of the one chunk that is measured")->check(CLI::Range(1, 1 << 20));
  app.add_option("--rounds", rounds, "Rounds; medians are shown")->check(CLI::Range(1, 1000));
  app.add_flag("--json", json, "Print JSON");
  CLI11_PARSE(app, argc, argv);
  const sluice::Status status = sluice::Run(path, tensors, tokens, rounds, json);
  if (!status.ok()) fmt::print(stderr, "bench_archive: {}\n", status.ToString());
  return sluice::ExitCode(status.code());
}
