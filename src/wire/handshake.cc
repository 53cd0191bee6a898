// Two ends must agree on everything that a frame does not say: the model, the cut, the codec, its build where sums
// depend on it. Each is compared and named by itself, because "incompatible" helps nobody. What is not known is
// refused: a version from the future, a bit that must be understood, a certificate that is missing.
#include "wire/handshake.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {
namespace {

Status Differs(std::string_view what, std::string_view own, std::string_view peer) {
  return Mismatch(fmt::format("{}: this node has {}, the peer {}", what, own, peer));
}

std::string Short(std::string_view bytes) {
  const bool printable = std::all_of(bytes.begin(), bytes.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (printable) return std::string(bytes.substr(0, 64));
  return ToHex(AsBytes(bytes.substr(0, 8)));
}

Status TooMuch(std::string_view what, uint64_t got, uint64_t most) {
  return InvalidArgument(fmt::format("{}: {}, this node allows 1 to {}", what, got, most));
}

Status CheckSizes(const wire::Hello& hello, const StageInfo& stage, const WireLimits& limits) {
  const bool hex =
      hello.session().size() == 32 && hello.session().find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hex) return InvalidArgument("session: expected 32 hexadecimal digits");
  if (hello.model().size() != stage.model.size()) return InvalidArgument("model: expected a SHA-256 of 32 bytes");
  const uint64_t positions = limits.positions == 0 ? stage.context : std::min(limits.positions, stage.context);
  if (hello.positions() < 1 || hello.positions() > positions) return TooMuch("positions", hello.positions(), positions);
  if (hello.chunk_tokens() < 1 || hello.chunk_tokens() > limits.chunk_tokens) {
    return TooMuch("tokens of a frame", hello.chunk_tokens(), limits.chunk_tokens);
  }
  if (static_cast<size_t>(hello.stop_size()) > kMaxStopTokens) {
    return TooMuch("stop tokens", static_cast<uint64_t>(hello.stop_size()), kMaxStopTokens);
  }
  if (hello.codec().name().size() > kMaxNameBytes || hello.codec().identity().size() > kMaxNameBytes ||
      hello.codec().profile().size() > kMaxNameBytes || hello.requirement().size() > kMaxNameBytes) {
    return InvalidArgument(fmt::format("codec: a field of more than {} bytes", kMaxNameBytes));
  }
  if (hello.hops() > kMaxHops) return TooMuch("nodes in the chain", hello.hops(), kMaxHops);
  return OkStatus();
}

Status CheckModel(const wire::Hello& hello, const StageInfo& stage) {
  const std::string own(stage.model.begin(), stage.model.end());
  if (hello.model() != own)
    return Differs("model", ToHex(stage.model).substr(0, 16), ToHex(AsBytes(hello.model())).substr(0, 16));
  const auto& layers = hello.layers();
  if (layers.total() != stage.total) {
    return Differs("layers of the model", std::to_string(stage.total), std::to_string(layers.total()));
  }
  if (layers.begin() > layers.end() || layers.end() != stage.begin) {
    return Differs("cut",
                   fmt::format("layers {}:{} and expects what leaves layer {}", stage.begin, stage.end, stage.begin),
                   fmt::format("{}:{}", layers.begin(), layers.end()));
  }
  if (hello.width() != stage.width) return Differs("width", std::to_string(stage.width), std::to_string(hello.width()));
  return OkStatus();
}

Status CheckCodec(const wire::Hello& hello, const LinkCodec& codec) {
  if (hello.codec().identity() != codec.identity()) {
    return Differs("codec", DescribeCodec(codec.name(), codec.identity()),
                   DescribeCodec(hello.codec().name(), hello.codec().identity()));
  }
  if (hello.codec().profile() != codec.profile()) {
    return Differs("float build of the codec", fmt::format("'{}'", codec.profile()),
                   fmt::format("'{}'", Short(hello.codec().profile())));
  }
  if (hello.chunk_tokens() > codec.longest_chunk()) {
    return TooMuch("tokens of a frame with this codec", hello.chunk_tokens(), codec.longest_chunk());
  }
  SLUICE_ASSIGN_OR_RETURN(const PointVerdicts verdicts, JudgeRequirement(codec, hello.requirement()));
  const uint32_t point = std::min<uint32_t>(hello.codec().point(), INT32_MAX);
  return VerdictOn(verdicts, static_cast<int>(point)).WithContext("certificate");
}

void SetSender(wire::Hello& hello, const StageInfo& stage, const LinkCodec& codec) {
  hello.mutable_layers()->set_begin(stage.begin);
  hello.mutable_layers()->set_end(stage.end);
  hello.mutable_layers()->set_total(stage.total);
  hello.set_width(stage.width);
  hello.mutable_codec()->set_name(codec.name());
  hello.mutable_codec()->set_identity(codec.identity());
  hello.mutable_codec()->set_profile(codec.profile());
  hello.mutable_codec()->set_point(static_cast<uint32_t>(codec.point()));
}

}  // namespace

wire::Hello MakeHello(const SessionWish& wish, const StageInfo& stage, const LinkCodec& codec) {
  wire::Hello hello;
  hello.set_version(kProtocolVersion);
  hello.set_capabilities(kCapabilities);
  hello.set_needed(wish.log_probabilities ? kCapabilities : uint64_t{kCanStore});
  hello.set_session(wish.session);
  hello.set_model(std::string(stage.model.begin(), stage.model.end()));
  SetSender(hello, stage, codec);
  hello.set_requirement(wish.requirement);
  hello.set_positions(wish.positions);
  hello.set_chunk_tokens(wish.chunk_tokens);
  hello.mutable_sampling()->set_temperature(wish.sampling.temperature);
  hello.mutable_sampling()->set_top_k(wish.sampling.top_k);
  hello.mutable_sampling()->set_top_p(wish.sampling.top_p);
  hello.mutable_sampling()->set_seed(wish.sampling.seed);
  for (const int64_t id : wish.stop) hello.add_stop(id);
  hello.set_log_probabilities(wish.log_probabilities);
  return hello;
}

wire::Hello ForwardedHello(const wire::Hello& hello, const StageInfo& stage, const LinkCodec& codec) {
  wire::Hello next = hello;
  SetSender(next, stage, codec);
  next.set_hops(hello.hops() + 1);
  return next;
}

std::string DescribeCodec(std::string_view name, std::string_view identity) {
  return fmt::format("{} ({})", Short(name), Short(identity));
}

Status CheckHello(const wire::Hello& hello, const StageInfo& stage, const LinkCodec& codec, const WireLimits& limits) {
  if (hello.version() != kProtocolVersion) {
    return Unsupported(
        fmt::format("protocol version: this node speaks {}, the peer {}", kProtocolVersion, hello.version()));
  }
  if ((hello.needed() & ~kCapabilities) != 0) {
    return Unsupported(
        fmt::format("capabilities: this node has {:#x}, the peer needs {:#x}", kCapabilities, hello.needed()));
  }
  SLUICE_RETURN_IF_ERROR(CheckSizes(hello, stage, limits));
  SLUICE_RETURN_IF_ERROR(CheckModel(hello, stage));
  return CheckCodec(hello, codec);
}

Result<PointVerdicts> JudgeRequirement(const LinkCodec& codec, const std::string& requirement) {
  if (requirement.empty()) return PointVerdicts{};
  SLUICE_ASSIGN_OR_RETURN(const Requirement parsed, Requirement::Parse(requirement));
  Result<PointVerdicts> verdicts = codec.Judge(parsed);
  if (!verdicts.ok()) return verdicts.status().WithContext("certificate");
  return verdicts;
}

Status CheckRequirement(const LinkCodec& codec, const std::string& requirement) {
  SLUICE_ASSIGN_OR_RETURN(const PointVerdicts verdicts, JudgeRequirement(codec, requirement));
  return VerdictOn(verdicts, codec.point()).WithContext("certificate");
}

}  // namespace sluice
