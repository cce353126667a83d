#pragma once

#include "formats/json.h"
#include "runner/graph_runner.h"

namespace musaic {

// What the runner's programs are: graphs, passes, pieces, buckets with their arena, memory. Changes no more
// after load, but for the capture state that `captured` tells.
Json describe_programs(const GraphRunner& runner);

}  // namespace musaic
