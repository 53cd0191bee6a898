#ifndef SLUICE_STUDY_TASK_METRICS_H_
#define SLUICE_STUDY_TASK_METRICS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

/// What a binary classifier did; the positive class is 1.
struct BinaryCounts {
  uint64_t true_positive = 0, true_negative = 0, false_positive = 0, false_negative = 0;

  uint64_t total() const { return true_positive + true_negative + false_positive + false_negative; }
  /// Harmonic mean of precision and recall of the positive class; 0 where it is not defined.
  double F1() const;
  /// Matthews correlation, [-1, 1]; 0 where a row or column of the table is empty.
  double Matthews() const;
};

/// Errors: InvalidArgument for lists that are empty or differ in length, or a label other than 0 and 1.
Result<BinaryCounts> CountBinary(std::span<const int> labels, std::span<const int> predictions);

/// Share of predictions that equal their label, of any number of classes.
/// Errors: InvalidArgument for lists that are empty or differ in length.
Result<double> Accuracy(std::span<const int> labels, std::span<const int> predictions);

/// A text as the SQuAD v1.1 rules compare it: lower case, without ASCII punctuation, without the words a, an and the,
/// words separated by one space. Errors: InvalidArgument for text that is not UTF-8.
Result<std::string> NormalizeAnswer(std::string_view text);

/// Scores of one prediction, or means over many.
struct AnswerScore {
  double exact_match = 0;  ///< 1 when the normalized texts are equal
  double f1 = 0;           ///< over the multisets of words; 0 when none is shared, two empty texts included
};

/// The best of every score over the answers, each by itself.
/// Errors: InvalidArgument for no answers or text that is not UTF-8.
Result<AnswerScore> ScoreAnswer(std::string_view prediction, std::span<const std::string> answers);

}  // namespace sluice

#endif  // SLUICE_STUDY_TASK_METRICS_H_
