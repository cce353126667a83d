#include "ir/schema.h"

#include <fmt/format.h>

#include <algorithm>

namespace musaic {
namespace {

std::string type_text(const SchemaArgument& argument) {
  const std::string optional = argument.optional ? "?" : "";
  switch (argument.type) {
    case SchemaType::kTensor:
      return "Tensor" +
             (argument.alias.empty() ? "" : "(" + argument.alias + (argument.mutated ? "!" : "") + ")") +
             optional;
    case SchemaType::kInt:
      return "int" + optional;
    case SchemaType::kFloat:
      return "float" + optional;
    case SchemaType::kBool:
      return "bool" + optional;
    case SchemaType::kString:
      return "str" + optional;
    case SchemaType::kIntList:
      return "int[" + (argument.list_length > 0 ? std::to_string(argument.list_length) : "") + "]" + optional;
  }
  return "";
}

bool has_type(const Attribute& attribute, const SchemaArgument& argument) {
  switch (argument.type) {
    case SchemaType::kInt:
      return std::holds_alternative<int64_t>(attribute);
    case SchemaType::kFloat:
      return std::holds_alternative<double>(attribute);
    case SchemaType::kBool:
      return std::holds_alternative<bool>(attribute);
    case SchemaType::kString:
      return std::holds_alternative<std::string>(attribute);
    case SchemaType::kIntList: {
      const auto* list = std::get_if<std::vector<int64_t>>(&attribute);
      return list != nullptr &&
             (argument.list_length == 0 || list->size() == static_cast<size_t>(argument.list_length));
    }
    case SchemaType::kTensor:
      return false;
  }
  return false;
}

}  // namespace

int Schema::num_tensors() const {
  return static_cast<int>(tensors().size());
}

std::vector<const SchemaArgument*> Schema::tensors() const {
  std::vector<const SchemaArgument*> out;
  for (const SchemaArgument& argument : arguments) {
    if (argument.type == SchemaType::kTensor) out.push_back(&argument);
  }
  return out;
}

std::string to_string(const Schema& schema) {
  std::string arguments;
  bool keyword_only = false;
  for (const SchemaArgument& argument : schema.arguments) {
    if (!arguments.empty()) arguments += ", ";
    if (argument.keyword_only && !keyword_only) arguments += "*, ";
    keyword_only = argument.keyword_only;
    arguments += type_text(argument) + " " + argument.name;
    if (argument.default_none) arguments += "=None";
    if (argument.default_value) arguments += "=" + to_string(*argument.default_value);
  }
  std::string returns;
  for (const SchemaReturn& result : schema.returns) {
    returns += (returns.empty() ? "" : ", ") + std::string("Tensor") +
               (result.alias.empty() ? "" : "(" + result.alias + ")") +
               (result.name.empty() ? "" : " " + result.name);
  }
  const bool bare = schema.returns.size() == 1 && schema.returns[0].name.empty();
  return schema.name + "(" + arguments + ") -> " + (bare ? returns : "(" + returns + ")");
}

std::optional<std::string> attribute_problem(const Schema& schema, const Attributes& attributes) {
  size_t known = 0;
  for (const SchemaArgument& argument : schema.arguments) {
    if (argument.type == SchemaType::kTensor) continue;
    const auto found = attributes.entries().find(argument.name);
    if (found == attributes.entries().end()) {
      if (argument.optional) continue;
      return fmt::format("argument {} is missing", argument.name);
    }
    ++known;
    if (!has_type(found->second, argument)) {
      return fmt::format("argument {} is {}, expected {}", argument.name, to_string(found->second),
                         type_text(argument));
    }
  }
  if (attributes.entries().size() == known) return std::nullopt;
  for (const auto& [name, value] : attributes.entries()) {
    const auto same_name = [&, wanted = std::string_view(name)](const SchemaArgument& argument) {
      return argument.type != SchemaType::kTensor && argument.name == wanted;
    };
    if (std::none_of(schema.arguments.begin(), schema.arguments.end(), same_name))
      return fmt::format("has no argument {}", name);
  }
  return std::nullopt;
}

}  // namespace musaic
