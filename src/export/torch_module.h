#pragma once

#include <span>
#include <string>

#include "export/torch_part.h"
#include "ir/registry.h"

namespace musaic {

// One Python module for plain PyTorch: `load(*paths, device=None)` reads the weights by name from safetensors
// files and gives a torch.nn.Module. With one part its forward is the part. With two, an extend graph and its
// head, forward(input_ids, positions) gives the logits of every row of one prompt.
//
// There is no cache: writing keys and values keeps them as they are in the cache's dtype, and paged attention
// is causal attention over the prompt. Weights are held in float32, block-quantized ones dequantized. Fused
// ops are called by their names and defined where no library has defined them. Throws LoadError for an op
// that has neither a PyTorch form nor a decomposition.
std::string write_torch_module(const std::string& title, std::span<const TorchPart> parts,
                               const OpRegistry& registry);

}  // namespace musaic
