// Scores as the benchmarks of the tasks define them: GLUE's accuracy, F1 and Matthews correlation, and exact match and
// F1 of the official evaluation of SQuAD v1.1, whose odd corners (an article that is the whole answer, two empty texts)
// are kept because published figures have them.
#include "study/task_metrics.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "text/utf8.h"

namespace sluice {
namespace {

Status CheckPairs(size_t labels, size_t predictions) {
  if (labels == predictions && labels > 0) return OkStatus();
  return InvalidArgument(
      fmt::format("{} labels and {} predictions, expected as many, at least 1", labels, predictions));
}

bool IsAsciiPunctuation(int32_t code) {
  return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
         (code >= '{' && code <= '~');
}

bool IsSpace(int32_t code) {
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return true;
    default:
      return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F) || code == 0x85;
  }
}

// Letters and numbers, which make a word for the removal of articles; marks do not.
bool IsWordCharacter(int32_t code) {
  const utf8proc_category_t category = utf8proc_category(code);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

std::vector<int32_t> LowerWithoutPunctuation(std::string_view text) {
  std::vector<int32_t> codes;
  for (size_t at = 0; at < text.size();) {
    int32_t code = 0;
    at += static_cast<size_t>(utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                               static_cast<utf8proc_ssize_t>(text.size() - at), &code));
    code = utf8proc_tolower(code);
    if (!IsAsciiPunctuation(code)) codes.push_back(code);
  }
  return codes;
}

bool IsArticle(std::span<const int32_t> word) {
  constexpr std::u32string_view kArticles[] = {U"a", U"an", U"the"};
  return std::any_of(std::begin(kArticles), std::end(kArticles), [word](std::u32string_view article) {
    return std::equal(word.begin(), word.end(), article.begin(), article.end(),
                      [](int32_t a, char32_t b) { return static_cast<char32_t>(a) == b; });
  });
}

void Append(int32_t code, std::string& text) {
  utf8proc_uint8_t bytes[4];
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(utf8proc_encode_char(code, bytes)));
}

std::map<std::string, int64_t> Words(const std::string& text, int64_t& count) {
  std::map<std::string, int64_t> words;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    ++words[text.substr(begin, end - begin)];
    ++count;
    begin = end + 1;
  }
  return words;
}

double WordF1(const std::string& prediction, const std::string& answer) {
  int64_t predicted = 0, wanted = 0, shared = 0;
  const auto a = Words(prediction, predicted);
  const auto b = Words(answer, wanted);
  for (const auto& [word, count] : a) {
    const auto found = b.find(word);
    if (found != b.end()) shared += std::min(count, found->second);
  }
  if (shared == 0) return 0;
  const double precision = static_cast<double>(shared) / static_cast<double>(predicted);
  const double recall = static_cast<double>(shared) / static_cast<double>(wanted);
  return 2 * precision * recall / (precision + recall);
}

}  // namespace

double BinaryCounts::F1() const {
  const uint64_t sum = 2 * true_positive + false_positive + false_negative;
  return sum == 0 ? 0 : 2 * static_cast<double>(true_positive) / static_cast<double>(sum);
}

double BinaryCounts::Matthews() const {
  const auto tp = static_cast<double>(true_positive), tn = static_cast<double>(true_negative);
  const auto fp = static_cast<double>(false_positive), fn = static_cast<double>(false_negative);
  const double squared = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn);
  return squared == 0 ? 0 : (tp * tn - fp * fn) / std::sqrt(squared);
}

Result<BinaryCounts> CountBinary(std::span<const int> labels, std::span<const int> predictions) {
  SLUICE_RETURN_IF_ERROR(CheckPairs(labels.size(), predictions.size()));
  BinaryCounts counts;
  for (size_t i = 0; i < labels.size(); ++i) {
    if ((labels[i] | predictions[i]) & ~1) {
      return InvalidArgument(
          fmt::format("example {}: label {}, prediction {}, expected 0 or 1", i, labels[i], predictions[i]));
    }
    if (labels[i] == 1) {
      ++(predictions[i] == 1 ? counts.true_positive : counts.false_negative);
    } else {
      ++(predictions[i] == 1 ? counts.false_positive : counts.true_negative);
    }
  }
  return counts;
}

Result<double> Accuracy(std::span<const int> labels, std::span<const int> predictions) {
  SLUICE_RETURN_IF_ERROR(CheckPairs(labels.size(), predictions.size()));
  size_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += labels[i] == predictions[i];
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

Result<std::string> NormalizeAnswer(std::string_view text) {
  SLUICE_RETURN_IF_ERROR(ValidateUtf8(text));
  const std::vector<int32_t> codes = LowerWithoutPunctuation(text);
  std::string normalized;
  bool space = false;
  const auto put = [&](int32_t code) {
    if (space && !normalized.empty()) normalized += ' ';
    space = false;
    Append(code, normalized);
  };
  for (size_t begin = 0; begin < codes.size();) {
    size_t end = begin;
    while (end < codes.size() && IsWordCharacter(codes[end])) ++end;
    if (end == begin) {
      if (IsSpace(codes[begin])) {
        space = true;
      } else {
        put(codes[begin]);
      }
      ++begin;
      continue;
    }
    const std::span<const int32_t> word(codes.data() + begin, end - begin);
    if (IsArticle(word)) {
      space = true;  // an article leaves a space, also between marks
    } else {
      for (const int32_t code : word) put(code);
    }
    begin = end;
  }
  return normalized;
}

Result<AnswerScore> ScoreAnswer(std::string_view prediction, std::span<const std::string> answers) {
  if (answers.empty()) return InvalidArgument("no answers to compare a prediction with");
  SLUICE_ASSIGN_OR_RETURN(const std::string predicted, NormalizeAnswer(prediction));
  AnswerScore best;
  for (const std::string& answer : answers) {
    SLUICE_ASSIGN_OR_RETURN(const std::string wanted, NormalizeAnswer(answer));
    best.exact_match = std::max(best.exact_match, predicted == wanted ? 1.0 : 0.0);
    best.f1 = std::max(best.f1, WordF1(predicted, wanted));
  }
  return best;
}

}  // namespace sluice
