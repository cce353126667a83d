#pragma once

#include <limits>
#include <random>

#include "ir/toy_ops_for_test.h"

namespace musaic {

inline std::vector<FakeOutput> fake_two(const FakeCall& call) {
  const Meta& x = call.input(0);
  return {{.meta = x}, {.meta = Meta::contiguous(DType::kI64, {ceil_div(x.dim(0), 3), 2}, x.device)}};
}

// Graphs that hold everything that a graph can hold: views of views, writes, absent arguments, every type of
// argument, odd names, made-up devices, dimensions that are expressions. Every one of them verifies.
class RandomGraphs {
 public:
  explicit RandomGraphs(uint32_t seed) : random_(seed) {
    define_toy_ops(registry_);
    registry_.define(
        "odd_space::every_2.more(Tensor x, Tensor? y, int i, float f, bool b, str s, int[] l) -> (Tensor, "
        "Tensor)",
        {.schema = {}, .fake = fake_two});
    registry_.define("toy::accumulate_(Tensor(a!) x, Tensor(a) y) -> ()",
                     {.schema = {}, .fake = fake_nothing});
    registry_.define("toy::write_both(Tensor(a!) x, Tensor(b!)? y, Tensor(b)? z) -> ()",
                     {.schema = {}, .fake = fake_nothing});
  }

  const OpRegistry& registry() const { return registry_; }

  Graph next() {
    GraphBuilder builder(registry_, odd_name(), device());
    live_ = {builder.input("x", DType::kF32, {Dim::symbol("tokens"), 8})};
    const int steps = below(14);
    for (int i = 0; i < steps; ++i) {
      if (below(3) == 0) {
        add_leaf(builder, i);
      } else {
        add_node(builder);
      }
    }
    for (int i = below(3); i > 0; --i) builder.output(odd_name(), live_[pick()]);
    return builder.take();
  }

 private:
  int below(int end) { return static_cast<int>(random_() % static_cast<uint32_t>(end)); }
  size_t pick() { return static_cast<size_t>(below(static_cast<int>(live_.size()))); }

  std::string odd_name() {
    static constexpr const char* kNames[] = {"x",          "model.layers.0.w",
                                             "None",       "output",
                                             "a b",        "it's",
                                             "",           "back\\slash\n\t\r",
                                             "q+k",        "\xC3\xA9\x01\xFF",
                                             "# no",       "%7",
                                             "torch/a-b",  "graph",
                                             "[1]",        "input",
                                             "'quot'",     "-1",
                                             "True",       "{",
                                             "e->f ! @g:", "1e5",
                                             "strides"};
    return kNames[below(std::size(kNames))];
  }

  Device device() {
    static const Device kDevices[] = {
        {}, {"cuda", 0}, {"musa", 7}, {"in", 1}, {"strides", -1}, {"tpu_v9", 31}, {"privateuseone", -1}};
    return kDevices[below(std::size(kDevices))];
  }

  Dim dim() {
    const Dim tokens = Dim::symbol("tokens"), pages = Dim::symbol("max_pages");
    switch (below(8)) {
      case 0:
        return tokens;
      case 1:
        return pages * 3 + tokens * 2;
      case 2:
        return ceil_div(tokens + 15, 16);
      case 3:
        return round_up(min(tokens, pages), 64) - 1;
      case 4:
        return (tokens - pages) * (tokens + pages);
      case 5:
        return tokens - (pages - 3);
      default:
        return below(40);
    }
  }

  DimShape shape() {
    DimShape shape;
    for (int i = below(4); i > 0; --i) shape.push_back(dim());
    return shape;
  }

  DType dtype() { return static_cast<DType>(below(static_cast<int>(DType::kQ6_K) + 1)); }

  void add_leaf(GraphBuilder& builder, int number) {
    const std::string name = odd_name() + std::to_string(number);
    switch (below(4)) {
      case 0:
        live_.push_back(builder.input(name, DType::kF16, {dim(), dim()}));
        break;
      case 1: {
        std::vector<std::string> parts = {name};
        for (int i = below(3); i > 0; --i) parts.push_back(odd_name());
        builder.weight(parts, dtype(), shape());
        break;
      }
      case 2: {
        std::vector<std::byte> bytes(static_cast<size_t>(below(40)));
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(below(256));
        builder.constant(name, dtype(), shape(), std::move(bytes));
        break;
      }
      default:
        live_.push_back(builder.state(name, DType::kBF16, {dim(), 8}));
    }
  }

  double number() {
    static constexpr double kNumbers[] = {0.0,
                                          -0.0,
                                          1.0,
                                          1e-6,
                                          0.1,
                                          -1e300,
                                          5e-324,
                                          0.08838834764831843,
                                          1e20,
                                          3e8,
                                          1.0 / 3,
                                          std::numeric_limits<double>::infinity(),
                                          -std::numeric_limits<double>::infinity(),
                                          std::numeric_limits<double>::quiet_NaN()};
    if (below(2) == 0) return kNumbers[below(std::size(kNumbers))];
    return std::ldexp(static_cast<double>(random_()) - 2e9, below(200) - 100);
  }

  int64_t whole() {
    static constexpr int64_t kWholes[] = {
        0, 1, -1, 448, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
    return kWholes[below(std::size(kWholes))];
  }

  Attributes attributes() {
    std::vector<int64_t> list;
    for (int i = below(4); i > 0; --i) list.push_back(whole());
    return {{"i", whole()}, {"f", number()}, {"b", below(2) == 0}, {"s", odd_name()}, {"l", list}};
  }

  Value maybe() { return below(2) == 0 ? Value() : live_[pick()]; }

  // Old versions of what is written must not be used again: they leave the values that are picked from.
  void write(GraphBuilder& builder) {
    const size_t at = pick();
    const Value before = live_[at];
    const ValueId storage = builder.graph().values[before.id()].storage;
    const auto shares = [&](const Value& v) { return builder.graph().values[v.id()].storage == storage; };
    std::erase_if(live_, shares);
    const Value other = live_.empty() ? Value() : maybe();
    if (below(2) == 0 || !other.defined()) {
      live_.push_back(builder.call("toy::accumulate_", {before, before})[0]);
      return;
    }
    const ValueId other_storage = builder.graph().values[other.id()].storage;
    const auto versions = builder.call("toy::write_both", {before, other, below(2) == 0 ? other : Value()});
    std::erase_if(live_,
                  [&](const Value& v) { return builder.graph().values[v.id()].storage == other_storage; });
    live_.insert(live_.end(), versions.begin(), versions.end());
  }

  void add_node(GraphBuilder& builder) {
    const Value x = live_[pick()];
    switch (below(5)) {
      case 0:
        return write(builder);
      case 1:
        live_.push_back(builder.call("toy::columns", {x},
                                     {{"begin", int64_t{below(5)}}, {"count", int64_t{1 + below(3)}}})[0]);
        return;
      case 2: {
        const auto results = builder.call("odd_space::every_2.more", {x, maybe()}, attributes());
        live_.insert(live_.end(), results.begin(), results.end());
        return;
      }
      case 3:
        live_.push_back(builder.call("toy::scale", {x}, {{"factor", number()}, {"twice", below(2) == 0}})[0]);
        return;
      default:
        live_.push_back(builder.call("toy::add", {x, maybe()})[0]);
    }
  }

  std::mt19937 random_;
  OpRegistry registry_;
  std::vector<Value> live_;  // may be used by the next node
};

}  // namespace musaic
