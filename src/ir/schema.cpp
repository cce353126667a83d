#include "ir/schema.h"

#include <charconv>

namespace musaic {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == ':' || c == '.';
}

class SchemaParser {
 public:
  explicit SchemaParser(std::string_view text) : whole_(text), text_(text) {}

  Result<Schema> parse() {
    Schema schema;
    schema.name = word();
    if (schema.name.find("::") == std::string::npos) return error("an operator name like ns::op");
    if (!take("(")) return error("'('");
    bool first = true;
    while (!take(")")) {
      if (!first && !take(",")) return error("',' or ')'");
      first = false;
      SchemaArgument argument;
      if (Status status = parse_argument(argument); !status.ok()) return status;
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
    const char* end = value.data() + value.size();
    if (argument.type == SchemaType::kTensor) {
      if (value != "None") return error("None");
    } else if (argument.type == SchemaType::kBool) {
      if (value != "True" && value != "False") return error("True or False");
      argument.default_value = value == "True";
    } else if (argument.type == SchemaType::kInt) {
      int64_t number = 0;
      if (std::from_chars(value.data(), end, number).ptr != end) return error("a whole number");
      argument.default_value = number;
    } else if (argument.type == SchemaType::kFloat) {
      double number = 0;
      if (std::from_chars(value.data(), end, number).ptr != end) return error("a number");
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
      if (result.alias.empty() || !take(")")) return error("an alias like (a)");
    }
    const std::string_view before = text_;
    if (word().empty()) text_ = before;  // a return may have a name
    schema.returns.push_back(std::move(result));
    return {};
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

}  // namespace musaic
