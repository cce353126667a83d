#pragma once

#include <string>
#include <vector>

#include "ir/registry.h"
#include "runner/model_graphs.h"

namespace musaic {

// Which graph of a model the verb `graph` writes, and how.
struct GraphChoice {
  std::string kind;  // extend, decode, head, logprobs; empty: extend, of an export extend and head
  int piece = -1;    // of the extend graph; -1: all
};

const ModelGraph& choose_graph(const ModelGraphs& graphs, const std::string& kind);

// Reads the text form from a file. Throws LoadError for what does not parse, and with every breach of the
// rules that verify finds.
Graph read_graph_file(const std::string& path, const OpRegistry& registry);

// A PyTorch module of the chosen graphs; `model` is for its title.
std::string export_to_torch(const ModelGraphs& graphs, const GraphChoice& choice, const std::string& model,
                            const OpRegistry& registry);
// The same of one graph from a file.
std::string export_to_torch(const Graph& graph, int piece, const std::string& file,
                            const OpRegistry& registry);

void export_weights(const ModelGraphs& graphs, const WeightSource& weights, const std::string& path);

// To standard output where the path is empty. Throws LoadError.
void write_text(const std::string& path, const std::string& text);

}  // namespace musaic
