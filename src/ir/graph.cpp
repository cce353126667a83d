#include "ir/graph.h"

#include "base/check.h"

namespace musaic {

ValueId Graph::find(std::string_view name) const {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].kind != ValueKind::kNode && values[i].name == name) return static_cast<ValueId>(i);
  }
  return kNoValue;
}

ValueId Graph::output(std::string_view name) const {
  for (const auto& [output_name, id] : outputs) {
    if (output_name == name) return id;
  }
  CHECK(false, "graph {} has no output {}", this->name, name);
  return kNoValue;
}

}  // namespace musaic
