#pragma once

#include <span>
#include <string>
#include <string_view>

namespace musaic {

// How an op that PyTorch has, or that a few of its functions make up, is written in an exported module.
struct TorchExpression {
  std::string_view op;
  // Gives the outputs and then the new versions of what the op writes. `{name}` is the argument of that name,
  // `{name.dtype}` its torch dtype.
  std::string_view expression;
  // Arguments that mean nothing for one prompt without a cache, separated by blanks. Any other argument that
  // is given must stand in the expression.
  std::string_view left_out = "";
};

// A fused op, written as the operator of its own name: defined by the module, with this meaning, where no
// library has defined it. Both functions take the schema's arguments in order.
struct TorchCustomOp {
  std::string_view op;
  std::string_view function;  // the name of the Python function; its fake is called function + "_fake"
  std::string_view definition;
};

// A Python function that expressions and definitions call.
struct TorchHelper {
  std::string_view function;
  std::string_view definition;
};

const TorchExpression* find_torch_expression(std::string_view op);  // nullptr: none
const TorchCustomOp* find_torch_custom_op(std::string_view op);     // nullptr: none
// In an order in which each calls only those before it.
std::span<const TorchHelper> torch_helpers();
std::span<const TorchCustomOp> torch_custom_ops();

}  // namespace musaic
