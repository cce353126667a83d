#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "ir/text_cursor.h"

namespace musaic {

// A graph as its text says it: values are still names and numbers.

struct ParsedReference {
  enum class Kind { kNone, kLeaf, kNode };
  Kind kind = Kind::kNone;
  std::string name;  // kLeaf
  int number = 0;    // kNode
  TextPosition at;
};

struct ParsedValue {
  ParsedReference self;
  GraphValue value;                        // all but node and storage
  std::optional<ParsedReference> storage;  // absent: its own
};

struct ParsedMutation {
  ParsedReference before;
  std::optional<int> argument;  // needed where `before` is passed twice
  ParsedReference version;
  std::optional<ParsedValue> differing;  // the version, where it is not like `before`
  TextPosition at;
};

struct ParsedNode {
  std::string op;
  std::vector<ParsedReference> inputs;
  std::vector<ParsedValue> outputs;
  std::vector<ParsedMutation> mutations;
  Attributes attributes;
};

struct ParsedGraph {
  std::string name;
  Device device;
  std::vector<ParsedValue> leaves;
  std::vector<ParsedNode> nodes;
  std::vector<std::pair<std::string, ParsedReference>> outputs;
};

// Gives every value its id. Throws LoadError at the place of a value that is unknown or there twice.
Graph resolve(const ParsedGraph& parsed, const TextCursor& cursor);

}  // namespace musaic
