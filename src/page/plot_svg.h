#ifndef SLUICE_PAGE_PLOT_SVG_H_
#define SLUICE_PAGE_PLOT_SVG_H_

#include <string>
#include <string_view>

#include "page/page_content.h"

namespace sluice {

/// A plot as one SVG picture for papers and slides: light background, axes with marks, legend, no script.
/// The axes are those of the block's first view; points that are not finite, or at or below zero on a logarithmic axis,
/// are gaps. Needs: series of equal lengths, as RenderPage checks.
std::string RenderPlotSvg(const PlotBlock& plot);

/// A title as a file's name: lower-case letters, digits and single dashes, at most 60; "plot" when nothing is left.
std::string PlotFileName(std::string_view title);

}  // namespace sluice

#endif  // SLUICE_PAGE_PLOT_SVG_H_
