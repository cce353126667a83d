#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace musaic {

// What tells two graphs apart, one sentence each, the first graph's side first; empty when they are equal in
// everything: names, devices, numbering, types, storage, attributes to the bit, constants' bytes.
std::vector<std::string> differences(const Graph& a, const Graph& b);

}  // namespace musaic
