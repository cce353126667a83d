#pragma once

#include <string>
#include <vector>

#include "cli/platform.h"
#include "program/explain/explanation.h"
#include "weights/model_files.h"

namespace musaic {

// What of a model is to be explained. -1 or empty: the default.
struct ExplainRequest {
  std::string device = "auto";  // "cpu", "musa:0", ...
  std::string cpu_isa;
  bool assume_kernels = false;
  std::string kind = "extend";  // or decode, head, logprobs
  std::string mode;             // piecewise (of extend), full (of the others), breakable
  int bucket = -1;              // extend: the largest; decode, head: 1
  int past = -1;                // positions in the cache before the step; extend: 0, decode: 1,024
  std::string dtype = "auto";
  int page_size = -1;
  std::vector<std::string> disabled_passes;
  std::string moe_runner_backend = "auto";
  Roof roof;
};

// Traces, plans and explains; reads no weights. Throws LoadError: what was asked and what there is.
Explanation explain_model(const Platform& platform, const ModelFiles& files, const ExplainRequest& request);

// The file's or folder's name.
std::string explained_name(const ModelFiles& files);

}  // namespace musaic
