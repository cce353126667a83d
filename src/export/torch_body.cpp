#include "export/torch_body.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/status.h"
#include "export/python_text.h"
#include "export/torch_call.h"
#include "export/torch_ops.h"
#include "ir/builder.h"

namespace musaic {
namespace {

std::string join(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

// Outputs, then the new versions of what is written: what a call of the op gives.
std::vector<ValueId> results_of(const Node& node) {
  std::vector<ValueId> results = node.outputs;
  for (const Mutation& mutation : node.mutations) results.push_back(mutation.version);
  return results;
}

// The name of an attribute that stands for that tensor alone.
std::string claim(std::map<std::string, GraphValue>& held, const std::string& prefix,
                  const GraphValue& value) {
  std::string name = value.weight_parts.size() > 1 ? value.weight_parts[0] + ".stacked" : value.name;
  name = prefix + python_identifier(name);
  for (int i = 2;; ++i) {
    const auto [at, is_new] = held.emplace(name, value);
    if (is_new || at->second.name == value.name) return "self." + name;
    name = fmt::format("{}_{}", name, i);
  }
}

// The arguments of forward are called as they are in the graph, but for the one that the world calls
// otherwise.
std::string argument_name(const GraphValue& value) {
  if (value.kind == ValueKind::kNode) return "v" + value.name;
  if (value.name == "token_ids") return "input_ids";
  const std::string name = python_identifier(value.name);
  const bool like_a_value =
      name.size() > 1 && name[0] == 'v' && std::isdigit(static_cast<unsigned char>(name[1]));
  return like_a_value ? name + "_" : name;
}

class BodyWriter {
 public:
  BodyWriter(const TorchPart& part, const OpRegistry& registry, TorchShared& shared)
      : part_(part), registry_(registry), shared_(shared) {}

  TorchBody write() {
    Scope scope{.graph = part_.graph, .names = {}, .prefix = "v"};
    const std::vector<bool> needed = needed_nodes();
    for (int i = part_.begin; i < part_.end; ++i) {
      if (needed[static_cast<size_t>(i)]) write_node(scope, part_.graph.nodes[static_cast<size_t>(i)]);
    }
    for (const auto& [name, id] : part_.results) body_.results.push_back(expression(scope, id));
    for (const auto& [id, name] : arguments_) body_.arguments.push_back(name);
    return std::move(body_);
  }

 private:
  // A graph whose nodes are written: the part's, or an op's decomposition.
  struct Scope {
    const Graph& graph;
    std::map<ValueId, std::string> names;
    std::string prefix;                     // of its values' names
    Scope* outer = nullptr;                 // of a decomposition: where its inputs are known
    std::map<ValueId, ValueId> given = {};  // its inputs → the outer values
  };

  std::vector<bool> needed_nodes() const {
    const Graph& graph = part_.graph;
    std::set<ValueId> wanted;
    for (const auto& [name, id] : part_.results) wanted.insert(id);
    std::vector<bool> needed(graph.nodes.size(), false);
    for (int i = part_.end; i-- > part_.begin;) {
      const Node& node = graph.nodes[static_cast<size_t>(i)];
      const auto results = results_of(node);
      if (std::none_of(results.begin(), results.end(), [&](ValueId id) { return wanted.count(id) > 0; }))
        continue;
      needed[static_cast<size_t>(i)] = true;
      wanted.insert(node.inputs.begin(), node.inputs.end());
    }
    return needed;
  }

  std::string expression(Scope& scope, ValueId id) {
    if (id == kNoValue) return "None";
    if (const auto known = scope.names.find(id); known != scope.names.end()) return known->second;
    if (const auto outer = scope.given.find(id); outer != scope.given.end())
      return expression(*scope.outer, outer->second);
    const GraphValue& value = scope.graph.values[static_cast<size_t>(id)];
    if (value.kind == ValueKind::kWeight) return claim(shared_.weights, "w_", value);
    if (value.kind == ValueKind::kConstant) return claim(shared_.constants, "c_", value);
    CHECK(scope.outer == nullptr, "a decomposition reads {}, which it does not compute", value.name);
    if (value.kind == ValueKind::kState)
      fail_load("the state {} is read before it is written: it means nothing without a cache", value.name);
    arguments_[id] = argument_name(value);
    return scope.names[id] = arguments_[id];
  }

  void write_node(Scope& scope, const Node& node) {
    const OpDef& op = registry_.get(node.op);
    const TorchCall call{
        .schema = op.schema, .graph = scope.graph, .node = node, .expression = [&](ValueId id) {
          return expression(scope, id);
        }};
    if (const TorchExpression* form = find_torch_expression(node.op)) {
      assign(name_all(scope, results_of(node)), fill_in(*form, call));
    } else if (find_torch_custom_op(node.op) != nullptr) {
      write_custom_op(scope, node, call);
    } else if (op.decomposition != nullptr) {
      write_decomposition(scope, node, op);
    } else {
      fail_load("{} cannot be exported: it has neither a PyTorch form nor a decomposition", node.op);
    }
  }

  void write_custom_op(Scope& scope, const Node& node, const TorchCall& call) {
    shared_.custom_ops.insert(node.op);
    const std::string text = custom_call(call);
    assign(name_all(scope, node.outputs), text);
    for (const Mutation& mutation : node.mutations)
      scope.names[mutation.version] = expression(scope, node.inputs[static_cast<size_t>(mutation.input)]);
  }

  // The op's decomposition for these shapes, in its place.
  void write_decomposition(Scope& scope, const Node& node, const OpDef& op) {
    GraphBuilder builder(registry_, "decomposition", scope.graph.device);
    std::vector<Value> inputs;
    std::map<ValueId, ValueId> given;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      inputs.emplace_back();
      if (node.inputs[i] == kNoValue) continue;
      const Meta& meta = scope.graph.values[static_cast<size_t>(node.inputs[i])].meta;
      inputs.back() = builder.input("input" + std::to_string(i), meta.dtype, meta.shape);
      given[inputs.back().id()] = node.inputs[i];
    }
    const std::vector<Value> values = op.decomposition(builder, inputs, node.attributes);
    const auto results = results_of(node);
    CHECK(values.size() == results.size(), "{}: its decomposition gives {} values, expected {}", node.op,
          values.size(), results.size());
    Scope inner{.graph = builder.graph(),
                .names = {},
                .prefix = fmt::format("{}{}_", scope.prefix, results.empty() ? 0 : results[0]),
                .outer = &scope,
                .given = std::move(given)};
    for (const Node& inner_node : inner.graph.nodes) write_node(inner, inner_node);
    for (size_t i = 0; i < results.size(); ++i) scope.names[results[i]] = expression(inner, values[i].id());
  }

  std::vector<std::string> name_all(Scope& scope, const std::vector<ValueId>& ids) {
    std::vector<std::string> names;
    for (ValueId id : ids) names.push_back(scope.names[id] = scope.prefix + std::to_string(id));
    return names;
  }

  void assign(const std::vector<std::string>& names, const std::string& text) {
    body_.statements.push_back(names.empty() ? text : join(names) + " = " + text);
  }

  const TorchPart& part_;
  const OpRegistry& registry_;
  TorchShared& shared_;
  TorchBody body_;
  std::map<ValueId, std::string> arguments_;
};

}  // namespace

TorchBody write_torch_body(const TorchPart& part, const OpRegistry& registry, TorchShared& shared) {
  return BodyWriter(part, registry, shared).write();
}

}  // namespace musaic
