#pragma once

#include <string_view>

#include "ir/graph.h"

namespace musaic {

// Reads the text form: print's inverse. Devices may be spelled `musa:0`, `device(type='musa', index=0)` or
// `torch.device('musa:0')`. Value numbers that leave gaps, after lines were cut out by hand, are given anew
// in order. Whether the graph makes sense is for verify to say. Throws LoadError: "file:line:column: expected
// ..., got ...".
Graph parse(std::string_view text, std::string_view file);

}  // namespace musaic
