#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/linear/linear_kernels_cpu.h"
#include "ops/linear/q8_packing_cpu.h"
#include "ops/linear/q8_panel.h"
#include "ops/linear/q8_panel_types.h"
#include "ops/linear/q8_tile.h"

namespace musaic {
namespace {

constexpr int64_t kCachedRowBytes = 256 << 10;  // of q: stays in L2 while the panels stream
constexpr int64_t kRowStep = 12;                // what the widest tiles take at once
constexpr int64_t kUnitsPerWorker = 16;         // enough to even out
constexpr int64_t kPrefetchBytes = 8 << 10;     // covers the latency of memory

struct Q8Work {
  Q8Tile whole;  // all rows; what belongs to one panel is not set
  const uint8_t* panels;
  size_t panel_bytes;
  size_t scale_bytes;
  int64_t columns;
  BiasRow bias;
  Q8TileKernel kernel;
  const int32_t* live_rows;
};

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Rows of a chunk: its q fits L2, and chunks × panels are enough for all workers.
int64_t rows_of_chunk(int64_t rows, int64_t panels, int64_t k, int64_t workers) {
  const int64_t for_cache = ceil_div(rows * k, kCachedRowBytes);
  const int64_t for_workers = ceil_div(kUnitsPerWorker * workers, panels);
  return ceil_div(ceil_div(rows, std::max(for_cache, for_workers)), kRowStep) * kRowStep;
}

void run_panel(const Q8Work& work, Q8Tile tile, int64_t panel) {
  float bias[kPanelColumns];
  const int64_t first = panel * kPanelColumns;
  tile.columns = static_cast<int>(std::min<int64_t>(kPanelColumns, work.columns - first));
  tile.scales = work.panels + static_cast<size_t>(panel) * work.panel_bytes;
  tile.quants = tile.scales + work.scale_bytes;
  tile.bias = work.bias.load(first, tile.columns, bias);
  tile.out += first;
  work.kernel(tile);
}

// Panels [first, last) for the rows from `first_row` on.
void run_panels(const Q8Work& work, int64_t first_row, int64_t num_rows, int64_t first, int64_t last) {
  Q8Tile tile = work.whole;
  tile.q += first_row * tile.q_stride;
  tile.scale += first_row * tile.scale_stride;
  tile.sums += first_row * tile.sums_stride;
  tile.out += first_row * tile.out_stride;
  tile.rows = num_rows;
  const int64_t panel_bytes = static_cast<int64_t>(work.panel_bytes);
  const int64_t ahead = ceil_div(kPrefetchBytes, panel_bytes);
  for (int64_t panel = first; panel < last; ++panel) {
    tile.prefetch = panel + ahead < last ? ahead * panel_bytes : 0;
    run_panel(work, tile, panel);
  }
}

// A unit of work is one panel for one chunk of rows, counted panels first.
void run_units(const Q8Work& work, const Worker& worker) {
  const int64_t rows = live_count(work.live_rows, work.whole.rows);
  const int64_t panels = ceil_div(work.columns, kPanelColumns);
  if (rows <= 0 || panels == 0) return;
  const int64_t chunk = rows_of_chunk(rows, panels, work.whole.blocks * kBlockValues, worker.count);
  const int64_t units = ceil_div(rows, chunk) * panels;
  for (;;) {
    IndexRange range = guided_range(worker.next_chunk(), units, worker.count);
    if (range.begin >= range.end) return;
    while (range.begin < range.end) {
      const int64_t first_row = range.begin / panels * chunk;
      const int64_t first = range.begin % panels;
      const int64_t last = std::min(panels, first + range.end - range.begin);
      run_panels(work, first_row, std::min(chunk, rows - first_row), first, last);
      range.begin += last - first;
    }
  }
}

template <DType kType, Q8TileKernel (*find_tile)(DType)>
void run_linear_q8(const KernelCall& call) {
  const Tensor& q = call.inputs[0];
  const int64_t blocks = q.shape[1] / kBlockValues;
  const Q8Work work = {.whole = {.q = q.as<const int8_t>(),
                                 .q_stride = q.strides[0],
                                 .scale = call.inputs[1].as<const float>(),
                                 .scale_stride = call.inputs[1].strides[0],
                                 .sums = call.inputs[2].as<const float>(),
                                 .sums_stride = call.inputs[2].strides[0],
                                 .scales = nullptr,
                                 .quants = nullptr,
                                 .prefetch = 0,
                                 .blocks = blocks,
                                 .bias = nullptr,
                                 .out = call.outputs[0].as<float>(),
                                 .out_stride = call.outputs[0].strides[0],
                                 .rows = q.shape[0],
                                 .columns = 0},
                       .panels = call.inputs[3].as<const uint8_t>(),
                       .panel_bytes = panel_bytes(kType, blocks),
                       .scale_bytes = panel_scale_bytes(kType, blocks),
                       .columns = call.outputs[0].shape[1],
                       .bias = BiasRow::of(call.inputs, 4),
                       .kernel = find_tile(kType),
                       .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) { run_units(work, worker); });
}

template <DType kType>
bool is_type(const KernelQuery& query) {
  return query.inputs[3]->dtype == kType && query.inputs[0]->dim(1).is_constant();
}

template <DType kType>
bool supports_vnni(const KernelQuery& query) {
  return is_type<kType>(query) && query.capabilities.has("avx512_vnni");
}

template <DType kType>
bool supports_avx512(const KernelQuery& query) {
  return is_type<kType>(query) && query.capabilities.has("avx512");
}

template <DType kType>
bool supports_avx2(const KernelQuery& query) {
  return is_type<kType>(query) && query.capabilities.has("avx2");
}

template <DType kType>
void add_type(OpRegistry& registry) {
  const std::string prefix = "linear_q8_" + std::string(name(kType));
  registry.add_kernel("musaic::linear_q8", {.name = prefix + "_vnni",
                                            .device_type = "cpu",
                                            .supports = supports_vnni<kType>,
                                            .run = run_linear_q8<kType, q8_tile_vnni>,
                                            .packing = q8_packing(kType)});
  registry.add_kernel("musaic::linear_q8", {.name = prefix + "_avx512",
                                            .device_type = "cpu",
                                            .supports = supports_avx512<kType>,
                                            .run = run_linear_q8<kType, q8_tile_avx512>,
                                            .packing = q8_packing(kType)});
  registry.add_kernel("musaic::linear_q8", {.name = prefix + "_avx2",
                                            .device_type = "cpu",
                                            .supports = supports_avx2<kType>,
                                            .run = run_linear_q8<kType, q8_tile_avx2>,
                                            .packing = q8_packing(kType)});
}

}  // namespace

void add_linear_q8_cpu(OpRegistry& registry) {
  for_each_panel_type([&]<DType kType>() { add_type<kType>(registry); });
}

}  // namespace musaic
