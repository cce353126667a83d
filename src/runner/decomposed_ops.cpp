#include "runner/decomposed_ops.h"

#include <algorithm>

#include "base/status.h"

namespace musaic {
namespace {

bool has_kernel(const OpDef& op, const std::string& device_type) {
  return std::any_of(op.kernels.begin(), op.kernels.end(),
                     [&](const Kernel& kernel) { return kernel.device_type == device_type; });
}

bool was_wanted(const ModelGraphs& graphs, const std::string& remark) {
  for (const ModelGraph* graph : {&graphs.extend, &graphs.decode, &graphs.head, &graphs.logprobs}) {
    for (const PassReport& pass : graph->passes) {
      for (const PassNote& note : pass.left) {
        if (note.text.starts_with(remark)) return true;
      }
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> decomposed_ops(const ModelGraphs& graphs, const Target& target) {
  std::vector<std::string> names;
  for (const auto& [name, op] : target.registry.ops()) {
    if (op.decomposition != nullptr && !has_kernel(op, target.device.type) &&
        was_wanted(graphs, missing_op(target, name)))
      names.push_back(name);
  }
  return names;
}

void check_decomposed_ops(const std::vector<std::string>& decomposed, const std::vector<std::string>& allowed,
                          const Target& target) {
  for (const std::string& op : decomposed) {
    if (std::find(allowed.begin(), allowed.end(), op) == allowed.end())
      fail_load(
          "{}: the device has no kernel of {}, which this model is made faster with; --allow-decomposed-ops "
          "{} "
          "runs simpler ops in its place",
          to_string(target.device), op, op);
  }
}

}  // namespace musaic
