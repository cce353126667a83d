#pragma once

#include "device/device_calls.h"
#include "device/graph_executables.h"
#include "formats/json.h"
#include "runner/graph_runner.h"

namespace musaic {

// What the runner's programs are: graphs, passes, pieces, buckets with their arena, memory. Changes no more
// after load.
Json describe_programs(const GraphRunner& runner);
// What changes: buckets by state, what the budget dropped, memory and time of captures, what verification
// has found. Any thread.
Json describe_captures(const GraphRunner& runner);
Json describe_executables(const GraphExecutables& executables);
Json describe_calls(const DeviceCalls& calls);

}  // namespace musaic
