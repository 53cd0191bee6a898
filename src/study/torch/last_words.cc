// The last word is what follows the last space, with that space: tokenizers put it into the word's first token. The
// passage is tokenized as a whole, and the word's tokens are those after what it shares with the passage without it.
#include "study/torch/last_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "backbone/lm_score.h"
#include "backbone/model_identity.h"
#include "backbone/torch_setup.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "study/torch/step_codec.h"
#include "text/tokenizer.h"

namespace sluice {
namespace {

constexpr uint64_t kLargestPassages = uint64_t{1} << 30;

struct Passage {
  std::vector<int64_t> tokens;  // BOS included where there is one
  int64_t word = 0;             // tokens of the last word
};

struct WordScore {
  double nats = 0, right = 0;

  void Add(const torch::Tensor& logits, const torch::Tensor& tokens, int64_t word) {
    nats += NextTokenNats(logits, tokens).slice(1, -word).sum().item<double>();
    const auto best = logits.slice(1, -word - 1, -1).argmax(-1);
    right += best.eq(tokens.slice(1, -word)).all().item<bool>() ? 1 : 0;
  }
};

Result<Passage> MakePassage(const std::string& text, const Tokenizer& tokenizer, int64_t context) {
  const size_t space = text.find_last_of(' ');
  if (space == std::string::npos || space + 1 == text.size()) return InvalidArgument("a passage without a last word");
  SLUICE_ASSIGN_OR_RETURN(const std::vector<int32_t> all, tokenizer.Encode(text));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<int32_t> before, tokenizer.Encode(text.substr(0, space)));
  const auto shared = std::mismatch(all.begin(), all.end(), before.begin(), before.end()).first - all.begin();
  Passage passage{.tokens = {}, .word = static_cast<int64_t>(all.size()) - shared};
  const bool bos = tokenizer.bos().has_value();
  const int64_t kept = std::min<int64_t>(static_cast<int64_t>(all.size()), context - (bos ? 1 : 0));
  if (passage.word < 1 || passage.word >= kept) return InvalidArgument("a last word that fills the context");
  if (bos) passage.tokens.push_back(*tokenizer.bos());
  passage.tokens.insert(passage.tokens.end(), all.end() - kept, all.end());
  return passage;
}

Result<std::vector<Passage>> LoadPassages(const EvaluationOptions& options, const BackboneConfig& config) {
  SLUICE_ASSIGN_OR_RETURN(const auto tokenizer, LoadTokenizer(options.model));
  const int64_t context = options.text.context > 0 ? std::min(options.text.context, config.context) : config.context;
  std::vector<Passage> passages;
  int64_t tokens = 0;
  for (const auto& path : options.text.files) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kLargestPassages));
    size_t line = 0;
    for (size_t begin = 0; begin < text.size(); ++line) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const auto json = nlohmann::json::parse(text.substr(begin, end - begin), nullptr, false);
      begin = end + 1;
      const auto where = [&] { return fmt::format("{}, line {}", path.string(), line + 1); };
      if (!json.is_object() || !json.contains("text") || !json["text"].is_string())
        return Corrupt(where() + ": expected {\"text\": passage}");
      auto passage = MakePassage(json["text"].get<std::string>(), *tokenizer, context);
      if (!passage.ok()) return passage.status().WithContext(where());
      const auto largest = *std::max_element(passage->tokens.begin(), passage->tokens.end());
      if (largest >= config.vocab)
        return Mismatch(fmt::format("{}: token {} is outside the model's vocabulary", where(), largest));
      tokens += static_cast<int64_t>(passage->tokens.size());
      passages.push_back(std::move(*passage));
      if (options.text.max_tokens > 0 && tokens >= options.text.max_tokens) return passages;
    }
  }
  if (passages.empty()) return InvalidArgument("no passages to measure on");
  return passages;
}

Result<nlohmann::ordered_json> Measure(const EvaluationOptions& options) {
  torch::NoGradGuard no_grad;
  SLUICE_ASSIGN_OR_RETURN(const auto backbone, LoadBackbone(options.model));
  CutContext context{.layers = backbone->config().layers, .width = backbone->config().width, .cut = options.cut};
  SLUICE_ASSIGN_OR_RETURN(context.model, ModelIdentity(options.model));
  SLUICE_ASSIGN_OR_RETURN(const auto codec,
                          OpenStudyCodec(options.codec, context, *backbone, options.model, options.fit_text));
  SLUICE_RETURN_IF_ERROR(codec->SetPoint(options.point));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<Passage> passages, LoadPassages(options, backbone->config()));
  WordScore cut, uncut;
  uint64_t bytes = 0;
  int64_t tokens = 0;
  ProgressBar bar("passages", passages.size());
  for (size_t i = 0; i < passages.size(); ++i) {
    if (InterruptRequested()) return Interrupted(fmt::format("stopped after {} of {} passages", i, passages.size()));
    const auto ids = torch::tensor(passages[i].tokens, torch::kInt64).unsqueeze(0);
    const auto hidden = backbone->Head(ids, codec->cut());
    codec->SetTokens(ids);
    SLUICE_ASSIGN_OR_RETURN(StreamWriter writer, StreamWriter::ToMemory(codec->Header()));
    const uint64_t header = writer.bytes_written();
    SLUICE_RETURN_IF_ERROR(codec->Encode(hidden, writer, nullptr));
    bytes += writer.bytes_written() - (i > 0 ? header : 0);  // one stream for all, its header counted once
    SLUICE_RETURN_IF_ERROR(writer.Finish());
    const std::vector<uint8_t> stream = writer.Take();
    SLUICE_ASSIGN_OR_RETURN(StreamReader reader, StreamReader::FromBytes(stream));
    SLUICE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
    if (!frame.has_value()) return Internal("the stream holds no frame");
    SLUICE_ASSIGN_OR_RETURN(const torch::Tensor decoded, codec->Decode(*frame, reader));
    cut.Add(backbone->Tail(decoded, codec->cut()), ids, passages[i].word);
    uncut.Add(backbone->Tail(hidden, codec->cut()), ids, passages[i].word);
    tokens += ids.numel();
    bar.Update(i + 1);
  }
  const auto n = static_cast<double>(passages.size());
  return nlohmann::ordered_json{{"codec", codec->name()},
                                {"cut", codec->cut()},
                                {"width", context.width},
                                {"passages", passages.size()},
                                {"tokens", tokens},
                                {"bytes", bytes},
                                {"bits_per_token", 8.0 * static_cast<double>(bytes) / static_cast<double>(tokens)},
                                {"last_word_nats", cut.nats / n},
                                {"last_word_accuracy", cut.right / n},
                                {"uncut_last_word_nats", uncut.nats / n},
                                {"uncut_last_word_accuracy", uncut.right / n}};
}

}  // namespace

Result<nlohmann::ordered_json> EvaluateLastWords(const EvaluationOptions& options) {
  CatchInterrupts();
  return CatchTorch([&] { return Measure(options); });
}

}  // namespace sluice
