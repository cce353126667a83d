#include "ir/parse.h"

#include <fmt/format.h>

#include "ir/parsed_graph.h"
#include "ir/read_values.h"
#include "ir/weight_names.h"

namespace musaic {
namespace {

struct LeafWord {
  const char* word;
  ValueKind kind;
};
constexpr LeafWord kLeafWords[] = {{"input", ValueKind::kInput},
                                   {"weight", ValueKind::kWeight},
                                   {"constant", ValueKind::kConstant},
                                   {"state", ValueKind::kState}};

class Parser {
 public:
  explicit Parser(TextCursor& cursor) : cursor_(cursor) {}

  ParsedGraph run() {
    if (cursor_.at_end_of_line() && !cursor_.at_end()) cursor_.end_line();
    cursor_.expect_word("graph");
    graph_.name = cursor_.name("the graph's name");
    cursor_.expect_word("on");
    graph_.device = read_device(cursor_);
    cursor_.expect("{");
    cursor_.end_line();
    while (!cursor_.take("}")) statement();
    cursor_.end_line();
    if (!cursor_.at_end()) cursor_.fail("the end of the text");
    return std::move(graph_);
  }

 private:
  void statement() {
    if (cursor_.at_end()) cursor_.fail("'}'");
    if (!leaf() && !output()) node();
    cursor_.end_line();
  }

  bool leaf() {
    for (const LeafWord& leaf : kLeafWords) {
      if (!cursor_.take_word(leaf.word)) continue;
      ParsedValue parsed = definition(leaf_reference(), leaf.kind);
      if (leaf.kind == ValueKind::kWeight) parsed.value.weight_parts = weight_parts(parsed.self.name);
      if (leaf.kind == ValueKind::kConstant && cursor_.take("=")) parsed.value.constant = read_bytes(cursor_);
      graph_.leaves.push_back(std::move(parsed));
      return true;
    }
    return false;
  }

  bool output() {
    if (!cursor_.take_word("output")) return false;
    std::string name = cursor_.name("the output's name");
    cursor_.expect("=");
    graph_.outputs.emplace_back(std::move(name), reference());
    return true;
  }

  void node() {
    ParsedNode node;
    while (cursor_.peek() == '%') {
      node.outputs.push_back(definition(node_reference(), ValueKind::kNode));
      if (cursor_.take("=")) break;
      cursor_.expect(",");
      if (cursor_.peek() != '%') cursor_.fail("a value like %5");
    }
    node.op = cursor_.operator_name(node.outputs.empty()
                                        ? "input, weight, constant, state, output, %N or an operator (ns::op)"
                                        : "an operator (ns::op)");
    arguments(node);
    while (cursor_.peek() == '!') node.mutations.push_back(mutation());
    graph_.nodes.push_back(std::move(node));
  }

  void arguments(ParsedNode& node) {
    cursor_.expect("(");
    if (cursor_.take(")")) return;
    do {
      const char next = cursor_.peek();
      if (next == '@' || next == '%') {
        tensor_argument(node, reference());
      } else {
        named_argument(node);
      }
    } while (cursor_.take(","));
    if (!cursor_.take(")")) cursor_.fail("',' or ')'");
  }

  void tensor_argument(ParsedNode& node, ParsedReference argument) {
    if (!node.attributes.entries().empty())
      cursor_.fail_at(argument.at, "tensors come before the other arguments");
    node.inputs.push_back(std::move(argument));
  }

  // `name=value`, or the None of an absent tensor.
  void named_argument(ParsedNode& node) {
    const TextPosition at = cursor_.position();
    const bool quoted = cursor_.peek() == '\'';
    const std::string name = cursor_.name("an argument: @name, %N, None or name=value");
    if (!quoted && name == "None") return tensor_argument(node, {.at = at});
    if (node.attributes.contains(name)) cursor_.fail_at(at, fmt::format("{} is given twice", name));
    cursor_.expect("=");
    node.attributes.set(name, read_attribute(cursor_));
  }

  ParsedMutation mutation() {
    ParsedMutation out;
    cursor_.expect("!");
    out.at = cursor_.position();
    out.before = reference();
    if (cursor_.take_word("at")) out.argument = read_whole_number<int>(cursor_, "an argument's number");
    cursor_.expect("->");
    out.version = node_reference();
    if (cursor_.peek() == ':') out.differing = definition(out.version, ValueKind::kNode);
    return out;
  }

  ParsedReference reference() {
    if (cursor_.peek() == '@') return leaf_reference();
    if (cursor_.peek() == '%') return node_reference();
    const TextPosition at = cursor_.position();
    if (!cursor_.take_word("None")) cursor_.fail("@name, %N or None");
    return {.at = at};
  }

  ParsedReference leaf_reference() {
    ParsedReference out{.kind = ParsedReference::Kind::kLeaf, .at = cursor_.position()};
    cursor_.expect("@");
    out.name = cursor_.name("a name");
    return out;
  }

  ParsedReference node_reference() {
    ParsedReference out{.kind = ParsedReference::Kind::kNode, .at = cursor_.position()};
    cursor_.expect("%");
    out.number = read_whole_number<int>(cursor_, "a value's number");
    if (out.number < 0) cursor_.fail_at(out.at, "a value's number is 0 or more");
    return out;
  }

  // What follows a value's name: `: f32[tokens, 4] strides [8, 1] cpu in @x + 2`.
  ParsedValue definition(ParsedReference self, ValueKind kind) {
    ParsedValue out{.self = std::move(self), .value = {.kind = kind}, .storage = {}};
    cursor_.expect(":");
    out.value.meta = read_meta(cursor_);
    if (cursor_.take_word("in")) out.storage = reference_to_storage();
    if (cursor_.take("+")) out.value.offset = read_dim(cursor_, "=,!");
    return out;
  }

  ParsedReference reference_to_storage() {
    if (cursor_.peek() != '@' && cursor_.peek() != '%') cursor_.fail("the storage: @name or %N");
    return reference();
  }

  std::vector<std::string> weight_parts(const std::string& name) {
    if (!cursor_.take_word("parts")) return parts_of_weight(name);
    std::vector<std::string> parts;
    cursor_.expect("[");
    if (cursor_.take("]")) return parts;
    do {
      parts.push_back(cursor_.string("a tensor's name in quotes"));
    } while (cursor_.take(","));
    if (!cursor_.take("]")) cursor_.fail("',' or ']'");
    return parts;
  }

  TextCursor& cursor_;
  ParsedGraph graph_;
};

}  // namespace

Graph parse(std::string_view text, std::string_view file) {
  TextCursor cursor(text, file);
  const ParsedGraph parsed = Parser(cursor).run();
  return resolve(parsed, cursor);
}

}  // namespace musaic
