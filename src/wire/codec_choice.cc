// The model of a chain is that of a pipeline: chunk i is encoded while chunk i - 1 is on the wire and chunk i - 2 is
// decoded, so the rate of the whole is that of its slowest stage. From it follow the time to the first token, the speed
// at which a codec stops to pay, and the choice. What enters is measured on the prompt itself and on the link, because
// neither a codec's rate nor a link's speed is what somebody once wrote down.
#include "wire/codec_choice.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/clock.h"

namespace sluice {
namespace {

/// Times that differ by less are the same: the better quality wins.
constexpr double kSameTime = 1.05;
/// A measurement is repeated so that one interruption does not decide.
constexpr int kTrials = 3;

double SlowestStage(const CodecTrial& codec) { return std::max(codec.encode_seconds, codec.decode_seconds); }

}  // namespace

Result<CodecTrial> TryCodec(const LinkCodec& codec, MatrixView<const float> hidden) {
  CodecTrial trial{codec.name(), 0, HUGE_VAL, HUGE_VAL};
  const auto tokens = static_cast<double>(std::max<size_t>(hidden.rows(), 1));
  for (int i = 0; i < kTrials; ++i) {
    SLUICE_ASSIGN_OR_RETURN(LinkSender sender, LinkSender::Make(codec));
    LinkReceiver receiver(codec);
    auto start = Clock::now();
    SLUICE_ASSIGN_OR_RETURN(const LinkFrame frame, sender.Push(hidden));
    trial.encode_seconds = std::min(trial.encode_seconds, SecondsSince(start) / tokens);
    start = Clock::now();
    SLUICE_RETURN_IF_ERROR(receiver.Pull(frame).status());
    trial.decode_seconds = std::min(trial.decode_seconds, SecondsSince(start) / tokens);
    trial.bits = 8.0 * static_cast<double>(frame.payload.size()) / tokens;
  }
  return trial;
}

double FirstTokenSeconds(const CodecTrial& codec, const RatePlan& plan) {
  const auto chunk = static_cast<double>(std::min<uint64_t>(plan.chunk_tokens, plan.tokens));
  const double chunks = std::ceil(static_cast<double>(plan.tokens) / chunk);
  const double stages[] = {plan.head_seconds, codec.encode_seconds, codec.bits / plan.link.bits_per_second,
                           codec.decode_seconds, plan.tail_seconds};
  double once = 0, slowest = 0;
  for (const double stage : stages) {
    once += stage * chunk;
    slowest = std::max(slowest, stage * chunk);
  }
  return once + (chunks - 1) * slowest + plan.link.round_trip_seconds;
}

double BreakEvenBitsPerSecond(const CodecTrial& codec, const CodecTrial& reference) {
  const double own = SlowestStage(codec), other = SlowestStage(reference);
  if (codec.bits >= reference.bits) return own < other ? std::numeric_limits<double>::infinity() : 0;
  return own <= other ? std::numeric_limits<double>::infinity() : reference.bits / own;
}

CodecChoice ChooseCodec(std::span<const CodecTrial> codecs, const RatePlan& plan, const RateTarget& target) {
  const auto cost = [&](size_t i) {
    return target.goal == RateGoal::kBitsPerToken ? codecs[i].bits : FirstTokenSeconds(codecs[i], plan);
  };
  double least = HUGE_VAL;
  for (size_t i = 0; i < codecs.size(); ++i) least = std::min(least, cost(i));
  CodecChoice choice;
  const bool has_target = target.goal != RateGoal::kFastest;
  choice.met = !has_target || least <= target.value;
  const double most = has_target && choice.met ? target.value : least * kSameTime;
  while (cost(choice.index) > most) ++choice.index;
  choice.first_token_seconds = FirstTokenSeconds(codecs[choice.index], plan);
  if (choice.index == 0 && codecs.size() > 1) {
    choice.bypass = has_target ? "target_met_without" : "link_faster_than_codec";
  }
  return choice;
}

}  // namespace sluice
