#include "export/torch_module.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "base/status.h"
#include "export/python_text.h"
#include "export/torch_body.h"
#include "export/torch_ops.h"
#include "export/torch_prologue.h"

namespace musaic {
namespace {

std::string tuple(const std::vector<std::string>& items) {
  return fmt::format("({}{})", fmt::join(items, ", "), items.size() == 1 ? "," : "");
}

std::string strings(const std::vector<std::string>& names) {
  std::vector<std::string> spelled;
  for (const std::string& name : names) spelled.push_back(python_string(name));
  return tuple(spelled);
}

std::string shape_of(const GraphValue& value) {
  std::vector<std::string> dims;
  for (const Dim& dim : value.meta.shape) dims.push_back(std::to_string(dim.constant()));
  return tuple(dims);
}

// A constant's values in row-major order.
template <class T>
std::vector<std::string> values_of(const GraphValue& constant) {
  std::vector<std::string> values;
  for (size_t at = 0; at + sizeof(T) <= constant.constant->size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, constant.constant->data() + at, sizeof(T));
    values.push_back(python_literal(
        Attribute(static_cast<std::conditional_t<std::is_integral_v<T>, int64_t, double>>(value))));
  }
  return values;
}

std::string constant_text(const GraphValue& constant) {
  std::vector<std::string> values;
  if (constant.meta.dtype == DType::kF32) {
    values = values_of<float>(constant);
  } else if (constant.meta.dtype == DType::kI32) {
    values = values_of<int32_t>(constant);
  } else {
    fail_load("the constant {} cannot be exported: it is {}, expected f32 or i32", constant.name,
              name(constant.meta.dtype));
  }
  return fmt::format("([{}], {}, {})", fmt::join(values, ", "), torch_dtype(constant.meta.dtype),
                     shape_of(constant));
}

std::string tables(const TorchShared& shared) {
  std::string out = "# attribute: (tensors stacked along dimension 0, shape)\nWEIGHTS = {\n";
  for (const auto& [attribute, weight] : shared.weights)
    out += fmt::format("    \"{}\": ({}, {}),\n", attribute, strings(weight.weight_parts), shape_of(weight));
  out += "}\n# attribute: (values, dtype, shape)\nCONSTANTS = {\n";
  for (const auto& [attribute, constant] : shared.constants)
    out += fmt::format("    \"{}\": {},\n", attribute, constant_text(constant));
  return out + "}\n";
}

std::string custom_ops(const TorchShared& shared, const OpRegistry& registry) {
  std::string out;
  for (const TorchCustomOp& op : torch_custom_ops()) {
    if (shared.custom_ops.count(std::string(op.op)) == 0) continue;
    const std::string schema = to_string(registry.get(op.op).schema).substr(op.op.size());
    out += fmt::format("\n{}\n\n_define_op(\n    \"{}\",\n    {},\n    {},\n    {}_fake,\n)\n", op.definition,
                       op.op, python_string(schema), op.function, op.function);
  }
  return out;
}

// The helpers that `code` calls, and those that they call.
std::string helpers(std::string code) {
  std::string out;
  const auto all = torch_helpers();
  for (size_t i = all.size(); i-- > 0;) {
    if (code.find(std::string(all[i].function) + "(") == std::string::npos) continue;
    code += all[i].definition;
    out = "\n" + std::string(all[i].definition) + out;
  }
  return out;
}

std::string method(const std::string& name, const TorchBody& body) {
  std::string out =
      fmt::format("\n    def {}(self{}):\n", name,
                  body.arguments.empty() ? "" : fmt::format(", {}", fmt::join(body.arguments, ", ")));
  for (const std::string& statement : body.statements) out += "        " + statement + "\n";
  return out +
         fmt::format("        return {}\n", body.results.size() == 1 ? body.results[0] : tuple(body.results));
}

std::vector<std::string> names_of(const TorchPart& part) {
  std::vector<std::string> names;
  for (const auto& [name, id] : part.results) names.push_back(name);
  return names;
}

constexpr const char* kChainedForward = R"py(
    def forward(self, input_ids, positions):
        hidden = self.extend(input_ids, positions)
        return self.head(hidden, torch.arange(hidden.shape[0], device=hidden.device))
)py";

}  // namespace

std::string write_torch_module(const std::string& title, std::span<const TorchPart> parts,
                               const OpRegistry& registry) {
  const bool chained = parts.size() == 2;
  TorchShared shared;
  std::string methods;
  std::vector<std::string> arguments;
  for (const TorchPart& part : parts) {
    const TorchBody body = write_torch_body(part, registry, shared);
    methods += method(chained ? part.graph.name : "forward", body);
    if (arguments.empty()) arguments = body.arguments;
  }
  if (chained) methods += kChainedForward;
  const std::string ops = custom_ops(shared, registry);
  std::string out = module_head(title, parts.back().graph.device);
  out += fmt::format("\n# of forward, in order\nINPUTS = {}\nOUTPUTS = {}\n", strings(arguments),
                     strings(names_of(parts.back())));
  out += tables(shared) + device_function(parts.back().graph.device);
  out += helpers(ops + methods);
  if (!ops.empty()) out += op_definer() + ops;
  return out + module_class() + methods + module_loader();
}

}  // namespace musaic
