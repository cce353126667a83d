#include "runner/state_regions.h"

#include <algorithm>
#include <set>

#include "device/bulk_memory.h"

namespace musaic {
namespace {

std::string display_name(const Graph& graph, ValueId id) {
  const GraphValue& value = graph.values[id];
  return value.kind == ValueKind::kNode ? "%" + value.name : value.name;
}

DimBindings with_live(const Plan& plan, const LiveExtent& extent) {
  DimBindings bindings = plan.bindings;
  for (const auto& [symbol, count] : extent.live) bindings[symbol] = count;
  return bindings;
}

Region region_of(const Program& program, int bucket, ValueId storage, const DimBindings& bindings,
                 std::string value) {
  const Meta& meta = program.graph().values[storage].meta;
  return {.value = std::move(value),
          .dtype = meta.dtype,
          .data = program.address(bucket, storage),
          .bytes = byte_size(meta.dtype, elements(meta.shape).evaluate(bindings))};
}

template <class Index>
void add_rows(const Region& whole, int64_t num_rows, const std::vector<Index>& rows,
              std::vector<Region>& regions) {
  const size_t row_bytes = whole.bytes / static_cast<size_t>(num_rows);
  for (Index row : rows)
    regions.push_back(
        {whole.value, whole.dtype, whole.data + static_cast<size_t>(row) * row_bytes, row_bytes});
}

struct WrittenState {
  Region whole;
  std::string rows;  // what dimension 0 counts: "pages", "slots", or anything else
  int64_t num_rows = 0;
};

std::vector<WrittenState> written_states(const Program& program, int bucket) {
  const Graph& graph = program.graph();
  const DimBindings& bindings = program.plan(bucket).bindings;
  std::set<ValueId> storages;
  for (const Node& node : graph.nodes) {
    for (const Mutation& mutation : node.mutations) {
      const ValueId storage = graph.values[mutation.version].storage;
      if (graph.values[storage].kind == ValueKind::kState) storages.insert(storage);
    }
  }
  std::vector<WrittenState> states;
  for (ValueId id : storages) {
    const DimShape& shape = graph.values[id].meta.shape;
    const auto symbol = shape.empty() ? std::nullopt : shape[0].symbol_name();
    states.push_back({region_of(program, bucket, id, bindings, display_name(graph, id)),
                      std::string(symbol.value_or("")), symbol ? shape[0].evaluate(bindings) : 0});
  }
  return states;
}

}  // namespace

LiveExtent body_extent(const Batch& batch, int page_size) {
  LiveExtent extent;
  extent.live = {{"tokens", batch.num_tokens()}, {"sequences", static_cast<int64_t>(batch.sequences.size())}};
  for (const BatchSequence& sequence : batch.sequences) {
    for (int32_t page : sequence.pages) extent.pages_end = std::max(extent.pages_end, page + 1);
    extent.slots.push_back(sequence.slot);
    if (sequence.tokens.empty()) continue;
    const int last = (sequence.start + static_cast<int>(sequence.tokens.size()) - 1) / page_size;
    for (int page = sequence.start / page_size; page <= last; ++page)
      extent.pages.push_back(sequence.pages[page]);
  }
  return extent;
}

LiveExtent head_extent(const Batch& batch, std::span<const int> sequences) {
  LiveExtent extent;
  extent.live = {{"rows", static_cast<int64_t>(sequences.size())}};
  std::set<int> slots;
  for (int sequence : sequences) slots.insert(batch.sequences[sequence].slot);
  extent.slots.assign(slots.begin(), slots.end());
  return extent;
}

std::vector<Region> mutated_states(const Program& program, int bucket, const LiveExtent& extent) {
  std::vector<Region> regions;
  for (const WrittenState& state : written_states(program, bucket)) {
    if (state.rows == "pages") {
      add_rows(state.whole, state.num_rows, extent.pages, regions);
    } else if (state.rows == "slots") {
      add_rows(state.whole, state.num_rows, extent.slots, regions);
    } else {
      regions.push_back(state.whole);
    }
  }
  return regions;
}

std::vector<Region> partly_written_states(const Program& program, int bucket, int32_t num_pages) {
  std::vector<Region> regions;
  for (const WrittenState& state : written_states(program, bucket)) {
    Region region = state.whole;
    if (state.rows == "pages") {
      const int64_t pages = std::min<int64_t>(num_pages, state.num_rows);
      region.bytes = region.bytes / static_cast<size_t>(state.num_rows) * static_cast<size_t>(pages);
    } else if (state.rows != "slots") {
      continue;
    }
    regions.push_back(std::move(region));
  }
  return regions;
}

std::vector<Region> live_outputs(const Program& program, int bucket, const LiveExtent& extent) {
  const Graph& graph = program.graph();
  const DimBindings bindings = with_live(program.plan(bucket), extent);
  std::vector<Region> regions;
  for (const auto& [name, id] : graph.outputs) {
    const ValueId storage = graph.values[id].storage;
    if (graph.values[storage].kind == ValueKind::kNode)
      regions.push_back(region_of(program, bucket, storage, bindings, name));
  }
  return regions;
}

std::vector<Region> values_crossing(const Program& program, int bucket, const LiveExtent& extent, int begin,
                                    int end) {
  const Graph& graph = program.graph();
  const Plan& plan = program.plan(bucket);
  const DimBindings bindings = with_live(plan, extent);
  const auto lifetimes = storage_lifetimes(graph);
  std::set<ValueId> storages;
  for (int i = begin; i < end; ++i) {
    for (ValueId id : graph.nodes[i].outputs) storages.insert(graph.values[id].storage);
    for (const Mutation& mutation : graph.nodes[i].mutations)
      storages.insert(graph.values[mutation.version].storage);
  }
  std::vector<Region> regions;
  for (ValueId id : storages) {
    if (plan.offsets[id] == Plan::kExternal || lifetimes[id].second < end) continue;
    regions.push_back(region_of(program, bucket, id, bindings, display_name(graph, id)));
  }
  return regions;
}

std::vector<Region> arena_gaps(const Program& program, int bucket, int node) {
  const Graph& graph = program.graph();
  const Plan& plan = program.plan(bucket);
  const auto lifetimes = storage_lifetimes(graph);
  std::vector<std::pair<size_t, size_t>> needed;  // offset, end
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const bool is_root = graph.values[id].storage == static_cast<ValueId>(id);
    if (!is_root || plan.offsets[id] == Plan::kExternal) continue;
    if (lifetimes[id].first >= node || lifetimes[id].second < node) continue;
    const Meta& meta = graph.values[id].meta;
    needed.emplace_back(
        plan.offsets[id],
        plan.offsets[id] + byte_size(meta.dtype, elements(meta.shape).evaluate(plan.bindings)));
  }
  std::sort(needed.begin(), needed.end());
  needed.emplace_back(plan.arena_bytes, plan.arena_bytes);
  std::vector<Region> gaps;
  size_t end = 0;
  for (const auto& [offset, last] : needed) {
    if (offset > end) gaps.push_back({"arena", DType::kU8, program.arena() + end, offset - end});
    end = std::max(end, last);
  }
  return gaps;
}

RegionCopy::RegionCopy(Backend& backend, std::vector<Region> regions) : regions_(std::move(regions)) {
  size_t size = 0;
  for (const Region& region : regions_) {
    offsets_.push_back(size);
    size += region.bytes;
  }
  bytes_.resize(size);
  for (size_t i = 0; i < regions_.size(); ++i)
    backend.copy_to_host(bytes_.data() + offsets_[i], regions_[i].data, regions_[i].bytes, backend.stream());
  backend.stream().synchronize();
}

void RegionCopy::restore(Backend& backend) const {
  for (size_t i = 0; i < regions_.size(); ++i)
    backend.copy_to_device(regions_[i].data, data(i), regions_[i].bytes, backend.stream());
  backend.stream().synchronize();
}

std::vector<uint64_t> checksums(Backend& backend, std::span<const Region> regions) {
  const auto memory = bulk_memory(backend);
  std::vector<uint64_t> sums;
  for (const Region& region : regions) sums.push_back(memory->checksum(region.data, region.bytes));
  return sums;
}

void poison(Backend& backend, std::span<const Region> regions) {
  const auto memory = bulk_memory(backend);
  for (const Region& region : regions) memory->fill(region.data, std::byte{0xff}, region.bytes);
  backend.stream().synchronize();
}

}  // namespace musaic
