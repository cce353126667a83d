#include "program/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/check.h"

namespace musaic {
namespace {

Shape evaluate(const DimShape& dims, const DimBindings& bindings) {
  std::array<int64_t, Shape::kMaxRank> values{};
  for (size_t i = 0; i < dims.size(); ++i) values[i] = dims[i].evaluate(bindings);
  return Shape(std::span<const int64_t>(values.data(), dims.size()));
}

int num_nodes(const Plan& plan, const Segment& part) {
  return static_cast<int>(std::count_if(
      plan.nodes.begin(), plan.nodes.end(),
      [&](const PlannedNode& planned) { return planned.node >= part.begin && planned.node < part.end; }));
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Program::Program(Graph graph, const Target& target, Backend& backend, bool whole)
    : graph_(std::move(graph)), target_(target), backend_(backend) {
  const auto start = Clock::now();
  segments_ = split(graph_, target.registry, whole);
  units_ = records_breaks() ? join_breaks(segments_) : segments_;
  plan_seconds_ = seconds_since(start);
}

void Program::join_units() {
  CHECK(records_breaks(), "graph {}: breaks are not recorded", graph_.name);
  CHECK(captured_bytes_ == 0, "graph {}: units are joined after a capture", graph_.name);
  units_ = {{false, units_.front().begin, units_.back().end}};
}

const std::vector<const Kernel*>& Program::kernels() {
  if (!kernels_.empty()) return kernels_;
  const auto start = Clock::now();
  kernels_ = choose_kernels(graph_, target_);
  plan_seconds_ += seconds_since(start);
  return kernels_;
}

void Program::add_packed_weights(PackedWeights& packed) {
  musaic::add_packed_weights(graph_, kernels(), packed);
}

void Program::share_packed_weights(const PackedWeights& packed) {
  CHECK(buckets_.empty(), "graph {}: weights are shared after a bucket was planned", graph_.name);
  kernels();
  musaic::share_packed_weights(graph_, target_, packed, kernels_);
}

const Plan& Program::add_bucket(int bucket, const DimBindings& bindings) {
  const std::vector<const Kernel*>& chosen = kernels();
  const auto start = Clock::now();
  Bucket& added = buckets_.try_emplace(bucket).first->second;
  added.plan = plan_memory(graph_, target_, bindings, chosen);
  plan_seconds_ += seconds_since(start);
  return added.plan;
}

void Program::set_dimension(const std::string& symbol, int64_t size) {
  CHECK(weights_ == nullptr, "graph {}: {} is changed after it was bound", graph_.name, symbol);
  for (auto& [bucket, state] : buckets_) state.plan.bindings[symbol] = size;
}

void Program::bind(AddressBook addresses, const WeightStore& weights, void* arena) {
  addresses_ = std::move(addresses);
  weights_ = &weights;
  arena_ = static_cast<std::byte*>(arena);
  external_.assign(graph_.values.size(), nullptr);
  const auto look_up = [&](const std::string& name) {
    const auto found = addresses_.find(name);
    CHECK(found != addresses_.end(), "graph {}: {} has no address", graph_.name, name);
    return found->second;
  };
  for (size_t i = 0; i < graph_.values.size(); ++i) {
    const ValueKind kind = graph_.values[i].kind;
    if (kind != ValueKind::kNode && kind != ValueKind::kWeight) external_[i] = look_up(graph_.values[i].name);
  }
  for (const auto& [name, id] : graph_.outputs) external_[graph_.values[id].storage] = look_up(name);
}

void* Program::storage_address(const Plan& plan, const PlannedNode& planned, ValueId id, int input) const {
  const ValueId storage = graph_.values[id].storage;
  const GraphValue& root = graph_.values[storage];
  if (root.kind == ValueKind::kWeight) {
    return const_cast<void*>(weights_->address(root, *planned.kernel, input));
  }
  if (external_[storage] != nullptr) return external_[storage];
  return arena_ + plan.offsets[storage];
}

Tensor Program::tensor(const Plan& plan, const PlannedNode& planned, ValueId id, int input) const {
  if (id == kNoValue) return {};
  const GraphValue& value = graph_.values[id];
  auto* base = static_cast<std::byte*>(storage_address(plan, planned, id, input));
  const int64_t offset = value.offset.evaluate(plan.bindings);
  return {base + byte_size(value.meta.dtype, offset), value.meta.dtype,
          evaluate(value.meta.shape, plan.bindings), evaluate(value.meta.strides, plan.bindings)};
}

// The leading dimension that pads is the first, of outputs and then of inputs, that has a live count.
const int32_t* Program::live_rows(const Node& node) const {
  std::vector<ValueId> ids = node.outputs;
  ids.insert(ids.end(), node.inputs.begin(), node.inputs.end());
  for (ValueId id : ids) {
    if (id == kNoValue || graph_.values[id].meta.shape.empty()) continue;
    const auto symbol = graph_.values[id].meta.shape[0].symbol_name();
    const auto count = symbol ? addresses_.find("num_" + *symbol) : addresses_.end();
    if (count != addresses_.end()) return static_cast<const int32_t*>(count->second);
  }
  return nullptr;
}

Program::BoundCall Program::bind_call(const Plan& plan, const PlannedNode& planned) const {
  const Node& node = graph_.nodes[planned.node];
  BoundCall call{.node = &node,
                 .kernel = planned.kernel,
                 .inputs = {},
                 .outputs = {},
                 .workspace = {},
                 .live_rows = live_rows(node)};
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    call.inputs.push_back(tensor(plan, planned, node.inputs[i], static_cast<int>(i)));
  }
  for (ValueId id : node.outputs) call.outputs.push_back(tensor(plan, planned, id, -1));
  if (planned.workspace_bytes > 0) {
    call.workspace = Tensor::contiguous(arena_ + planned.workspace_offset, DType::kU8,
                                        {static_cast<int64_t>(planned.workspace_bytes)});
  }
  return call;
}

std::vector<Program::BoundCall> Program::bind_segment(const Plan& plan, const Segment& segment) const {
  const auto first =
      std::lower_bound(plan.nodes.begin(), plan.nodes.end(), segment.begin,
                       [](const PlannedNode& planned, int node) { return planned.node < node; });
  std::vector<BoundCall> calls;
  for (auto it = first; it != plan.nodes.end() && it->node < segment.end; ++it)
    calls.push_back(bind_call(plan, *it));
  return calls;
}

void Program::enqueue(const BoundCall& call) {
  backend_.name_next(call.node->op.c_str());
  call.kernel->run(
      {call.inputs, call.outputs, call.workspace, call.node->attributes, call.live_rows, backend_.stream()});
}

void Program::run_eagerly(int bucket) {
  const Plan& plan = buckets_.at(bucket).plan;
  if (observer_) return run_observed(plan);
  if (segment_observer_ != nullptr) return run_eagerly_by_segments(bucket);
  for (const PlannedNode& planned : plan.nodes) enqueue(bind_call(plan, planned));
}

void Program::run_eagerly_by_segments(int bucket) {
  segment_observer_->begin(*this, bucket, /*replayed=*/false);
  for (int i = 0; i < static_cast<int>(segments_.size()); ++i) {
    run_segment_eagerly(bucket, i);
    segment_observer_->end_segment(i);
  }
}

void Program::run_observed(const Plan& plan) {
  for (const PlannedNode& planned : plan.nodes) {
    const BoundCall call = bind_call(plan, planned);
    const auto start = Clock::now();
    enqueue(call);
    backend_.stream().synchronize();
    observer_(graph_, plan, planned, seconds_since(start));
  }
}

// A call that is refused ends the capture too.
std::unique_ptr<CapturedGraph> Program::capture_piece(const std::vector<BoundCall>& calls) {
  backend_.begin_capture(backend_.stream());
  try {
    for (const BoundCall& call : calls) enqueue(call);
  } catch (...) {
    backend_.end_capture(backend_.stream());
    throw;
  }
  return backend_.end_capture(backend_.stream());
}

std::vector<Program::BoundSegment> Program::capture_each(Bucket& state,
                                                         const std::vector<Segment>& segments) {
  const auto start = Clock::now();
  size_t bytes = 0;
  std::vector<BoundSegment> captured;
  backend_.stream().synchronize();
  for (const Segment& segment : segments) {
    BoundSegment bound{.piece = nullptr, .calls = bind_segment(state.plan, segment)};
    if (!segment.is_break) {
      bound.piece = capture_piece(bound.calls);
      bytes += bound.piece->bytes();
      bound.calls.clear();
      bound.calls.shrink_to_fit();
    }
    for (const BoundCall& call : bound.calls)
      bytes += sizeof(call) + (call.inputs.size() + call.outputs.size()) * sizeof(Tensor);
    captured.push_back(std::move(bound));
  }
  state.captured_bytes += bytes;
  captured_bytes_ += bytes;
  capture_seconds_ = capture_seconds_ + seconds_since(start);
  return captured;
}

void Program::capture(int bucket) {
  Bucket& state = buckets_.at(bucket);
  CHECK(!state.captured, "graph {}: bucket {} is captured already", graph_.name, bucket);
  state.units = capture_each(state, units_);
  state.captured = true;
}

const std::vector<Program::BoundSegment>& Program::segments_apart(Bucket& state) {
  if (!joins_breaks()) return state.units;
  if (state.segments.empty()) state.segments = capture_each(state, segments_);
  return state.segments;
}

void Program::replay(const BoundSegment& segment) {
  if (segment.piece) return segment.piece->replay(backend_.stream());
  for (const BoundCall& call : segment.calls) enqueue(call);
}

void Program::replay(int bucket) {
  Bucket& state = buckets_.at(bucket);
  if (segment_observer_ == nullptr) {
    for (const BoundSegment& unit : state.units) replay(unit);
    return;
  }
  const std::vector<BoundSegment>& segments = segments_apart(state);
  segment_observer_->begin(*this, bucket, /*replayed=*/true);
  for (size_t i = 0; i < segments.size(); ++i) {
    replay(segments[i]);
    segment_observer_->end_segment(static_cast<int>(i));
  }
}

void Program::replay_unit(int bucket, int unit) {
  replay(buckets_.at(bucket).units.at(unit));
}

void Program::replay_segment(int bucket, int segment) {
  replay(segments_apart(buckets_.at(bucket)).at(segment));
}

void Program::run_segment_eagerly(int bucket, int segment) {
  for (const BoundCall& call : bind_segment(buckets_.at(bucket).plan, segments_.at(segment))) enqueue(call);
}

void Program::release(int bucket) {
  Bucket& state = buckets_.at(bucket);
  backend_.stream().synchronize();
  state.captured = false;
  state.units.clear();
  state.segments.clear();
  captured_bytes_ -= state.captured_bytes;
  state.captured_bytes = 0;
}

std::byte* Program::address(int bucket, ValueId storage) const {
  if (external_[storage] != nullptr) return static_cast<std::byte*>(external_[storage]);
  return arena_ + buckets_.at(bucket).plan.offsets[storage];
}

bool Program::is_captured(int bucket) const {
  const auto found = buckets_.find(bucket);
  return found != buckets_.end() && found->second.captured;
}

std::vector<int> Program::bucket_sizes() const {
  std::vector<int> sizes;
  for (const auto& [size, bucket] : buckets_) sizes.push_back(size);
  return sizes;
}

int Program::num_pieces() const {
  return static_cast<int>(
      std::count_if(segments_.begin(), segments_.end(), [](const Segment& s) { return !s.is_break; }));
}

int Program::num_launches(int bucket, int segment) const {
  const Bucket& state = buckets_.at(bucket);
  const bool is_unit = state.captured && !joins_breaks();
  if (is_unit && state.units[segment].piece) return state.units[segment].piece->num_launches();
  return num_nodes(state.plan, segments_[segment]);
}

std::vector<int> Program::nodes_of_units(int bucket) const {
  std::vector<int> nodes;
  for (const Segment& unit : units_) nodes.push_back(num_nodes(buckets_.at(bucket).plan, unit));
  return nodes;
}

int Program::num_launches(int bucket) const {
  int launches = 0;
  for (int i = 0; i < static_cast<int>(segments_.size()); ++i) launches += num_launches(bucket, i);
  return launches;
}

std::string Program::segment_name(int segment) const {
  const bool is_break = segments_[segment].is_break;
  const auto number = std::count_if(segments_.begin(), segments_.begin() + segment + 1,
                                    [&](const Segment& other) { return other.is_break == is_break; });
  const int total = is_break ? static_cast<int>(segments_.size()) - num_pieces() : num_pieces();
  return fmt::format("{} {} of {}", is_break ? "break" : "piece", number, total);
}

size_t Program::arena_bytes() const {
  size_t bytes = 0;
  for (const auto& [size, bucket] : buckets_) bytes = std::max(bytes, bucket.plan.arena_bytes);
  return bytes;
}

}  // namespace musaic
