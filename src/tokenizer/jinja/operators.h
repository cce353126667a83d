#pragma once

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

// Python's operators. Fail for types that they do not fit.
Value apply(BinaryOperator op, const Value& left, const Value& right);
Value negate(const Value& value);
bool apply(CompareOperator op, const Value& left, const Value& right);
bool contains(const Value& container, const Value& item);
// Bounds are integers, none, or absent (nullptr).
Value slice(const Value& value, const Value* begin, const Value* end, const Value* step);
// The `%` of texts: %s %r %d %i %x %f with flags, width and precision.
std::string format_percent(const std::string& format, const List& values);

}  // namespace musaic::jinja
