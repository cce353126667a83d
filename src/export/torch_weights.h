#pragma once

#include <filesystem>
#include <span>

#include "ir/graph.h"
#include "weights/weight_source.h"

namespace musaic {

// Writes every tensor that the graphs' weights are made of as float32, dequantized, under the names by which
// an exported module asks for them. Rows stay in the file's order: GGUF's llama has those of query and key
// permuted, and the graph rotates pairs accordingly.
void write_torch_weights(const std::filesystem::path& path, std::span<const Graph* const> graphs,
                         const WeightSource& source);

}  // namespace musaic
