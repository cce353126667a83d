#include <benchmark/benchmark.h>

#include <numeric>

#include "backends/cpu/cpu_isa.h"
#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/thread_pool.h"
#include "ir/registry.h"
#include "ops/attention/attention.h"
#include "ops/testing/test_tensor.h"

namespace musaic {
namespace {

using testing::TestTensor;

// SmolLM2-135M's attention.
constexpr int64_t kHeads = 9, kKvHeads = 3, kHeadDim = 64, kPageSize = 16;

// `sequences` texts of `context` tokens each, the last `rows` of them in this step.
class AttentionStep {
 public:
  AttentionStep(int64_t sequences, int64_t rows, int64_t context, DType dtype, CpuIsa isa)
      : capabilities_(use_cpu_isa(isa)), stream_(pool_) {
    const int64_t pages = (context + kPageSize - 1) / kPageSize;
    std::vector<int32_t> page_table(static_cast<size_t>(sequences * pages));
    std::iota(page_table.begin(), page_table.end(), 0);
    std::vector<int32_t> query_start;
    for (int64_t s = 0; s <= sequences; ++s) query_start.push_back(static_cast<int32_t>(s * rows));
    const Shape cache{sequences * pages, kKvHeads, kPageSize, kHeadDim};
    inputs_ = {
        TestTensor::random(DType::kF32, {sequences * rows, kHeads * kHeadDim}, 1),
        TestTensor::random(dtype, cache, 2),
        TestTensor::random(dtype, cache, 3),
        TestTensor::ints(query_start),
        TestTensor::ints(std::vector<int32_t>(static_cast<size_t>(sequences), static_cast<int32_t>(context))),
        TestTensor::ints(page_table, {sequences, pages}),
        TestTensor::ints({static_cast<int32_t>(sequences)})};
    define_attention(registry_);
    add_attention_cpu(registry_);
    output_ = TestTensor(DType::kF32, {sequences * rows, kHeads * kHeadDim});
    for (const TestTensor& input : inputs_) {
      metas_.push_back(input.meta());
      tensors_.push_back(input.tensor());
    }
    for (const Meta& meta : metas_) meta_pointers_.push_back(&meta);
    const KernelQuery query{meta_pointers_, {}, attributes_, capabilities_};
    kernel_ = registry_.find_kernel(registry_.get("musaic::paged_attention"), "cpu", query);
    workspace_ = TestTensor(DType::kU8, {kernel_->workspace_bytes(query).evaluate({})});
  }

  void run() {
    const Tensor output = output_.tensor();
    kernel_->run({.inputs = tensors_,
                  .outputs = {&output, 1},
                  .workspace = workspace_.tensor(),
                  .attributes = attributes_,
                  .live_rows = nullptr,
                  .stream = stream_});
  }

 private:
  OpRegistry registry_;
  Capabilities capabilities_;
  ThreadPool pool_{1};  // one core: the roof is known, and CPU time tells the work on a busy machine
  CpuStream stream_;
  Attributes attributes_{{"num_heads", kHeads}, {"scale", 0.125}};
  std::vector<TestTensor> inputs_;
  std::vector<Meta> metas_;
  std::vector<const Meta*> meta_pointers_;
  std::vector<Tensor> tensors_;
  TestTensor output_;
  TestTensor workspace_;
  const Kernel* kernel_ = nullptr;
};

// Arguments: sequences, rows of each, context. Counts the multiply-adds that the mask leaves, and the cache.
void measure(benchmark::State& state, DType dtype, CpuIsa isa) {
  const int64_t sequences = state.range(0), rows = state.range(1), context = state.range(2);
  if (isa > detect_cpu_isa()) return state.SkipWithError("this processor lacks the instruction set");
  AttentionStep step(sequences, rows, context, dtype, isa);
  for (auto _ : state) step.run();
  const double pairs =
      static_cast<double>(sequences * rows) * (static_cast<double>(context - rows) + (rows + 1) / 2.0);
  const double cache_bytes = static_cast<double>(2 * sequences * context * kKvHeads) *
                             static_cast<double>(byte_size(dtype, kHeadDim));
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["GFLOP/s"] = benchmark::Counter(pairs * 4 * kHeads * kHeadDim * 1e-9, rate);
  state.counters["cache GB/s"] = benchmark::Counter(cache_bytes * 1e-9, rate);
}

void add_cases(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"sequences", "rows", "context"});
  for (int64_t context : {512, 1024, 4096}) bench->Args({1, 512, context});
  bench->Args({4, 128, 128});
  for (int64_t context : {128, 512, 4096}) bench->Args({1, 1, context});
  for (int64_t context : {256, 1024}) bench->Args({16, 1, context});
}

BENCHMARK_CAPTURE(measure, avx512_f16, DType::kF16, CpuIsa::kAvx512)->Apply(add_cases);
BENCHMARK_CAPTURE(measure, avx512_f32, DType::kF32, CpuIsa::kAvx512)->Apply(add_cases);
BENCHMARK_CAPTURE(measure, avx2_f16, DType::kF16, CpuIsa::kAvx2)->Apply(add_cases);

}  // namespace
}  // namespace musaic
