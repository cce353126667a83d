#pragma once

#include "program/explain/explanation.h"
#include "program/explain/svg_canvas.h"

namespace musaic {

// The sections of the picture, one file each. They draw at `y` over the page's width and return where they
// end.
inline constexpr double kPageWidth = 1400.0;
inline constexpr double kMargin = 32.0;
inline constexpr double kInnerWidth = kPageWidth - 2 * kMargin;

double draw_header(SvgCanvas& canvas, const Explanation& explanation, double y);    // title, totals as tiles
double draw_timeline(SvgCanvas& canvas, const Explanation& explanation, double y);  // the step over time
double draw_program(SvgCanvas& canvas, const Explanation& explanation, double y);   // pieces as cards
double draw_arena(SvgCanvas& canvas, const Explanation& explanation, double y);     // memory over nodes
double draw_tables(SvgCanvas& canvas, const Explanation& explanation, double y);    // time by op, passes

// A section's headline with a remark beside it.
void draw_heading(SvgCanvas& canvas, double y, std::string_view heading, std::string_view remark);
// The fill of a node's segment.
std::string class_of_node(const Explanation& explanation, int node);
// Tooltip of a node: op, kernel, arguments, results, work.
std::string node_title(const Explanation& explanation, int node);

}  // namespace musaic
