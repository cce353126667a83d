#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace musaic {

// What a schema asks of a call of the op, one sentence each without the op's name; nullopt: the call is fine.
// The builder refuses what verify reports.

// Tensor arguments: neither too many nor too few. REQUIRES: ids are of values, or kNoValue.
std::optional<std::string> arity_problem(const Schema& schema, std::span<const ValueId> inputs);

// A written argument is no weight or constant; it shares memory with no other written argument, and with a
// read one only within one alias set. REQUIRES: no arity_problem.
std::optional<std::string> write_problem(const Graph& graph, const Schema& schema,
                                         std::span<const ValueId> inputs);

// What a fake kernel gave: as many outputs as the schema has returns, each a tensor that there can be, and a
// view just where the schema has an alias, of an argument of that alias set.
std::optional<std::string> fake_problem(const Schema& schema, std::span<const ValueId> inputs,
                                        std::span<const FakeOutput> outputs);

}  // namespace musaic
