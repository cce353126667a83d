#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "ir/registry.h"
#include "ops/linear/linear_kernels_cpu.h"
#include "ops/linear/q8_packing_cpu.h"
#include "ops/linear/q8_panel.h"
#include "ops/linear/q8_tile.h"

namespace musaic {
namespace {

constexpr int64_t kCachedRowBytes = 256 << 10;  // of q: stays in L2 while the panels stream
constexpr int64_t kRowStep = 8;                 // what the widest tiles take at once
constexpr int64_t kTasksPerWorker = 16;         // for balance; small against the time of a panel

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

// How the output is cut into tasks: `panels` × `rows` each, panels first.
struct Cut {
  int64_t rows;
  int64_t panels;
  int64_t panel_groups;
  int64_t tasks;
};

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

Cut cut_work(int64_t rows, int64_t panels, int64_t k, int64_t workers) {
  int64_t row_chunks = ceil_div(rows * k, kCachedRowBytes);
  if (panels < kTasksPerWorker * workers)
    row_chunks = std::max(row_chunks, ceil_div(kTasksPerWorker * workers, panels));
  Cut cut;
  cut.rows = ceil_div(ceil_div(rows, row_chunks), kRowStep) * kRowStep;
  row_chunks = ceil_div(rows, cut.rows);
  cut.panels = std::max<int64_t>(1, panels * row_chunks / (kTasksPerWorker * workers));
  cut.panel_groups = ceil_div(panels, cut.panels);
  cut.tasks = row_chunks * cut.panel_groups;
  return cut;
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

void run_task(const Q8Work& work, int64_t rows, const Cut& cut, int64_t task) {
  const int64_t first_row = task / cut.panel_groups * cut.rows;
  const int64_t first_panel = task % cut.panel_groups * cut.panels;
  const int64_t last_panel = std::min(first_panel + cut.panels, ceil_div(work.columns, kPanelColumns));
  Q8Tile tile = work.whole;
  tile.q += first_row * tile.q_stride;
  tile.scale += first_row * tile.scale_stride;
  tile.sums += first_row * tile.sums_stride;
  tile.out += first_row * tile.out_stride;
  tile.rows = std::min(cut.rows, rows - first_row);
  for (int64_t panel = first_panel; panel < last_panel; ++panel) run_panel(work, tile, panel);
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
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const int64_t rows =
        work.live_rows ? std::min<int64_t>(*work.live_rows, work.whole.rows) : work.whole.rows;
    if (rows <= 0 || work.columns == 0) return;
    const Cut cut =
        cut_work(rows, ceil_div(work.columns, kPanelColumns), work.whole.blocks * kBlockValues, worker.count);
    for (int64_t task; (task = worker.next_chunk()) < cut.tasks;) run_task(work, rows, cut, task);
  });
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
  registry.add_kernel("musaic::linear_q8", {.name = prefix + "_avx2",
                                            .device_type = "cpu",
                                            .supports = supports_avx2<kType>,
                                            .run = run_linear_q8<kType, q8_tile_avx2>,
                                            .packing = q8_packing(kType)});
}

}  // namespace

void add_linear_q8_cpu(OpRegistry& registry) {
  add_type<DType::kQ4_0>(registry);
  add_type<DType::kQ4_1>(registry);
  add_type<DType::kQ5_0>(registry);
  add_type<DType::kQ5_1>(registry);
  add_type<DType::kQ8_0>(registry);
  add_type<DType::kQ4_K>(registry);
  add_type<DType::kQ5_K>(registry);
  add_type<DType::kQ6_K>(registry);
}

}  // namespace musaic
