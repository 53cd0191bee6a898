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

namespace sluice {
namespace {

// Whole numbers up to here are exact in float32, and far beyond any hidden state that means something.
constexpr float kLargestSymbol = 1 << 22;
constexpr int kMeanSteps = 16;  // mean_q4
// More lanes would cost 60 to 90 bits a chunk, and it is the networks that take the time.
constexpr int kLanes = 1;

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
  // Elements [begin, end) of y with the parameters from `at` on.
  void PushLatent(const std::vector<int32_t>& y, size_t begin, size_t end, const CodingParameters& p, size_t at,
                  RansEncoder& encoder) const {
    for (size_t i = begin; i < end; ++i, ++at) EncodeGaussian(latent_, y[i], p.mean_q4[at], p.scale[at], encoder);
  }
  void PopHyper(std::vector<int32_t>& z, size_t begin, size_t end, RansDecoder& decoder) const {
    for (size_t i = begin; i < end; ++i) {
      const int64_t value = DecodeStatic(hyper_[i % hyper_.size()], decoder);
      z[i] = static_cast<int32_t>(std::clamp<int64_t>(value, INT32_MIN, INT32_MAX));
    }
  }
  void PopLatent(std::vector<int32_t>& y, size_t begin, size_t end, const CodingParameters& p, size_t at,
                 RansDecoder& decoder) const {
    for (size_t i = begin; i < end; ++i, ++at) y[i] = DecodeGaussian(latent_, p.mean_q4[at], p.scale[at], decoder);
  }

 private:
  const std::vector<StaticTable>& hyper_;
  const GaussianTables& latent_;
};

// One stream a group, each behind its length. `push(begin, end, encoder)` gives the elements of a group.
template <typename Push>
Status PutStreams(size_t groups, size_t size, int precision, ByteWriter& out, Push&& push) {
  for (size_t g = 0; g < groups; ++g) {
    SLUICE_ASSIGN_OR_RETURN(RansEncoder encoder, RansEncoder::Create(kLanes, precision));
    push(g * size, (g + 1) * size, encoder);
    const auto bytes = encoder.Finish();
    out.PutVarint(bytes.size());
    out.PutBytes(bytes);
  }
  return OkStatus();
}

// Inverse of PutStreams. `pop(begin, end, decoder)` takes the elements of a group.
template <typename Pop>
Status GetStreams(size_t groups, size_t size, int precision, ByteReader& in, Pop&& pop) {
  for (size_t g = 0; g < groups; ++g) {
    SLUICE_ASSIGN_OR_RETURN(const uint64_t length, in.GetVarint());
    SLUICE_ASSIGN_OR_RETURN(const auto bytes, in.GetBytes(length));
    SLUICE_ASSIGN_OR_RETURN(RansDecoder decoder, RansDecoder::Create(bytes, kLanes, precision));
    pop(g * size, (g + 1) * size, decoder);
    SLUICE_RETURN_IF_ERROR(decoder.Finish());
  }
  return OkStatus();
}

// Direct access over a chunk: gives the parameters of every element. `code(begin, end, parameters, at)` codes the
// latents [begin, end) of one row and token with the parameters from `at` on; they must be in `latent` afterwards.
template <typename Code>
Result<EntropyParameters> RunDirect(LearnedCodec& codec, const torch::Tensor& hyper, std::vector<int32_t>& latent,
                                    Code&& code) {
  const int64_t rows = hyper.size(0), tokens = hyper.size(1);
  const auto width = static_cast<size_t>(codec->config().width);
  DirectAccessImpl::State state = codec->BeginDirect(hyper);
  torch::Tensor previous;
  std::vector<torch::Tensor> means, sigmas;
  for (int64_t t = 0; t < tokens; ++t) {
    EntropyParameters parameters = codec->StepDirect(state, previous);
    SLUICE_ASSIGN_OR_RETURN(const CodingParameters coding, ToCodingParameters(codec, parameters));
    previous = torch::empty({rows, 1, codec->config().width});
    for (int64_t row = 0; row < rows; ++row) {
      const size_t begin = static_cast<size_t>(row * tokens + t) * width, at = static_cast<size_t>(row) * width;
      code(begin, begin + width, coding, at);
      std::copy_n(latent.begin() + static_cast<int64_t>(begin), width, previous.data_ptr<float>() + at);
    }
    means.push_back(std::move(parameters.mean));
    sigmas.push_back(std::move(parameters.sigma));
  }
  return EntropyParameters{torch::cat(means, 1), torch::cat(sigmas, 1)};
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
    EncoderOutput output = codec->Analyze(x);
    CodedChunk chunk;
    SLUICE_ASSIGN_OR_RETURN(chunk.hyper, ToIntegers(output.hyper));
    SLUICE_ASSIGN_OR_RETURN(chunk.latent, ToIntegers(output.latent));
    SLUICE_RETURN_IF_ERROR(config.stream_per_token ? EncodeByToken(output, chunk) : EncodeAtOnce(output, chunk));
    if (measure) SLUICE_RETURN_IF_ERROR(Measure(output, chunk));
    return chunk;
  });
}

Status LearnedCoder::EncodeAtOnce(EncoderOutput& output, CodedChunk& chunk) {
  const CodecConfig& config = stored_.codec->config();
  const ElementCodec elements(stored_.hyper_tables, tables_);
  SLUICE_ASSIGN_OR_RETURN(RansEncoder encoder, RansEncoder::Create(kLanes, config.precision_bits));
  elements.PushHyper(chunk.hyper, 0, chunk.hyper.size(), encoder);
  if (config.prior == PriorKind::kDirect) {
    SLUICE_ASSIGN_OR_RETURN(output.parameters,
                            RunDirect(stored_.codec, output.hyper, chunk.latent,
                                      [&](size_t begin, size_t end, const CodingParameters& p, size_t at) {
                                        elements.PushLatent(chunk.latent, begin, end, p, at, encoder);
                                      }));
  } else {
    SLUICE_ASSIGN_OR_RETURN(const CodingParameters coding, ToCodingParameters(stored_.codec, output.parameters));
    elements.PushLatent(chunk.latent, 0, chunk.latent.size(), coding, 0, encoder);
  }
  chunk.payload = encoder.Finish();
  return OkStatus();
}

Status LearnedCoder::EncodeByToken(const EncoderOutput& output, CodedChunk& chunk) {
  const CodecConfig& config = stored_.codec->config();
  const ElementCodec elements(stored_.hyper_tables, tables_);
  const auto h = static_cast<size_t>(config.SideSymbols()), d = static_cast<size_t>(config.width);
  const size_t tokens = chunk.latent.size() / d;
  SLUICE_ASSIGN_OR_RETURN(const CodingParameters coding, ToCodingParameters(stored_.codec, output.parameters));
  ByteWriter payload;
  SLUICE_RETURN_IF_ERROR(
      PutStreams(tokens, h, config.precision_bits, payload,
                 [&](size_t begin, size_t end, RansEncoder& to) { elements.PushHyper(chunk.hyper, begin, end, to); }));
  SLUICE_RETURN_IF_ERROR(
      PutStreams(tokens, d, config.precision_bits, payload, [&](size_t begin, size_t end, RansEncoder& to) {
        elements.PushLatent(chunk.latent, begin, end, coding, begin, to);
      }));
  chunk.payload = std::move(payload).Take();
  return OkStatus();
}

Status LearnedCoder::Measure(const EncoderOutput& output, CodedChunk& chunk) {
  SLUICE_ASSIGN_OR_RETURN(const CodingParameters coding, ToCodingParameters(stored_.codec, output.parameters));
  chunk.estimated_hyper_bits = stored_.codec->HyperBits(output.hyper).sum().item<double>();
  chunk.estimated_latent_bits =
      Bits(stored_.codec->LatentLikelihood(output.latent, output.parameters)).sum().item<double>();
  for (size_t i = 0; i < chunk.hyper.size(); ++i) {
    chunk.hyper_bits += stored_.hyper_tables[i % stored_.hyper_tables.size()].CostBits(chunk.hyper[i]);
  }
  chunk.channel_bits.assign(static_cast<size_t>(stored_.codec->config().width), 0.0);
  for (size_t i = 0; i < chunk.latent.size(); ++i) {
    chunk.channel_bits[i % chunk.channel_bits.size()] +=
        tables_.CostBits(chunk.latent[i], coding.mean_q4[i], coding.scale[i]);
  }
  for (double bits : chunk.channel_bits) chunk.latent_bits += bits;
  return OkStatus();
}

Result<DecodedChunk> LearnedCoder::Decode(std::span<const uint8_t> payload, int64_t batch, int64_t tokens) {
  return CatchTorch([&]() -> Result<DecodedChunk> {
    LearnedCodec& codec = stored_.codec;
    const CodecConfig& config = codec->config();
    torch::NoGradGuard no_grad;
    const auto count = static_cast<size_t>(batch * tokens);
    DecodedChunk chunk;
    chunk.hyper.resize(count * static_cast<size_t>(config.SideSymbols()));
    chunk.latent.resize(count * static_cast<size_t>(config.width));
    SLUICE_ASSIGN_OR_RETURN(const EntropyParameters parameters, config.stream_per_token
                                                                    ? DecodeByToken(payload, batch, chunk)
                                                                    : DecodeAtOnce(payload, batch, chunk));
    chunk.hidden =
        codec->Reconstruct(FromIntegers(chunk.latent, {batch, tokens, config.width}), parameters).contiguous();
    return chunk;
  });
}

torch::Tensor LearnedCoder::HyperTensor(const DecodedChunk& chunk, int64_t batch) const {
  return FromIntegers(chunk.hyper, {batch, -1, stored_.codec->config().SideSymbols()});
}

Result<EntropyParameters> LearnedCoder::DecodeAtOnce(std::span<const uint8_t> payload, int64_t batch,
                                                     DecodedChunk& chunk) {
  const CodecConfig& config = stored_.codec->config();
  const ElementCodec elements(stored_.hyper_tables, tables_);
  SLUICE_ASSIGN_OR_RETURN(RansDecoder decoder, RansDecoder::Create(payload, kLanes, config.precision_bits));
  elements.PopHyper(chunk.hyper, 0, chunk.hyper.size(), decoder);
  EntropyParameters parameters;
  if (config.prior == PriorKind::kDirect) {
    SLUICE_ASSIGN_OR_RETURN(parameters, RunDirect(stored_.codec, HyperTensor(chunk, batch), chunk.latent,
                                                  [&](size_t begin, size_t end, const CodingParameters& p, size_t at) {
                                                    elements.PopLatent(chunk.latent, begin, end, p, at, decoder);
                                                  }));
  } else {
    parameters = stored_.codec->Synthesize(HyperTensor(chunk, batch));
    SLUICE_ASSIGN_OR_RETURN(const CodingParameters coding, ToCodingParameters(stored_.codec, parameters));
    elements.PopLatent(chunk.latent, 0, chunk.latent.size(), coding, 0, decoder);
  }
  SLUICE_RETURN_IF_ERROR(decoder.Finish());
  return parameters;
}

Result<EntropyParameters> LearnedCoder::DecodeByToken(std::span<const uint8_t> payload, int64_t batch,
                                                      DecodedChunk& chunk) {
  const CodecConfig& config = stored_.codec->config();
  const ElementCodec elements(stored_.hyper_tables, tables_);
  const auto h = static_cast<size_t>(config.SideSymbols()), d = static_cast<size_t>(config.width);
  const size_t tokens = chunk.latent.size() / d;
  ByteReader reader(payload);
  SLUICE_RETURN_IF_ERROR(GetStreams(
      tokens, h, config.precision_bits, reader,
      [&](size_t begin, size_t end, RansDecoder& from) { elements.PopHyper(chunk.hyper, begin, end, from); }));
  const EntropyParameters parameters = stored_.codec->Synthesize(HyperTensor(chunk, batch));
  SLUICE_ASSIGN_OR_RETURN(const CodingParameters coding, ToCodingParameters(stored_.codec, parameters));
  SLUICE_RETURN_IF_ERROR(
      GetStreams(tokens, d, config.precision_bits, reader, [&](size_t begin, size_t end, RansDecoder& from) {
        elements.PopLatent(chunk.latent, begin, end, coding, begin, from);
      }));
  if (reader.remaining() != 0) return Corrupt(fmt::format("{} bytes behind the last stream", reader.remaining()));
  return parameters;
}

}  // namespace sluice
