#pragma once

#include <vector>

#include "ir/builder.h"

namespace musaic {

inline std::vector<FakeOutput> fake_like_first(const FakeCall& call) {
  return {{.meta = call.input(0)}};
}
inline std::vector<FakeOutput> fake_nothing(const FakeCall&) {
  return {};
}

// Columns [begin, begin + count).
inline std::vector<FakeOutput> fake_columns(const FakeCall& call) {
  FakeOutput out{.meta = call.input(0), .view_of = 0, .view_offset = call.attributes.get_int("begin")};
  out.meta.shape.back() = call.attributes.get_int("count");
  return {out};
}

// A handful of ops: pure, in place, a view, with attributes, with an optional argument.
inline void define_toy_ops(OpRegistry& registry) {
  registry.define("toy::copy(Tensor x) -> Tensor", {.schema = {}, .fake = fake_like_first});
  registry.define("toy::add(Tensor x, Tensor? y=None) -> Tensor", {.schema = {}, .fake = fake_like_first});
  registry.define("toy::write_(Tensor(a!) x, Tensor y) -> ()", {.schema = {}, .fake = fake_nothing});
  registry.define("toy::columns(Tensor(a) x, int begin, int count) -> Tensor(a)",
                  {.schema = {}, .fake = fake_columns, .is_view = true});
  registry.define("toy::scale(Tensor x, float factor, bool twice=False) -> Tensor",
                  {.schema = {}, .fake = fake_like_first});
}

}  // namespace musaic
