#pragma once

#include <string>

#include "formats/json.h"
#include "program/explain/explanation.h"

namespace musaic {

// For a terminal, about 120 columns. Repeated stretches are shown once.
std::string explanation_text(const Explanation& explanation);

// Everything, node by node; times in seconds, sizes in bytes.
Json explanation_json(const Explanation& explanation);

// A picture of 1,400 units' width and its own height: the program in pieces, the arena over the nodes, where
// the time goes. One XML document without scripts, fonts or links; light and dark as its reader prefers.
std::string explanation_svg(const Explanation& explanation);

// One of them: "text", "json" or "svg". REQUIRES: one of these.
std::string format_explanation(const Explanation& explanation, const std::string& format);

}  // namespace musaic
