// Codec "context" on one core beside general compressors on the integers that it codes, in the same run: every
// contender takes its turn in every round, figures are medians of the processor time of this thread. The codec's time
// is that of the whole way, from hidden states to a frame and back: transform, search for a class, network, entropy
// coder; the rivals only get the integers, two bytes each, as they lie and as two planes of bytes. Networks are those
// of the presets with weights that nobody trained: the time does not depend on them, the rate is that of latents which
// the scales fit.
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "codec/context_frames.h"
#include "codec/pack_codec.h"
#include "measuring.h"
#include "page/plot_svg.h"
#include "preset_sample.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

struct Times {
  std::vector<double> encode, decode;
  size_t bytes = 0;
};

/// One codec, one number of tokens, and the latents that go through it.
class Case {
 public:
  Case(const std::string& preset, size_t width, size_t tokens) : sample_(PresetSample(preset, width)) {
    pack_bytes_ = sample_.Make();
    codec_ = *PackCodec::Make(*Pack::FromBytes(pack_bytes_));
    hidden_ = DrawHidden(tokens);
    latents_ = Latents(tokens);
  }

  void Round() {
    Codec();
    const Bytes plain = AsBytes(false), planes = AsBytes(true);
    Zlib(plain, times_[1]);
    Zlib(planes, times_[2]);
    Zstd(plain, times_[3]);
    Zstd(planes, times_[4]);
  }

  ordered_json Result() const {
    const auto tokens = static_cast<double>(hidden_.rows());
    const CodecCost cost = codec_->MultiplyAdds();
    ordered_json row = {{"multiply_adds_of_encode", cost.encode}, {"multiply_adds_of_decode", cost.decode}};
    for (size_t i = 0; i < kNames.size(); ++i) {
      row[kNames[i]] = {{"bits_per_token", 8 * static_cast<double>(times_[i].bytes) / tokens},
                        {"encode_us_per_token", 1e6 * Median(times_[i].encode) / tokens},
                        {"decode_us_per_token", 1e6 * Median(times_[i].decode) / tokens}};
    }
    return row;
  }

 private:
  static constexpr std::array<const char*, 5> kNames = {"codec", "zlib-6", "zlib-6-planes", "zstd-3", "zstd-3-planes"};

  // Latents whose deviations are the channels', through the decoder.
  Matrix<float> DrawHidden(size_t tokens) {
    const size_t d = sample_.shape.width;
    SampleNumbers random(17);
    const ContextParts parts = *ContextParts::FromPack(*Pack::FromBytes(pack_bytes_));
    ContextIntegers integers;
    for (size_t t = 0; t < tokens; ++t) {
      integers.classes.push_back(static_cast<int32_t>(random.Next() % sample_.shape.ids));
      for (size_t j = 0; j < d; ++j) integers.latents.push_back(random.Bell(sample_.Deviation(j)));
    }
    ContextEnd end(parts);
    Bytes payload;
    (void)end.BeginFrame(1, true).ok();
    (void)end.EncodeChunk(integers, 0, payload).ok();
    const ContextFloats floats = *ContextFloats::FromPack(*Pack::FromBytes(pack_bytes_), sample_.shape.ids);
    ContextFloats::Work work;
    Matrix<float> hidden(tokens, d);
    floats.Restore(integers.latents, end.mean_q4(), end.scales(), 0, work, hidden.View());
    return hidden;
  }

  std::vector<int32_t> Latents(size_t tokens) {
    std::vector<int32_t> latents(tokens * sample_.shape.width), classes(tokens);
    const ContextFloats floats = *ContextFloats::FromPack(*Pack::FromBytes(pack_bytes_), sample_.shape.ids);
    ContextFloats::Work work;
    (void)floats.Quantize(hidden_.View(), 0, latents, classes, work).ok();
    return latents;
  }

  Bytes AsBytes(bool planes) const {
    const size_t count = latents_.size();
    Bytes bytes(2 * count);
    for (size_t i = 0; i < count; ++i) {
      const auto value = static_cast<uint16_t>(latents_[i]);
      bytes[planes ? i : 2 * i] = static_cast<uint8_t>(value);
      bytes[planes ? count + i : 2 * i + 1] = static_cast<uint8_t>(value >> 8);
    }
    return bytes;
  }

  void Codec() {
    if (!encoder_) {
      encoder_ = codec_->NewEncoder();
      decoder_ = codec_->NewDecoder();
    }
    StreamWriter writer = *StreamWriter::ToMemory(codec_->Header(DType::kF32, kFreshFrames));
    const uint64_t header = writer.bytes_written();
    const double begin = ThreadSeconds();
    const Status pushed = encoder_->Push(hidden_.View(), 1, writer);
    const double middle = ThreadSeconds();
    times_[0].bytes = writer.bytes_written() - header;
    if (!pushed.ok() || !writer.Finish().ok()) throw std::runtime_error(pushed.ToString());
    const Bytes stream = writer.Take();
    StreamReader reader = *StreamReader::FromBytes(stream);
    const double again = ThreadSeconds();
    const auto frame = *reader.Next();
    const auto back = decoder_->Pull(*frame, reader);
    const double end = ThreadSeconds();
    if (!back.ok()) throw std::runtime_error(back.status().ToString());
    times_[0].encode.push_back(middle - begin);
    times_[0].decode.push_back(end - again);
  }

  static void Zlib(const Bytes& in, Times& times) {
    Bytes out(compressBound(in.size())), back(in.size());
    uLongf size = out.size(), back_size = back.size();
    const double begin = ThreadSeconds();
    compress2(out.data(), &size, in.data(), in.size(), 6);
    const double middle = ThreadSeconds();
    uncompress(back.data(), &back_size, out.data(), size);
    Keep(times, size, begin, middle, back == in);
  }

  static void Zstd(const Bytes& in, Times& times) {
    Bytes out(ZSTD_compressBound(in.size())), back(in.size());
    const double begin = ThreadSeconds();
    const size_t size = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3);
    const double middle = ThreadSeconds();
    ZSTD_decompress(back.data(), back.size(), out.data(), size);
    Keep(times, size, begin, middle, back == in);
  }

  static void Keep(Times& times, size_t size, double begin, double middle, bool same) {
    times.decode.push_back(ThreadSeconds() - middle);
    times.encode.push_back(middle - begin);
    times.bytes = size;
    if (!same) throw std::runtime_error("a compressor's bytes did not come back");
  }

  ContextSample sample_;
  Bytes pack_bytes_;
  std::unique_ptr<PackCodec> codec_;
  std::unique_ptr<FrameEncoder> encoder_;
  std::unique_ptr<FrameDecoder> decoder_;
  Matrix<float> hidden_;
  std::vector<int32_t> latents_;
  std::array<Times, kNames.size()> times_;
};

double Both(const ordered_json& times) {
  return times["encode_us_per_token"].get<double>() + times["decode_us_per_token"].get<double>();
}

void PrintRow(const ordered_json& row) {
  const auto& codec = row["codec"];
  fmt::print("{:<7} {:>5} {:>5} {:>9.2f} {:>9.2f} {:>9.1f} {:>11.2f} {:>11.2f} {:>9.2f} {:>9.2f}\n",
             row["preset"].get<std::string>(), row["width"].get<int>(), row["tokens"].get<int>(),
             codec["encode_us_per_token"].get<double>(), codec["decode_us_per_token"].get<double>(),
             codec["bits_per_token"].get<double>(), Both(row["zlib-6"]) / Both(codec),
             Both(row["zstd-3"]) / Both(codec),
             codec["bits_per_token"].get<double>() / row["zlib-6"]["bits_per_token"].get<double>(),
             codec["bits_per_token"].get<double>() / row["zstd-3"]["bits_per_token"].get<double>());
  std::fflush(stdout);
}

// Time a token of both ends, a series for each preset: of the rows where `fixed` has its value, over `along`.
std::string PlotTimes(const ordered_json& rows, const char* along, const char* fixed, size_t value,
                      const PlotBlock& frame) {
  PlotBlock plot = frame;
  for (const auto& row : rows) {
    if (row[fixed].get<size_t>() != value) continue;
    const auto name = row["preset"].get<std::string>();
    if (plot.series.empty() || plot.series.back().name != name) {
      plot.series.push_back({.name = name, .line = true, .points = true});
    }
    plot.series.back().x.push_back(row[along].get<double>());
    plot.series.back().y.push_back(Both(row["codec"]));
  }
  return RenderPlotSvg(plot);
}

// At the width 768, or the first; at the most tokens.
void WriteSvgs(const std::string& prefix, const ordered_json& rows, const std::vector<size_t>& widths,
               const std::vector<size_t>& tokens) {
  const bool usual = std::find(widths.begin(), widths.end(), 768) != widths.end();
  const size_t width = usual ? 768 : widths.front(), most = *std::max_element(tokens.begin(), tokens.end());
  std::ofstream(prefix + "-tokens.svg") << PlotTimes(
      rows, "tokens", "width", width,
      {.title = fmt::format("Time a token over the tokens of a frame, width {}", width),
       .x_label = "tokens of a frame",
       .y_label = "encode + decode, us a token",
       .log_x = true});
  std::ofstream(prefix + "-width.svg") << PlotTimes(
      rows, "width", "tokens", most,
      {.title = fmt::format("Time a token over the width, {} tokens", most),
       .x_label = "width d",
       .y_label = "encode + decode, us a token",
       .log_x = true,
       .log_y = true});
}

int Main(int argc, char** argv) {
  CLI::App app("Codec context beside zlib and zstd on the same integers, one core.");
  int rounds = 9;
  std::vector<size_t> widths = {64, 288, 768, 2048, 4096}, tokens = {1, 64, 1024};
  std::vector<std::string> presets = {"sluice", "fast"};
  std::string out, svg;
  app.add_option("--rounds", rounds, "Rounds; figures are medians")->check(CLI::Range(1, 1000));
  app.add_option("--widths", widths, "Widths of hidden states");
  app.add_option("--tokens", tokens, "Tokens of a frame");
  app.add_option("--presets", presets, "sluice, fast")->check(CLI::IsMember({"sluice", "fast"}));
  app.add_option("--json", out, "Also write all figures to this file");
  app.add_option("--svg", svg, "Also plot time a token: PREFIX-tokens.svg and PREFIX-width.svg")->type_name("PREFIX");
  CLI11_PARSE(app, argc, argv);
  ordered_json result = {{"processor", Processor()}, {"load", LoadAverage()}, {"rounds", rounds}};
  fmt::print("us a token, one core; the last four columns: rival's time over ours, our bytes over the rival's\n");
  fmt::print("preset  width     T    encode    decode  bits/tok  x zlib -6   x zstd -3  / zlib    / zstd\n");
  for (const std::string& preset : presets) {
    for (const size_t width : widths) {
      for (const size_t count : tokens) {
        Case one(preset, width, count);
        for (int round = 0; round < rounds; ++round) one.Round();
        ordered_json row = {{"preset", preset}, {"width", width}, {"tokens", count}};
        row.update(one.Result());
        PrintRow(row);
        result["rows"].push_back(std::move(row));
      }
    }
  }
  result["load_at_the_end"] = LoadAverage();
  if (!out.empty()) std::ofstream(out) << result.dump(1) << "\n";
  if (!svg.empty()) WriteSvgs(svg, result["rows"], widths, tokens);
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
