#pragma once

#include <string>
#include <vector>

#include "opcheck/call_image.h"

namespace musaic {

struct KernelCheck {
  std::vector<std::string> problems;  // one sentence each; empty: the kernel keeps the rules
  // After an eager run, pad rows as the kernel left them.
  std::vector<HostTensor> inputs;
  std::vector<HostTensor> outputs;
};

// Runs the kernel once, eagerly. What it throws passes through.
KernelCheck run_kernel(const CheckedCall& call, Backend& backend);

// Runs it as often as it takes to see what it reads and writes:
// - it writes nothing but live rows of outputs and mutated arguments, and those wholly;
// - its result depends on live rows only: not on pad rows, gaps, workspace, nor on what the outputs held;
// - it can be captured, reads no data while it is enqueued, and two replays give the eager bits;
// - `one_thread` (a device of the same kind; may be null) gives the same bits.
KernelCheck check_kernel(const CheckedCall& call, Backend& backend, Backend* one_thread);

}  // namespace musaic
