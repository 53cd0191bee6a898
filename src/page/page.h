#ifndef SLUICE_PAGE_PAGE_H_
#define SLUICE_PAGE_PAGE_H_

#include <cstddef>
#include <string>

#include "base/status.h"
#include "page/page_content.h"

namespace sluice {

/// Most numbers that a page may hold in all its blocks.
inline constexpr size_t kMaxPageNumbers = 2'000'000;
/// Longest raw document that a page may embed.
inline constexpr size_t kMaxPageJsonBytes = size_t{64} << 20;

/// Renders one self-contained HTML file: no network, no other file, the same bytes for the same content.
/// Errors: InvalidArgument, naming the block, when lengths disagree, a bar is negative or not finite, `json` is not
///         JSON, or a limit above is exceeded.
Result<std::string> RenderPage(const PageContent& content);

}  // namespace sluice

#endif  // SLUICE_PAGE_PAGE_H_
