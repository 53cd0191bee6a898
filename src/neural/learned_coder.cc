// One stream a chunk: every z, then every y, because the synthesis of a whole chunk needs all of z. With
// stream_per_token every token has a stream for z and one for y, as the paper codes them, each behind its length.
#include "neural/learned_coder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "backbone/torch_setup.h"
#include "base/bytes.h"
#include "neural/gaussian.h"
#include "rans/rans_decoder.h"
#include "rans/rans_encoder.h"
#include "rans/rans_layout.h"

namespace sluice {
namespace {

// Whole numbers up to here are exact in float32, and far beyond any hidden state that means something.
constexpr float kLargestSymbol = 1 << 22;
constexpr int kMeanSteps = 16;  // mean_q4

// Scale index and mean of every latent element, as the Gaussian tables take them.
struct CodingParameters {
  std::vector<int32_t> mean_q4;
  std::vector<uint8_t> scale;
};

Result<CodingParameters> ToCodingParameters(LearnedCodec& codec, const EntropyParameters& parameters) {
  const bool residual = codec->config().residual;
  const auto mean = (codec->CodedMean(parameters.mean) * kMeanSteps).contiguous();
  const auto sigma = parameters.sigma.contiguous();
  const float* mean_data = mean.data_ptr<float>();
  const float* sigma_data = sigma.data_ptr<float>();
  const auto n = static_cast<size_t>(sigma.numel());
  CodingParameters coding{std::vector<int32_t>(n, 0), std::vector<uint8_t>(n)};
  constexpr float kLargestMean = kLargestSymbol * kMeanSteps;
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(mean_data[i]) || !std::isfinite(sigma_data[i])) {
      return Corrupt(fmt::format("entropy parameters of element {} are not finite", i));
    }
    if (!residual) {
      coding.mean_q4[i] = static_cast<int32_t>(std::lrint(std::clamp(mean_data[i], -kLargestMean, kLargestMean)));
    }
    coding.scale[i] = static_cast<uint8_t>(ScaleIndex(sigma_data[i]));
  }
  return coding;
}

Status Locate(const torch::Tensor& values, size_t index, const char* what) {
  const auto width = static_cast<size_t>(values.size(2)), tokens = static_cast<size_t>(values.size(1));
  return InvalidArgument(fmt::format("row {}, token {}, channel {}: {} ({})", index / width / tokens,
                                     index / width % tokens, index % width, what,
                                     values.contiguous().data_ptr<float>()[index]));
}

Status CheckHidden(const torch::Tensor& x) {
  const auto contiguous = x.contiguous();
  const float* data = contiguous.data_ptr<float>();
  for (int64_t i = 0; i < contiguous.numel(); ++i) {
    if (!std::isfinite(data[i])) return Locate(x, static_cast<size_t>(i), "the hidden state is not finite");
  }
  return OkStatus();
}

Result<std::vector<int32_t>> ToIntegers(const torch::Tensor& whole) {
  const auto contiguous = whole.contiguous();
  const float* data = contiguous.data_ptr<float>();
  std::vector<int32_t> integers(static_cast<size_t>(contiguous.numel()));
  for (size_t i = 0; i < integers.size(); ++i) {
    if (!(std::fabs(data[i]) <= kLargestSymbol)) return Locate(whole, i, "the quantized value is out of range");
    integers[i] = static_cast<int32_t>(data[i]);
  }
  return integers;
}

torch::Tensor FromIntegers(const std::vector<int32_t>& integers, torch::IntArrayRef shape) {
  return torch::tensor(integers, torch::kInt32).reshape(shape).to(torch::kFloat32);
}

// Elements [begin, end) of z and y through any coder.
class ElementCodec {
 public:
  ElementCodec(const std::vector<StaticTable>& hyper, const GaussianTables& latent) : hyper_(hyper), latent_(latent) {}

  void PushHyper(const std::vector<int32_t>& z, size_t begin, size_t end, RansEncoder& encoder) const {
    for (size_t i = begin; i < end; ++i) EncodeStatic(hyper_[i % hyper_.size()], z[i], encoder);
  }
  void PushLatent(const std::vector<int32_t>& y, const CodingParameters& p, size_t begin, size_t end,
                  RansEncoder& encoder) const {
    for (size_t i = begin; i < end; ++i) EncodeGaussian(latent_, y[i], p.mean_q4[i], p.scale[i], encoder);
  }
  void PopHyper(std::vector<int32_t>& z, size_t begin, size_t end, RansDecoder& decoder) const {
    for (size_t i = begin; i < end; ++i) {
      const int64_t value = DecodeStatic(hyper_[i % hyper_.size()], decoder);
      z[i] = static_cast<int32_t>(std::clamp<int64_t>(value, INT32_MIN, INT32_MAX));
    }
  }
  void PopLatent(std::vector<int32_t>& y, const CodingParameters& p, size_t begin, size_t end,
                 RansDecoder& decoder) const {
    for (size_t i = begin; i < end; ++i) y[i] = DecodeGaussian(latent_, p.mean_q4[i], p.scale[i], decoder);
  }

 private:
  const std::vector<StaticTable>& hyper_;
  const GaussianTables& latent_;
};

// Which elements share a stream. One stream a chunk is the case of a single group.
struct Grouping {
  size_t groups;
  size_t hyper;   // elements of z in a group
  size_t latent;  // elements of y in a group
};

Grouping GroupingOf(const CodecConfig& config, size_t tokens) {
  const auto h = static_cast<size_t>(config.hyper_channels), d = static_cast<size_t>(config.width);
  return config.stream_per_token ? Grouping{tokens, h, d} : Grouping{1, tokens * h, tokens * d};
}

void PutStream(RansEncoder encoder, ByteWriter& out) {
  const auto bytes = std::move(encoder).Finish();
  out.PutVarint(bytes.size());
  out.PutBytes(bytes);
}

Result<RansDecoder> GetStream(ByteReader& in, size_t symbols, int precision) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, in.GetVarint());
  SLUICE_ASSIGN_OR_RETURN(const auto bytes, in.GetBytes(size));
  return RansDecoder::Create(bytes, LanesFor(symbols), precision);
}

}  // namespace

Result<LearnedCoder> LearnedCoder::Create(StoredCodec stored) {
  const CodecConfig& config = stored.codec->config();
  SLUICE_ASSIGN_OR_RETURN(GaussianTables tables,
                          GaussianTables::Create(config.precision_bits, config.residual ? 1 : config.mean_steps));
  return LearnedCoder(std::move(stored), std::move(tables));
}

Result<CodedChunk> LearnedCoder::Encode(const torch::Tensor& x, bool measure) {
  return CatchTorch([&]() -> Result<CodedChunk> {
    LearnedCodec& codec = stored_.codec;
    const CodecConfig& config = codec->config();
    if (x.dim() != 3 || x.size(2) != config.width || x.scalar_type() != torch::kFloat32) {
      return InvalidArgument(fmt::format("hidden states: expected float [B, T, {}]", config.width));
    }
    if (x.size(0) < 1 || x.size(1) < 1 || x.size(1) > config.context) {
      return InvalidArgument(fmt::format("hidden states: [{}, {}, {}], the codec codes 1 to {} tokens a row", x.size(0),
                                         x.size(1), x.size(2), config.context));
    }
    SLUICE_RETURN_IF_ERROR(CheckHidden(x));
    torch::NoGradGuard no_grad;
    const EncoderOutput output = codec->Analyze(x);
    CodedChunk chunk;
    SLUICE_ASSIGN_OR_RETURN(chunk.hyper, ToIntegers(output.hyper));
    SLUICE_ASSIGN_OR_RETURN(chunk.latent, ToIntegers(output.latent));
    SLUICE_ASSIGN_OR_RETURN(const CodingParameters parameters, ToCodingParameters(codec, output.parameters));

    const ElementCodec elements(stored_.hyper_tables, tables_);
    const Grouping grouping = GroupingOf(config, chunk.latent.size() / static_cast<size_t>(config.width));
    ByteWriter payload;
    if (grouping.groups == 1 && !config.stream_per_token) {
      SLUICE_ASSIGN_OR_RETURN(RansEncoder encoder,
                              RansEncoder::Create(LanesFor(grouping.hyper + grouping.latent), config.precision_bits));
      elements.PushHyper(chunk.hyper, 0, chunk.hyper.size(), encoder);
      elements.PushLatent(chunk.latent, parameters, 0, chunk.latent.size(), encoder);
      payload.PutBytes(std::move(encoder).Finish());
    } else {
      for (size_t g = 0; g < grouping.groups; ++g) {
        SLUICE_ASSIGN_OR_RETURN(RansEncoder encoder,
                                RansEncoder::Create(LanesFor(grouping.hyper), config.precision_bits));
        elements.PushHyper(chunk.hyper, g * grouping.hyper, (g + 1) * grouping.hyper, encoder);
        PutStream(std::move(encoder), payload);
      }
      for (size_t g = 0; g < grouping.groups; ++g) {
        SLUICE_ASSIGN_OR_RETURN(RansEncoder encoder,
                                RansEncoder::Create(LanesFor(grouping.latent), config.precision_bits));
        elements.PushLatent(chunk.latent, parameters, g * grouping.latent, (g + 1) * grouping.latent, encoder);
        PutStream(std::move(encoder), payload);
      }
    }
    chunk.payload = std::move(payload).Take();

    if (measure) Measure(output, parameters.mean_q4, parameters.scale, chunk);
    return chunk;
  });
}

void LearnedCoder::Measure(const EncoderOutput& output, const std::vector<int32_t>& mean_q4,
                           const std::vector<uint8_t>& scale, CodedChunk& chunk) {
  chunk.estimated_hyper_bits = Bits(stored_.codec->density()->Likelihood(output.hyper)).sum().item<double>();
  chunk.estimated_latent_bits =
      Bits(stored_.codec->LatentLikelihood(output.latent, output.parameters)).sum().item<double>();
  for (size_t i = 0; i < chunk.hyper.size(); ++i) {
    chunk.hyper_bits += stored_.hyper_tables[i % stored_.hyper_tables.size()].CostBits(chunk.hyper[i]);
  }
  chunk.channel_bits.assign(static_cast<size_t>(stored_.codec->config().width), 0.0);
  for (size_t i = 0; i < chunk.latent.size(); ++i) {
    chunk.channel_bits[i % chunk.channel_bits.size()] += tables_.CostBits(chunk.latent[i], mean_q4[i], scale[i]);
  }
  for (double bits : chunk.channel_bits) chunk.latent_bits += bits;
}

Result<DecodedChunk> LearnedCoder::Decode(std::span<const uint8_t> payload, int64_t batch, int64_t tokens) {
  return CatchTorch([&]() -> Result<DecodedChunk> {
    LearnedCodec& codec = stored_.codec;
    const CodecConfig& config = codec->config();
    torch::NoGradGuard no_grad;
    const auto count = static_cast<size_t>(batch * tokens);
    const Grouping grouping = GroupingOf(config, count);
    const ElementCodec elements(stored_.hyper_tables, tables_);
    DecodedChunk chunk;
    chunk.hyper.resize(count * static_cast<size_t>(config.hyper_channels));
    chunk.latent.resize(count * static_cast<size_t>(config.width));
    const auto synthesize = [&]() -> Result<std::pair<EntropyParameters, CodingParameters>> {
      EntropyParameters parameters =
          codec->Synthesize(FromIntegers(chunk.hyper, {batch, tokens, config.hyper_channels}));
      SLUICE_ASSIGN_OR_RETURN(CodingParameters coding, ToCodingParameters(codec, parameters));
      return std::pair{std::move(parameters), std::move(coding)};
    };
    ByteReader reader(payload);
    std::pair<EntropyParameters, CodingParameters> parameters;
    if (!config.stream_per_token) {
      SLUICE_ASSIGN_OR_RETURN(
          RansDecoder decoder,
          RansDecoder::Create(payload, LanesFor(grouping.hyper + grouping.latent), config.precision_bits));
      elements.PopHyper(chunk.hyper, 0, chunk.hyper.size(), decoder);
      SLUICE_ASSIGN_OR_RETURN(parameters, synthesize());
      elements.PopLatent(chunk.latent, parameters.second, 0, chunk.latent.size(), decoder);
      SLUICE_RETURN_IF_ERROR(decoder.Finish());
    } else {
      for (size_t g = 0; g < grouping.groups; ++g) {
        SLUICE_ASSIGN_OR_RETURN(RansDecoder decoder, GetStream(reader, grouping.hyper, config.precision_bits));
        elements.PopHyper(chunk.hyper, g * grouping.hyper, (g + 1) * grouping.hyper, decoder);
        SLUICE_RETURN_IF_ERROR(decoder.Finish());
      }
      SLUICE_ASSIGN_OR_RETURN(parameters, synthesize());
      for (size_t g = 0; g < grouping.groups; ++g) {
        SLUICE_ASSIGN_OR_RETURN(RansDecoder decoder, GetStream(reader, grouping.latent, config.precision_bits));
        elements.PopLatent(chunk.latent, parameters.second, g * grouping.latent, (g + 1) * grouping.latent, decoder);
        SLUICE_RETURN_IF_ERROR(decoder.Finish());
      }
      if (reader.remaining() != 0) return Corrupt(fmt::format("{} bytes behind the last stream", reader.remaining()));
    }
    chunk.hidden =
        codec->Reconstruct(FromIntegers(chunk.latent, {batch, tokens, config.width}), parameters.first).contiguous();
    return chunk;
  });
}

}  // namespace sluice
