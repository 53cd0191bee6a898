// Codec "context" on one core beside general compressors on the integers that it codes, in the same run: every
// contender takes its turn in every round, figures are medians of the processor time of this thread. The codec's time
// is that of the whole way, from hidden states to a frame and back: transform, search for a class, network, entropy
// coder; the rivals only get the integers, two bytes each, as they lie and as two planes of bytes. Networks are those
// of the presets with weights that nobody trained: the time does not depend on them, the rate is that of latents which
// the scales fit. With --pack a trained codec and hidden states of its model take their place.
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
#include "format/hidden_file.h"
#include "measuring.h"
#include "page/plot_svg.h"
#include "preset_sample.h"
#include "prob/scale_grid.h"

namespace sluice {
namespace {

using nlohmann::ordered_json;

struct Times {
  std::vector<double> encode, decode;  // of each round, all chunks together
  size_t bytes = 0;                    // of a round

  void Begin() {
    encode.push_back(0);
    decode.push_back(0);
    bytes = 0;
  }
  void Add(double encode_seconds, double decode_seconds, size_t size) {
    encode.back() += encode_seconds;
    decode.back() += decode_seconds;
    bytes += size;
  }
};

/// Hidden states of latents that are drawn as the network predicts them.
Matrix<float> DrawHidden(const ContextSample& sample, const Pack& pack, size_t tokens) {
  const size_t d = sample.shape.width;
  SampleNumbers random(17);
  const ContextParts parts = *ContextParts::FromPack(pack);
  ContextEngine engine(parts.weights);
  ContextState state(parts.weights.shape);
  std::vector<int32_t> latents(tokens * d), means(tokens * d);
  std::vector<uint8_t> scales(tokens * d);
  for (size_t t = 0; t < tokens; ++t) {
    engine.BeginToken(0, static_cast<int32_t>(random.Next() % sample.shape.ids), state);
    for (size_t g = 0; g < sample.shape.groups; ++g) {
      const size_t from = t * d + sample.shape.GroupBegin(g), size = sample.shape.GroupSize(g);
      engine.ParametersOf(g, std::span(means).subspan(from, size), std::span(scales).subspan(from, size));
      for (size_t i = from; i < from + size; ++i) {
        latents[i] = (means[i] + random.Bell(static_cast<int32_t>(256 * ScaleValue(scales[i]))) + 8) >> 4;
      }
      engine.Absorb(g, std::span(latents).subspan(from, size));
    }
    engine.EndToken(state);
  }
  const ContextFloats floats = *ContextFloats::FromPack(pack, sample.shape.ids);
  ContextFloats::Work work;
  Matrix<float> hidden(tokens, d);
  floats.Restore(latents, means, scales, 0, work, hidden.View());
  return hidden;
}

/// One codec, and hidden states in chunks of so many tokens with the latents that go through it.
class Case {
 public:
  /// Errors: InvalidArgument for a pack that needs token ids, another width or point; those of the codec.
  static Result<Case> Make(Pack pack, int point, Matrix<float> hidden, size_t chunk_tokens) {
    SLUICE_ASSIGN_OR_RETURN(const ContextParts parts, ContextParts::FromPack(pack));
    const ContextShape& shape = parts.weights.shape;
    if (shape.names != TokenNames::kClasses) return InvalidArgument("a pack whose codec names classes is needed");
    SLUICE_ASSIGN_OR_RETURN(const ContextFloats floats, ContextFloats::FromPack(pack, shape.ids));
    Case made;
    made.latents_.resize(hidden.View().size());
    std::vector<int32_t> classes(hidden.rows());
    SLUICE_ASSIGN_OR_RETURN(made.codec_, PackCodec::Make(std::move(pack)));
    made.encoder_ = made.codec_->NewEncoder();
    SLUICE_RETURN_IF_ERROR(made.encoder_->SetPoint(point));
    ContextFloats::Work work;
    SLUICE_RETURN_IF_ERROR(floats.Quantize(hidden.View(), point, made.latents_, classes, work));
    made.decoder_ = made.codec_->NewDecoder();
    made.hidden_ = std::move(hidden);
    made.chunk_ = chunk_tokens;
    return made;
  }

  /// Without `rivals` for a profile of the codec alone.
  Status Round(bool rivals) {
    for (Times& times : times_) times.Begin();
    for (size_t begin = 0; begin < hidden_.rows(); begin += chunk_) {
      const size_t end = std::min(begin + chunk_, hidden_.rows());
      SLUICE_RETURN_IF_ERROR(Codec(begin, end));
      if (!rivals) continue;
      const Bytes plain = AsBytes(begin, end, false), planes = AsBytes(begin, end, true);
      const bool same =
          Zlib(plain, times_[1]) && Zlib(planes, times_[2]) && Zstd(plain, times_[3]) && Zstd(planes, times_[4]);
      if (!same) return Internal("a compressor's bytes did not come back");
    }
    return OkStatus();
  }

  ordered_json Figures() const {
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

  Bytes AsBytes(size_t begin, size_t end, bool planes) const {
    const size_t count = (end - begin) * hidden_.cols();
    const int32_t* const latents = latents_.data() + begin * hidden_.cols();
    Bytes bytes(2 * count);
    for (size_t i = 0; i < count; ++i) {
      const auto value = static_cast<uint16_t>(latents[i]);
      bytes[planes ? i : 2 * i] = static_cast<uint8_t>(value);
      bytes[planes ? count + i : 2 * i + 1] = static_cast<uint8_t>(value >> 8);
    }
    return bytes;
  }

  Status Codec(size_t begin, size_t end) {
    SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(codec_->Header(DType::kF32, kFreshFrames)));
    const uint64_t header = writer.bytes_written();
    const double start = ThreadSeconds();
    SLUICE_RETURN_IF_ERROR(encoder_->Push(hidden_.View().Rows(begin, end), 1, writer));
    const double pushed = ThreadSeconds();
    const uint64_t bytes = writer.bytes_written() - header;
    SLUICE_RETURN_IF_ERROR(writer.Finish());
    const Bytes stream = writer.Take();
    SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(stream));
    const double again = ThreadSeconds();
    SLUICE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
    SLUICE_RETURN_IF_ERROR(decoder_->PullInto(*frame, reader, decoded_));
    times_[0].Add(pushed - start, ThreadSeconds() - again, bytes);
    return OkStatus();
  }

  static bool Zlib(const Bytes& in, Times& times) {
    Bytes out(compressBound(in.size())), back(in.size());
    uLongf size = out.size(), back_size = back.size();
    const double begin = ThreadSeconds();
    compress2(out.data(), &size, in.data(), in.size(), 6);
    const double middle = ThreadSeconds();
    uncompress(back.data(), &back_size, out.data(), size);
    times.Add(middle - begin, ThreadSeconds() - middle, size);
    return back == in;
  }

  static bool Zstd(const Bytes& in, Times& times) {
    Bytes out(ZSTD_compressBound(in.size())), back(in.size());
    const double begin = ThreadSeconds();
    const size_t size = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3);
    const double middle = ThreadSeconds();
    ZSTD_decompress(back.data(), back.size(), out.data(), size);
    times.Add(middle - begin, ThreadSeconds() - middle, size);
    return back == in;
  }

  std::unique_ptr<PackCodec> codec_;
  std::unique_ptr<FrameEncoder> encoder_;
  std::unique_ptr<FrameDecoder> decoder_;
  Matrix<float> hidden_, decoded_;
  size_t chunk_ = 0;
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

struct Options {
  int rounds = 9;
  bool alone = false;
  std::vector<size_t> widths = {64, 288, 768, 2048, 4096}, tokens = {1, 64, 1024};
  std::vector<std::string> presets = {"sluice", "fast"};
  std::string pack, hidden, tensor, json, svg;
  int point = 0;
};

Result<ordered_json> MeasureRow(Result<Case> made, const std::string& name, size_t width, size_t tokens,
                                const Options& options) {
  SLUICE_ASSIGN_OR_RETURN(Case one, std::move(made));
  for (int round = 0; round < options.rounds; ++round) SLUICE_RETURN_IF_ERROR(one.Round(!options.alone));
  ordered_json row = {{"preset", name}, {"width", width}, {"tokens", tokens}};
  row.update(one.Figures());
  PrintRow(row);
  return row;
}

// Networks that nobody trained, of the presets' sizes.
Status MeasurePresets(const Options& options, ordered_json& rows) {
  for (const std::string& preset : options.presets) {
    for (const size_t width : options.widths) {
      for (const size_t count : options.tokens) {
        const ContextSample sample = PresetSample(preset, width);
        const auto bytes = sample.Make();
        SLUICE_ASSIGN_OR_RETURN(Pack pack, Pack::FromBytes(bytes));
        Matrix<float> hidden = DrawHidden(sample, pack, count);
        auto made = Case::Make(std::move(pack), 0, std::move(hidden), count);
        SLUICE_ASSIGN_OR_RETURN(ordered_json row, MeasureRow(std::move(made), preset, width, count, options));
        rows.push_back(std::move(row));
      }
    }
  }
  return OkStatus();
}

// A pack and hidden states of its model, in chunks of each number of tokens.
Status MeasurePack(const Options& options, ordered_json& rows) {
  SLUICE_ASSIGN_OR_RETURN(const HiddenStates hidden, LoadHidden(options.hidden, options.tensor));
  for (const size_t count : options.tokens) {
    SLUICE_ASSIGN_OR_RETURN(Pack pack, Pack::Open(options.pack));
    auto made = Case::Make(std::move(pack), options.point, hidden.values, count);
    SLUICE_ASSIGN_OR_RETURN(ordered_json row,
                            MeasureRow(std::move(made), "pack", hidden.values.cols(), count, options));
    rows.push_back(std::move(row));
  }
  return OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Codec context beside zlib and zstd on the same integers, one core.");
  Options options;
  app.add_option("--rounds", options.rounds, "Rounds; figures are medians")->check(CLI::Range(1, 1000));
  app.add_flag("--alone", options.alone, "Leave the rivals out, for a profile of the codec");
  app.add_option("--widths", options.widths, "Widths of hidden states");
  app.add_option("--tokens", options.tokens, "Tokens of a frame")->check(CLI::Range(1, 8192));
  app.add_option("--presets", options.presets, "sluice, fast")->check(CLI::IsMember({"sluice", "fast"}));
  auto* const pack = app.add_option("--pack", options.pack, "A trained pack instead, on --hidden");
  auto* const hidden = app.add_option("--hidden", options.hidden, "Hidden states of its model (.safetensors, .npy)");
  app.add_option("--tensor", options.tensor, "Tensor of --hidden")->needs(hidden);
  app.add_option("--point", options.point, "Operating point of --pack")->needs(pack);
  app.add_option("--json", options.json, "Also write all figures to this file");
  app.add_option("--svg", options.svg, "Also plot time a token: PREFIX-tokens.svg and PREFIX-width.svg")
      ->type_name("PREFIX")
      ->excludes(pack);
  pack->needs(hidden);
  hidden->needs(pack);
  CLI11_PARSE(app, argc, argv);
  ordered_json result = {{"processor", Processor()}, {"load", LoadAverage()}, {"rounds", options.rounds}};
  fmt::print("us a token, one core; the last four columns: rival's time over ours, our bytes over the rival's\n");
  fmt::print("preset  width     T    encode    decode  bits/tok  x zlib -6   x zstd -3  / zlib    / zstd\n");
  const Status status =
      options.pack.empty() ? MeasurePresets(options, result["rows"]) : MeasurePack(options, result["rows"]);
  if (!status.ok()) {
    fmt::print(stderr, "bench_codec: {}\n", status.ToString());
    return ExitCode(status.code());
  }
  result["load_at_the_end"] = LoadAverage();
  if (!options.json.empty()) std::ofstream(options.json) << result.dump(1) << "\n";
  if (!options.svg.empty()) WriteSvgs(options.svg, result["rows"], options.widths, options.tokens);
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
