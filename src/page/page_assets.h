#ifndef SLUICE_PAGE_PAGE_ASSETS_H_
#define SLUICE_PAGE_PAGE_ASSETS_H_

#include <string_view>

namespace sluice {

/// uPlot's minified script, its style sheet and its licence, as the package ships them.
std::string_view UplotScript();
std::string_view UplotStyle();
std::string_view UplotLicence();

/// Our own script and style sheet: page_script.js and page_style.css.
std::string_view PageScript();
std::string_view PageStyle();

}  // namespace sluice

#endif  // SLUICE_PAGE_PAGE_ASSETS_H_
