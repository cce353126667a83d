#pragma once

#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {

// Two nodes that become one, which is where the second was.
struct JoinRule {
  const char* first;
  const char* second;
  const char* joined;  // with the second's attributes, outputs and mutations
  // The first node of a pair by the index of the second; -1: there is none, for the reason `no_first`. The
  // second alone reads what the first makes.
  int (*first_of)(const Graph& graph, const Uses& uses, int second);
  const char* no_first;
  std::vector<ValueId> (*inputs)(const Node& first, const Node& second);
};

Graph join_nodes(const Graph& graph, const Target& target, const JoinRule& rule, PassReport& report);

}  // namespace musaic
