#ifndef SLUICE_PAGE_PAGE_BLOCK_H_
#define SLUICE_PAGE_PAGE_BLOCK_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"
#include "page/page_content.h"

namespace sluice {

/// Checks one block and counts the numbers or cells that it holds.
/// Errors: InvalidArgument, naming the series, part or row at fault.
Result<size_t> CheckBlock(const PageBlock& block);

/// The static part of a block: a section with its heading, caption and place for the script's figure.
/// Needs: CheckBlock passed. `index` is the block's place in the page.
std::string BlockHtml(const PageBlock& block, size_t index);

/// What the script needs to draw the block, or to save it as CSV. Values that are not finite become null.
nlohmann::ordered_json BlockJson(const PageBlock& block);

}  // namespace sluice

#endif  // SLUICE_PAGE_PAGE_BLOCK_H_
