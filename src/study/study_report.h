#ifndef SLUICE_STUDY_STUDY_REPORT_H_
#define SLUICE_STUDY_STUDY_REPORT_H_

#include <span>

#include "base/status.h"
#include "page/page_content.h"
#include "study/study_summary.h"

namespace sluice {

/// A page of one or more studies: key figures, plots, tables, what failed, machine and exact commands.
/// `group`: studies of different models may stand beside each other, each in blocks of its own.
/// Errors: InvalidArgument for no studies, or where no run is done; Mismatch for different models without `group`.
Result<PageContent> MakeReport(std::span<const StudySummary> summaries, bool group);

}  // namespace sluice

#endif  // SLUICE_STUDY_STUDY_REPORT_H_
