#include "study/torch/text_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "backbone/lm_score.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "train/distortion_loss.h"

namespace sluice {

Result<TextWindows> TextWindows::Load(const std::filesystem::path& model, const BackboneConfig& config,
                                      const TextSource& source) {
  SLUICE_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(model));
  const int64_t context = source.context > 0 ? source.context : config.context;
  if (context > config.context) {
    return InvalidArgument(fmt::format("context {} is longer than the model's {}", context, config.context));
  }
  CorpusOptions options;
  options.drop_blank_lines = source.drop_blank_lines;
  TextWindows result;
  SLUICE_ASSIGN_OR_RETURN(result.windows_,
                          LoadWindows(*tokenizer, source.files, static_cast<int32_t>(context), options));
  for (size_t i = 0; i < result.windows_.size(); ++i) {
    const TokenWindow& window = result.windows_[i];
    const auto largest = std::max_element(window.begin(), window.end());
    if (*largest >= config.vocab) {
      return Mismatch(fmt::format("window {}, position {}: token id {} is outside the model's vocabulary of {}", i,
                                  largest - window.begin(), *largest, config.vocab));
    }
    result.tokens_ += static_cast<int64_t>(window.size());
    if (source.max_tokens > 0 && result.tokens_ >= source.max_tokens) result.windows_.resize(i + 1);
  }
  return result;
}

Status TextWindows::Visit(int64_t batch, const char* label, const WindowVisitor& visit) const {
  ProgressBar bar(label, static_cast<uint64_t>(tokens_));
  uint64_t done = 0;
  for (size_t begin = 0; begin < windows_.size();) {
    if (InterruptRequested()) return Interrupted(fmt::format("stopped after {} of {} tokens", done, tokens_));
    size_t end = begin + 1;
    while (end < windows_.size() && end - begin < static_cast<size_t>(batch) &&
           windows_[end].size() == windows_[begin].size()) {
      ++end;
    }
    const auto length = static_cast<int64_t>(windows_[begin].size());
    auto tokens = torch::empty({static_cast<int64_t>(end - begin), length}, torch::kInt64);
    int64_t* out = tokens.data_ptr<int64_t>();
    for (size_t i = begin; i < end; ++i) out = std::copy(windows_[i].begin(), windows_[i].end(), out);
    SLUICE_RETURN_IF_ERROR(visit(tokens));
    done += static_cast<uint64_t>(tokens.numel());
    bar.Update(done);
    begin = end;
  }
  return OkStatus();
}

void LanguageScore::Add(const torch::Tensor& tokens, const torch::Tensor& logits, const torch::Tensor& uncut) {
  if (tokens.size(1) < 2) return;
  torch::NoGradGuard no_grad;
  const auto targets = tokens.slice(1, 1);
  const auto predicted = logits.slice(1, 0, -1);
  predictions_ += targets.numel();
  const auto nats = NextTokenNats(logits, tokens);
  nats_ += nats.sum().item<double>();
  const auto best = predicted.argmax(-1);
  correct_ += best.eq(targets).sum().item<double>();
  if (!uncut.defined()) return;
  const auto reference = uncut.slice(1, 0, -1);
  const auto uncut_nats = NextTokenNats(uncut, tokens), kl = KlNats(reference, predicted);
  const auto agree = best.eq(reference.argmax(-1)).to(torch::kDouble);
  uncut_nats_ += uncut_nats.sum().item<double>();
  kl_ += kl.sum().item<double>();
  agree_ += agree.sum().item<double>();
  for (int64_t row = 0; row < tokens.size(0); ++row) {
    const auto mean = [row](const torch::Tensor& t) { return t[row].mean().item<double>(); };
    windows_.push_back({mean(nats - uncut_nats), mean(kl), mean(agree)});
  }
}

}  // namespace sluice
