#include "export/torch_call.h"

#include <fmt/format.h>

#include <set>

#include "base/status.h"
#include "export/python_text.h"

namespace musaic {
namespace {

// The tensor argument's place in the node; -1: no such.
int tensor_index(const Schema& schema, std::string_view name) {
  const auto tensors = schema.tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i]->name == name) return static_cast<int>(i);
  }
  return -1;
}

std::string argument_text(const TorchCall& call, std::string_view name) {
  if (const int index = tensor_index(call.schema, name); index >= 0)
    return call.expression(call.node.inputs[static_cast<size_t>(index)]);
  const auto found = call.node.attributes.entries().find(name);
  if (found == call.node.attributes.entries().end())
    fail_load("{} cannot be exported: the PyTorch form asks for {}, which it does not have", call.schema.name,
              name);
  return python_literal(found->second);
}

std::string dtype_text(const TorchCall& call, std::string_view name) {
  const ValueId id = name == "result"
                         ? call.node.outputs.at(0)
                         : call.node.inputs.at(static_cast<size_t>(tensor_index(call.schema, name)));
  return torch_dtype(call.graph.values[static_cast<size_t>(id)].meta.dtype);
}

std::set<std::string, std::less<>> words(std::string_view text) {
  std::set<std::string, std::less<>> out;
  while (!text.empty()) {
    const size_t blank = text.find(' ');
    out.emplace(text.substr(0, blank));
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  }
  return out;
}

bool is_given(const TorchCall& call, const SchemaArgument& argument) {
  if (argument.type != SchemaType::kTensor) return true;
  return call.node.inputs[static_cast<size_t>(tensor_index(call.schema, argument.name))] != kNoValue;
}

}  // namespace

std::string fill_in(const TorchExpression& form, const TorchCall& call) {
  std::set<std::string, std::less<>> written = words(form.left_out);
  std::string out;
  std::string_view rest = form.expression;
  for (size_t open = rest.find('{'); open != std::string_view::npos; open = rest.find('{')) {
    const size_t close = rest.find('}', open);
    std::string_view name = rest.substr(open + 1, close - open - 1);
    out += rest.substr(0, open);
    rest.remove_prefix(close + 1);
    constexpr std::string_view kDtype = ".dtype";
    if (name.ends_with(kDtype)) {
      name.remove_suffix(kDtype.size());
      out += dtype_text(call, name);
    } else {
      out += argument_text(call, name);
      written.emplace(name);
    }
  }
  for (const SchemaArgument& argument : call.schema.arguments) {
    if (written.count(argument.name) == 0 && is_given(call, argument))
      fail_load("{} cannot be exported: its PyTorch form does not know {}", call.schema.name, argument.name);
  }
  return out.append(rest);
}

std::string custom_call(const TorchCall& call) {
  std::string name = call.schema.name;
  name.replace(name.find("::"), 2, ".");
  std::string arguments;
  for (const SchemaArgument& argument : call.schema.arguments)
    arguments += (arguments.empty() ? "" : ", ") + argument_text(call, argument.name);
  return fmt::format("torch.ops.{}({})", name, arguments);
}

}  // namespace musaic
