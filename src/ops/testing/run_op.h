#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backends/cpu/cpu_isa.h"
#include "ir/registry.h"
#include "ops/testing/test_tensor.h"

namespace musaic::testing {

// Every built-in op with the kernels of this build.
OpRegistry cpu_registry();

// The instruction set levels of this machine, lowest first.
std::vector<CpuIsa> available_isas();

// One call of an op.
struct OpCase {
  std::string op;
  std::vector<TestTensor> inputs;                   // schema order; an undefined one is an absent optional
  Attributes attributes;                            // defaults may be left out
  std::optional<int32_t> live_rows = std::nullopt;  // nullopt: every row is real
  CpuIsa isa = detect_cpu_isa();
  int num_threads = 2;
  std::string kernel;  // take this kernel; empty: the first whose predicate holds
};

struct OpRun {
  std::string kernel;
  std::vector<TestTensor> outputs;  // pad rows as the kernel left them
  std::vector<TestTensor> inputs;   // after the run: the mutated ones hold results
};

// Runs the fake kernel (LoadError for wrong arguments), packs the weight if the kernel asks for it, and runs
// the kernel of the tests' device (test_device.h) once, eagerly, into outputs and workspace full of NaN.
// Throws LoadError when no kernel fits.
OpRun run_op(const OpRegistry& registry, const OpCase& op_case);

// run_op, and the rules that every kernel keeps, as test expectations: the same bits on one thread and when
// captured and replayed twice; inputs that the schema does not mutate are untouched; output rows from
// live_rows on still hold poison.
OpRun check_op(const OpRegistry& registry, const OpCase& op_case);

// Runs the op's decomposition on the same inputs, node by node. REQUIRES: contiguous inputs.
OpRun run_decomposition(const OpRegistry& registry, const OpCase& op_case);

}  // namespace musaic::testing
