#pragma once

#include <string>
#include <vector>

#include "models/model.h"
#include "program/passes/pass.h"
#include "program/target.h"

namespace musaic {

// What the traced graphs and their passes depend on.
struct GraphOptions {
  bool quantize_activations = true;          // false: --dtype float32
  bool run_extend_passes = true;             // false: the graph as traced (breakable)
  bool run_decode_passes = true;             // the same for decode, head and logprobs
  std::vector<std::string> disabled_passes;  // --disable-pass
};

struct ModelGraph {
  Graph graph;
  double trace_milliseconds = 0.0;  // and verifying
  std::vector<PassReport> passes;
};

// The graphs of one model, in the order of a step. Dimensions: `tokens` and `sequences` of the step, `pages`
// of the cache, `max_pages` of a sequence, `hidden_rows` of the largest step, `rows` whose logits are wanted,
// `slots` of requests.
struct ModelGraphs {
  ModelGraph extend;    // → hidden [tokens, hidden_size]
  ModelGraph decode;    // one token a sequence, with the head → logits [tokens, vocab_size], token [tokens]
  ModelGraph head;      // hidden, row_index → logits [rows, vocab_size], token [rows]
  ModelGraph logprobs;  // logits → log-probabilities
};

// Stops tracing after a stage, for `musaic graph --after`: "trace" or a pass name; empty: all.
ModelGraphs trace_model_graphs(const Model& model, const Target& target, const GraphOptions& options,
                               const std::string& after = "");

}  // namespace musaic
