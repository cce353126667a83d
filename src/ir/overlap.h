#pragma once

#include "ir/graph.h"

namespace musaic {

// Whether two values may share memory: they lie in one storage, and not in disjoint columns of it. Where
// offsets or strides are too involved to tell, they overlap.
bool overlaps(const GraphValue& a, const GraphValue& b);

}  // namespace musaic
