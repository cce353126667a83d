#include "export/python_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/status.h"

namespace musaic {
namespace {

constexpr std::string_view kReserved[] = {
    "False",    "None",   "True", "and",   "as",   "assert", "async",    "await", "break", "class",
    "continue", "def",    "del",  "elif",  "else", "except", "finally",  "for",   "from",  "global",
    "if",       "import", "in",   "is",    "json", "lambda", "nonlocal", "not",   "or",    "pass",
    "raise",    "return", "self", "torch", "try",  "while",  "with",     "yield"};

std::string python_float(double value) {
  if (std::isnan(value)) return "float(\"nan\")";
  if (std::isinf(value)) return value > 0 ? "float(\"inf\")" : "float(\"-inf\")";
  return to_string(Attribute(value));
}

struct Literal {
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return python_float(value); }
  std::string operator()(bool value) const { return value ? "True" : "False"; }
  std::string operator()(const std::string& value) const { return python_string(value); }
  std::string operator()(const std::vector<int64_t>& value) const {
    return fmt::format("[{}]", fmt::join(value, ", "));
  }
};

}  // namespace

std::string python_string(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string python_literal(const Attribute& attribute) {
  return std::visit(Literal{}, attribute);
}

std::string python_identifier(std::string_view name) {
  std::string out;
  for (char c : name) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  const bool starts_badly = out.empty() || std::isdigit(static_cast<unsigned char>(out.front()));
  if (starts_badly) out.insert(0, "_");
  if (std::find(std::begin(kReserved), std::end(kReserved), out) != std::end(kReserved)) out += "_";
  return out;
}

std::string torch_device(const Device& device) {
  return "torch.device(" + python_string(to_string(device)) + ")";
}

std::string torch_dtype(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "torch.float32";
    case DType::kF16:
      return "torch.float16";
    case DType::kBF16:
      return "torch.bfloat16";
    case DType::kF8E4M3:
      return "torch.float8_e4m3fn";
    case DType::kI64:
      return "torch.int64";
    case DType::kI32:
      return "torch.int32";
    case DType::kI16:
      return "torch.int16";
    case DType::kI8:
      return "torch.int8";
    case DType::kU8:
      return "torch.uint8";
    case DType::kBool:
      return "torch.bool";
    default:
      fail_load("PyTorch has no dtype like {}", name(dtype));
  }
}

}  // namespace musaic
