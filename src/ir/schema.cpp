#include "ir/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace musaic {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':' || c == '.';
}

// All of the text, and within range.
template <class T>
bool parse_number(std::string_view text, T& number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

bool is_operator_name(std::string_view name) {
  const size_t colons = name.find("::");
  return colons != std::string_view::npos && colons > 0 && colons + 2 < name.size();
}

class SchemaParser {
 public:
  explicit SchemaParser(std::string_view text) : whole_(text), text_(text) {}

  Result<Schema> parse() {
    Schema schema;
    schema.name = word();
    if (!is_operator_name(schema.name)) return error("an operator name like ns::op");
    if (!take("(")) return error("'('");
    bool first = true;
    while (!take(")")) {
      if (!first && !take(",")) return error("',' or ')'");
      first = false;
      SchemaArgument argument;
      if (Status status = parse_argument(argument); !status.ok()) return status;
      if (find(schema, argument.name)) return error("another name than the taken " + argument.name);
      schema.arguments.push_back(std::move(argument));
    }
    if (!take("->")) return error("'->'");
    if (Status status = parse_returns(schema); !status.ok()) return status;
    skip_spaces();
    if (!text_.empty()) return error("the end");
    return schema;
  }

 private:
  Status error(std::string_view expected) const {
    return invalid_argument("schema '{}': expected {} at column {}", whole_, expected,
                            whole_.size() - text_.size() + 1);
  }
  void skip_spaces() {
    while (!text_.empty() && text_.front() == ' ') text_.remove_prefix(1);
  }
  bool take(std::string_view token) {
    skip_spaces();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  std::string word() {
    skip_spaces();
    size_t length = 0;
    while (length < text_.size() && is_word(text_[length])) ++length;
    std::string out(text_.substr(0, length));
    text_.remove_prefix(length);
    return out;
  }

  Status parse_argument(SchemaArgument& argument) {
    if (Status status = parse_type(argument); !status.ok()) return status;
    argument.name = word();
    if (argument.name.empty()) return error("an argument name");
    if (!take("=")) return {};
    return parse_default(argument);
  }

  Status parse_type(SchemaArgument& argument) {
    const std::string type = word();
    if (type == "Tensor")
      argument.type = SchemaType::kTensor;
    else if (type == "int")
      argument.type = take("[]") ? SchemaType::kIntList : SchemaType::kInt;
    else if (type == "float")
      argument.type = SchemaType::kFloat;
    else if (type == "bool")
      argument.type = SchemaType::kBool;
    else if (type == "str")
      argument.type = SchemaType::kString;
    else
      return error("a type (Tensor, int, int[], float, bool, str)");
    if (type == "Tensor" && take("(")) {
      argument.alias = word();
      argument.mutated = take("!");
      if (argument.alias.empty() || !take(")")) return error("an alias like (a!)");
    }
    argument.optional = take("?");
    return {};
  }

  Status parse_default(SchemaArgument& argument) {
    skip_spaces();
    size_t length = 0;
    while (length < text_.size() && text_[length] != ',' && text_[length] != ')' && text_[length] != ' ')
      ++length;
    const std::string_view value = text_.substr(0, length);
    if (argument.type == SchemaType::kTensor) {
      if (value != "None" || !argument.optional) return error("no default but None of a Tensor?");
      argument.default_none = true;
    } else if (argument.type == SchemaType::kBool) {
      if (value != "True" && value != "False") return error("True or False");
      argument.default_value = value == "True";
    } else if (argument.type == SchemaType::kInt) {
      int64_t number = 0;
      if (!parse_number(value, number)) return error("a whole number");
      argument.default_value = number;
    } else if (argument.type == SchemaType::kFloat) {
      double number = 0;
      if (!parse_number(value, number)) return error("a number");
      argument.default_value = number;
    } else {
      return error("no default for this type");
    }
    text_.remove_prefix(length);
    return {};
  }

  Status parse_returns(Schema& schema) {
    if (!take("(")) return parse_return(schema);
    bool first = true;
    while (!take(")")) {
      if (!first && !take(",")) return error("',' or ')'");
      first = false;
      if (Status status = parse_return(schema); !status.ok()) return status;
    }
    return {};
  }

  Status parse_return(Schema& schema) {
    if (!take("Tensor")) return error("Tensor");
    SchemaReturn result;
    if (take("(")) {
      result.alias = word();
      if (!is_alias(schema, result.alias)) return error("the alias of an argument, like (a)");
      if (!take(")")) return error("')'");
    }
    const std::string_view before = text_;
    if (word().empty()) text_ = before;  // a return may have a name
    schema.returns.push_back(std::move(result));
    return {};
  }

  static bool find(const Schema& schema, std::string_view name) {
    return std::any_of(schema.arguments.begin(), schema.arguments.end(),
                       [&](const SchemaArgument& argument) { return argument.name == name; });
  }
  static bool is_alias(const Schema& schema, std::string_view alias) {
    return std::any_of(schema.arguments.begin(), schema.arguments.end(), [&](const SchemaArgument& argument) {
      return !alias.empty() && argument.alias == alias;
    });
  }

  std::string_view whole_;
  std::string_view text_;
};

std::string type_text(const SchemaArgument& argument) {
  switch (argument.type) {
    case SchemaType::kTensor:
      return "Tensor" +
             (argument.alias.empty() ? "" : "(" + argument.alias + (argument.mutated ? "!" : "") + ")") +
             (argument.optional ? "?" : "");
    case SchemaType::kInt:
      return "int";
    case SchemaType::kFloat:
      return "float";
    case SchemaType::kBool:
      return "bool";
    case SchemaType::kString:
      return "str";
    case SchemaType::kIntList:
      return "int[]";
  }
  return "";
}

bool has_type(const Attribute& attribute, SchemaType type) {
  switch (type) {
    case SchemaType::kInt:
      return std::holds_alternative<int64_t>(attribute);
    case SchemaType::kFloat:
      return std::holds_alternative<double>(attribute);
    case SchemaType::kBool:
      return std::holds_alternative<bool>(attribute);
    case SchemaType::kString:
      return std::holds_alternative<std::string>(attribute);
    case SchemaType::kIntList:
      return std::holds_alternative<std::vector<int64_t>>(attribute);
    case SchemaType::kTensor:
      return false;
  }
  return false;
}

}  // namespace

Result<Schema> Schema::parse(std::string_view text) {
  return SchemaParser(text).parse();
}

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
  std::string out = schema.name + "(";
  for (const SchemaArgument& argument : schema.arguments) {
    if (out.back() != '(') out += ", ";
    out += type_text(argument) + " " + argument.name;
    if (argument.default_none) out += "=None";
    if (argument.default_value) out += "=" + to_string(*argument.default_value);
  }
  out += ") -> ";
  std::string returns;
  for (const SchemaReturn& result : schema.returns) {
    returns += (returns.empty() ? "" : ", ") + std::string("Tensor") +
               (result.alias.empty() ? "" : "(" + result.alias + ")");
  }
  return schema.returns.size() == 1 ? out + returns : out + "(" + returns + ")";
}

std::optional<std::string> attribute_problem(const Schema& schema, const Attributes& attributes) {
  size_t expected = 0;
  for (const SchemaArgument& argument : schema.arguments) {
    if (argument.type == SchemaType::kTensor) continue;
    ++expected;
    const auto found = attributes.entries().find(argument.name);
    if (found == attributes.entries().end()) return fmt::format("argument {} is missing", argument.name);
    if (!has_type(found->second, argument.type)) {
      return fmt::format("argument {} is {}, expected {}", argument.name, to_string(found->second),
                         type_text(argument));
    }
  }
  if (attributes.entries().size() == expected) return std::nullopt;
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
