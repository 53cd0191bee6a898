#include "train/batches.h"

#include <fmt/format.h>

#include <numeric>
#include <random>

namespace sluice {
namespace {

// std::shuffle and std::uniform_int_distribution differ between standard libraries; multiply-shift does not.
uint64_t Below(std::mt19937_64& random, uint64_t limit) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(random()) * limit) >> 64);
}

}  // namespace

Result<BatchDealer> BatchDealer::Create(std::vector<int32_t> tokens, std::optional<int32_t> bos, int64_t context,
                                        uint64_t seed) {
  const int64_t payload = context - (bos.has_value() ? 1 : 0);
  if (payload < 1) return InvalidArgument(fmt::format("windows of {} tokens have room for no text", context));
  if (static_cast<int64_t>(tokens.size()) < payload) {
    return InvalidArgument(fmt::format("the text has {} tokens, fewer than one window of {}", tokens.size(), payload));
  }
  return BatchDealer(std::move(tokens), bos, context, seed);
}

BatchDealer::BatchDealer(std::vector<int32_t> tokens, std::optional<int32_t> bos, int64_t context, uint64_t seed)
    : tokens_(std::move(tokens)),
      bos_(bos),
      context_(context),
      payload_(context - (bos.has_value() ? 1 : 0)),
      seed_(seed),
      epoch_windows_(std::max<int64_t>(1, static_cast<int64_t>(tokens_.size()) / payload_ - 1)) {}

void BatchDealer::Shuffle(int64_t epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  std::seed_seq sequence{static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32),
                         static_cast<uint32_t>(epoch)};
  std::mt19937_64 random(sequence);
  const int64_t slack = static_cast<int64_t>(tokens_.size()) - epoch_windows_ * payload_;
  offset_ = static_cast<int64_t>(Below(random, static_cast<uint64_t>(slack) + 1));
  order_.resize(static_cast<size_t>(epoch_windows_));
  std::iota(order_.begin(), order_.end(), 0);
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[Below(random, i)]);
}

torch::Tensor BatchDealer::Deal(int64_t first, int64_t count) {
  auto batch = torch::empty({count, context_}, torch::kInt64);
  int64_t* out = batch.data_ptr<int64_t>();
  for (int64_t i = first; i < first + count; ++i) {
    Shuffle(i / epoch_windows_);
    const int64_t window = order_[static_cast<size_t>(i % epoch_windows_)];
    if (bos_.has_value()) *out++ = *bos_;
    const int32_t* from = tokens_.data() + offset_ + window * payload_;
    out = std::copy(from, from + payload_, out);
  }
  return batch;
}

Result<RunBatches> SplitForSelection(std::vector<int32_t> tokens, std::optional<int32_t> bos, int64_t context,
                                     double select_share, uint64_t seed) {
  const auto held = static_cast<int64_t>(static_cast<double>(tokens.size()) * select_share);
  const auto cut = tokens.end() - held;
  std::optional<BatchDealer> select;
  if (held >= context) {
    SLUICE_ASSIGN_OR_RETURN(select, BatchDealer::Create({cut, tokens.end()}, bos, context, seed));
  }
  tokens.erase(cut, tokens.end());
  SLUICE_ASSIGN_OR_RETURN(BatchDealer train, BatchDealer::Create(std::move(tokens), bos, context, seed));
  return RunBatches{std::move(train), std::move(select)};
}

Status CheckSelectShare(double select_share) {
  if (select_share >= 0 && select_share < 1) return OkStatus();
  return InvalidArgument(fmt::format("select_share: expected 0 to below 1, got {}", select_share));
}

}  // namespace sluice
