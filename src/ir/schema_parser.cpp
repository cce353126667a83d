#include <algorithm>

#include "ir/schema.h"
#include "ir/schema_cursor.h"
#include "ir/schema_default.h"

namespace musaic {
namespace {

constexpr std::string_view kTypes = "a type (Tensor, int, int[], int[N], float, bool, str)";

constexpr int64_t kMaxListLength = 1024;  // of int[N]: more than any op has, and no memory to speak of

bool is_identifier(std::string_view word) {
  return !word.empty() && !std::isdigit(static_cast<unsigned char>(word[0]));
}

class SchemaParser {
 public:
  explicit SchemaParser(std::string_view text) : cursor_(text) {}

  Result<Schema> parse() {
    if (Status status = parse_name(); !status.ok()) return status;
    if (!cursor_.take("(")) return cursor_.expected("'('");
    if (Status status = parse_arguments(); !status.ok()) return status;
    if (!cursor_.take("->")) return cursor_.expected("'->'");
    if (Status status = parse_returns(); !status.ok()) return status;
    if (!cursor_.at_end()) return cursor_.expected("the end");
    return std::move(schema_);
  }

 private:
  // ns::op or ns::op.overload
  Status parse_name() {
    const std::string_view begin = cursor_.mark();
    const std::string_view space = cursor_.word();
    const bool has_colons = cursor_.take("::");
    const std::string_view op = cursor_.word();
    bool good = has_colons && is_identifier(space) && is_identifier(op);
    if (good && cursor_.take(".")) good = is_identifier(cursor_.word());
    const std::string_view name = begin.substr(0, begin.size() - cursor_.mark().size());
    schema_.name = name.substr(0, name.find_last_not_of(" \t\n\r") + 1);
    good = good && schema_.name.find_first_of(" \t\n\r") == std::string::npos;
    if (good) return {};
    cursor_.go_back(begin);
    return cursor_.expected("an operator name like ns::op or ns::op.overload");
  }

  Status parse_arguments() {
    bool keyword_only = false;
    while (!cursor_.take(")")) {
      if (!schema_.arguments.empty() && !cursor_.take(",")) return cursor_.expected("',' or ')'");
      if (!keyword_only && cursor_.take("*")) {
        keyword_only = true;
        if (!cursor_.take(",")) return cursor_.expected("',' and the arguments that go by name only");
      }
      SchemaArgument argument;
      argument.keyword_only = keyword_only;
      if (Status status = parse_argument(argument); !status.ok()) return status;
      schema_.arguments.push_back(std::move(argument));
    }
    return {};
  }

  Status parse_argument(SchemaArgument& argument) {
    if (Status status = parse_type(argument); !status.ok()) return status;
    const std::string_view begin = cursor_.mark();
    argument.name = cursor_.word();
    if (!is_identifier(argument.name)) {
      cursor_.go_back(begin);
      return cursor_.expected("an argument name");
    }
    if (find(argument.name) != nullptr) {
      cursor_.go_back(begin);
      return cursor_.expected("a name that no other argument has");
    }
    if (cursor_.take("=")) return parse_default(argument);
    const bool follows_default =
        !schema_.arguments.empty() && has_default(schema_.arguments.back()) && !argument.keyword_only;
    return follows_default ? cursor_.expected("'=': arguments after one with a default have one too")
                           : Status();
  }

  static bool has_default(const SchemaArgument& argument) {
    return argument.default_none || argument.default_value.has_value();
  }

  Status parse_type(SchemaArgument& argument) {
    const std::string_view begin = cursor_.mark();
    const std::string_view word = cursor_.word();
    if (word == "Tensor") {
      argument.type = SchemaType::kTensor;
      if (Status status = parse_argument_alias(argument); !status.ok()) return status;
    } else if (word == "int") {
      argument.type = SchemaType::kInt;
    } else if (word == "float") {
      argument.type = SchemaType::kFloat;
    } else if (word == "bool") {
      argument.type = SchemaType::kBool;
    } else if (word == "str") {
      argument.type = SchemaType::kString;
    } else {
      cursor_.go_back(begin);
      return cursor_.expected(kTypes);
    }
    if (cursor_.peek() == '[') {
      if (Status status = parse_list(argument); !status.ok()) return status;
    }
    argument.optional = cursor_.take("?");
    return cursor_.peek() == '[' ? cursor_.unsupported("a list of optionals", "a whole list may be optional")
                                 : Status();
  }

  Status parse_list(SchemaArgument& argument) {
    if (argument.type == SchemaType::kTensor)
      return cursor_.unsupported("a list of tensors", "each tensor is an argument of its own");
    if (argument.type != SchemaType::kInt) return cursor_.unsupported("a list of this type", "int has lists");
    argument.type = SchemaType::kIntList;
    cursor_.take("[");
    if (cursor_.take("]")) return {};
    const std::string_view begin = cursor_.mark();
    const std::optional<int64_t> length = read_whole_number(cursor_);
    if (!length || *length < 1 || *length > kMaxListLength) {
      cursor_.go_back(begin);
      return cursor_.expected("']' or a length");
    }
    argument.list_length = static_cast<int>(*length);
    return cursor_.take("]") ? Status() : cursor_.expected("']'");
  }

  // (a) or (a!), if any.
  Status parse_argument_alias(SchemaArgument& argument) {
    if (!cursor_.take("(")) return {};
    const std::string_view begin = cursor_.mark();
    if (Status status = parse_alias_name(argument.alias); !status.ok()) return status;
    argument.mutated = cursor_.take("!");
    if (Status status = end_alias(); !status.ok()) return status;
    const bool written_twice = argument.mutated && find_alias(argument.alias, /*mutated=*/true) != nullptr;
    if (!written_twice) return {};
    cursor_.go_back(begin);
    return cursor_.unsupported("a second written argument of one alias set", "each has a set of its own");
  }

  Status parse_alias_name(std::string& alias) {
    if (cursor_.peek() == '*')
      return cursor_.unsupported("a wildcard alias", "name the set, like (a) or (a!)");
    const std::string_view begin = cursor_.mark();
    alias = cursor_.word();
    if (is_identifier(alias)) return {};
    cursor_.go_back(begin);
    return cursor_.expected("an alias like (a) or (a!)");
  }

  Status end_alias() {
    constexpr std::string_view kOneSet = "an argument is of one set for good, like (a) or (a!)";
    if (cursor_.peek() == '-') return cursor_.unsupported("an alias set that changes ('->')", kOneSet);
    if (cursor_.peek() == '|') return cursor_.unsupported("a union of alias sets ('|')", kOneSet);
    return cursor_.take(")") ? Status() : cursor_.expected("')' to end the alias");
  }

  Status parse_default(SchemaArgument& argument) {
    const std::string_view begin = cursor_.mark();
    if (argument.optional && cursor_.next_word() == "None") {
      cursor_.word();
      argument.default_none = true;
      return {};
    }
    argument.default_value = read_default(cursor_, argument);
    if (argument.default_value) return {};
    cursor_.go_back(begin);
    return cursor_.expected(expected_default(argument));
  }

  Status parse_returns() {
    if (!cursor_.take("(")) return parse_return(/*may_have_name=*/false);
    while (!cursor_.take(")")) {
      if (!schema_.returns.empty() && !cursor_.take(",")) return cursor_.expected("',' or ')'");
      if (Status status = parse_return(/*may_have_name=*/true); !status.ok()) return status;
    }
    return {};
  }

  Status parse_return(bool may_have_name) {
    if (cursor_.next_word() != "Tensor") return cursor_.expected("Tensor");
    cursor_.word();
    SchemaReturn result;
    if (cursor_.take("(")) {
      if (Status status = parse_return_alias(result); !status.ok()) return status;
    }
    if (cursor_.peek() == '[' || cursor_.peek() == '?')
      return cursor_.unsupported("a return that is a list or optional", "each output is a Tensor");
    const std::string_view begin = cursor_.mark();
    if (may_have_name) result.name = cursor_.word();
    const bool taken = std::any_of(
        schema_.returns.begin(), schema_.returns.end(),
        [&](const SchemaReturn& other) { return !result.name.empty() && other.name == result.name; });
    if (taken) {
      cursor_.go_back(begin);
      return cursor_.expected("a name that no other return has");
    }
    schema_.returns.push_back(std::move(result));
    return {};
  }

  Status parse_return_alias(SchemaReturn& result) {
    const std::string_view begin = cursor_.mark();
    if (Status status = parse_alias_name(result.alias); !status.ok()) return status;
    if (find_alias(result.alias, /*mutated=*/false) == nullptr &&
        find_alias(result.alias, /*mutated=*/true) == nullptr) {
      cursor_.go_back(begin);
      return cursor_.expected("the alias of an argument");
    }
    if (find_alias(result.alias, /*mutated=*/true) != nullptr) {
      cursor_.go_back(begin);
      return cursor_.unsupported("a return of a written argument",
                                 "its new version is a result anyway, so leave it out");
    }
    return end_alias();
  }

  const SchemaArgument* find(std::string_view name) const {
    for (const SchemaArgument& argument : schema_.arguments) {
      if (argument.name == name) return &argument;
    }
    return nullptr;
  }

  // The first argument of the alias set that is written, or that is not.
  const SchemaArgument* find_alias(std::string_view alias, bool mutated) const {
    for (const SchemaArgument& argument : schema_.arguments) {
      if (argument.alias == alias && argument.mutated == mutated) return &argument;
    }
    return nullptr;
  }

  SchemaCursor cursor_;
  Schema schema_;
};

}  // namespace

Result<Schema> Schema::parse(std::string_view text) {
  return SchemaParser(text).parse();
}

}  // namespace musaic
