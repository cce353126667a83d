#include "cli/graph_output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/status.h"
#include "export/torch_module.h"
#include "export/torch_weights.h"
#include "ir/parse.h"

namespace musaic {

const ModelGraph& choose_graph(const ModelGraphs& graphs, const std::string& kind) {
  if (kind == "decode") return graphs.decode;
  if (kind == "head") return graphs.head;
  if (kind == "logprobs") return graphs.logprobs;
  return graphs.extend;
}

Graph read_graph_file(const std::string& path, const OpRegistry& registry) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) fail_load("{}: cannot be read: {}", path, std::strerror(errno));
  Graph graph = parse(text, path);
  const auto problems = verify(graph, registry);
  if (!problems.empty()) fail_load("{}: {}", path, fmt::join(problems, "; "));
  return graph;
}

std::string export_to_torch(const ModelGraphs& graphs, const GraphChoice& choice, const std::string& model,
                            const OpRegistry& registry) {
  if (choice.kind == "decode")
    fail_load("--kind decode: without a cache a decode step means nothing; export the extend graph");
  if (choice.piece >= 0 || !choice.kind.empty())
    return export_to_torch(choose_graph(graphs, choice.kind).graph, choice.piece, model, registry);
  const TorchPart parts[] = {whole_part(graphs.extend.graph), whole_part(graphs.head.graph)};
  return write_torch_module("The extend and head graphs of " + model + ".", parts, registry);
}

std::string export_to_torch(const Graph& graph, int piece, const std::string& file,
                            const OpRegistry& registry) {
  if (piece < 0) {
    const TorchPart whole[] = {whole_part(graph)};
    return write_torch_module(fmt::format("The {} graph of {}.", graph.name, file), whole, registry);
  }
  const TorchPart part[] = {piece_part(graph, registry, piece)};
  return write_torch_module(fmt::format("Piece {} of the {} graph of {}.", piece, graph.name, file), part,
                            registry);
}

void export_weights(const ModelGraphs& graphs, const WeightSource& weights, const std::string& path) {
  const Graph* const all[] = {&graphs.extend.graph, &graphs.head.graph};
  write_torch_weights(path, all, weights);
}

void write_text(const std::string& path, const std::string& text) {
  if (path.empty()) {
    std::fputs(text.c_str(), stdout);
    return;
  }
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) fail_load("{}: cannot be written: {}", path, std::strerror(errno));
}

}  // namespace musaic
