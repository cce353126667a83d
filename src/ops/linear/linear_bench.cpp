// Matrix products of SmolLM2-135M's shapes. GOP/s counts 2 · rows · n · k; GB/s the weight as it is read.
// Time is that of the processor on one thread, and of the wall on more.
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>

#include "backends/cpu/cpu_backend.h"
#include "ir/registry.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

struct Shape2 {
  const char* name;
  int64_t n, k;
};

constexpr Shape2 kShapes[] = {
    {"qkv", 960, 576}, {"o", 576, 576}, {"gate_up", 3072, 576}, {"down", 576, 1536}, {"head", 49152, 576}};

// A bound call of linear or linear_q8 with random rows and weight.
class BoundLinear {
 public:
  BoundLinear(CpuBackend& backend, const std::string& op_name, DType dtype, int64_t rows, int64_t n,
              int64_t k)
      : backend_(backend) {
    define_ops(registry_);
    add_cpu_kernels(registry_);
    const bool is_q8 = op_name == "musaic::linear_q8";
    if (is_q8) {
      inputs_ = {random(DType::kI8, {rows, k}), random(DType::kF32, {rows, k / 32}),
                 random(DType::kF32, {rows, k / 32})};
    } else {
      inputs_ = {random(DType::kF32, {rows, k})};
    }
    const size_t weight_index = inputs_.size();
    inputs_.push_back(random(dtype, {n, k}));
    inputs_.push_back({});
    outputs_ = {random(DType::kF32, {rows, n})};
    find_kernel(op_name);
    weight_bytes_ = inputs_[weight_index].bytes();
    if (kernel_->packing) pack(*kernel_->packing, inputs_[weight_index]);
  }

  void run() {
    kernel_->run({.inputs = inputs_,
                  .outputs = outputs_,
                  .workspace = {},
                  .attributes = attributes_,
                  .stream = backend_.stream()});
  }
  const std::string& kernel() const { return kernel_->name; }
  size_t weight_bytes() const { return weight_bytes_; }

 private:
  Tensor random(DType dtype, const Shape& shape) {
    memory_.push_back(backend_.allocate(byte_size(dtype, shape.elements()), "weights"));
    auto* bytes = static_cast<uint8_t*>(memory_.back()->data());
    std::mt19937 generator(1);
    // The top bit pair of a byte stays clear of the exponents that make an f16 or f32 infinite.
    for (size_t i = 0; i < memory_.back()->bytes(); ++i) bytes[i] = static_cast<uint8_t>(generator() & 0xBF);
    return Tensor::contiguous(bytes, dtype, shape);
  }

  static Meta meta_of(const Tensor& tensor) {
    DimShape shape(tensor.shape.begin(), tensor.shape.end());
    return Meta::contiguous(tensor.dtype, std::move(shape), Device{});
  }

  void find_kernel(const std::string& op_name) {
    std::vector<Meta> metas;
    for (const Tensor& input : inputs_) metas.push_back(meta_of(input));
    std::vector<const Meta*> pointers;
    for (size_t i = 0; i < inputs_.size(); ++i)
      pointers.push_back(inputs_[i].defined() ? &metas[i] : nullptr);
    const Meta output = meta_of(outputs_[0]);
    const std::vector<const Meta*> outputs = {&output};
    const KernelQuery query{pointers, outputs, attributes_, backend_.capabilities()};
    kernel_ = registry_.find_kernel(registry_.get(op_name), "cpu", query);
    CHECK(kernel_ != nullptr, "no kernel for {}", op_name);
  }

  void pack(const WeightPacking& packing, Tensor& weight) {
    const WeightRows rows{
        weight.dtype, weight.shape[0], weight.shape[1], {{weight.shape[0], weight.as<std::byte>()}}};
    weight_bytes_ = packing.bytes(rows.rows, rows.columns);
    memory_.push_back(backend_.allocate(weight_bytes_, "weights"));
    packing.pack(rows, 0, rows.rows, static_cast<std::byte*>(memory_.back()->data()));
    weight.data = memory_.back()->data();
  }

  CpuBackend& backend_;
  OpRegistry registry_;
  Attributes attributes_;
  std::vector<std::unique_ptr<DeviceMemory>> memory_;
  std::vector<Tensor> inputs_;
  std::vector<Tensor> outputs_;
  const Kernel* kernel_ = nullptr;
  size_t weight_bytes_ = 0;
};

void run_bench(benchmark::State& state, const std::string& op, DType dtype, const Shape2& shape, CpuIsa isa,
               int threads) {
  CpuBackend backend({.num_threads = threads, .isa = isa});
  const int64_t rows = state.range(0);
  BoundLinear linear(backend, op, dtype, rows, shape.n, shape.k);
  for (auto _ : state) linear.run();
  state.SetLabel(linear.kernel());
  const auto rate = [&](double amount) {
    return benchmark::Counter(amount * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  };
  state.counters["GOP/s"] = rate(2e-9 * static_cast<double>(rows * shape.n * shape.k));
  state.counters["GB/s"] = rate(1e-9 * static_cast<double>(linear.weight_bytes()));
}

void add(const std::string& op, DType dtype, const Shape2& shape, CpuIsa isa, int threads) {
  const std::string label = std::string(shape.name) + "/" + std::string(name(dtype)) + "/" +
                            op.substr(op.find(':') + 2) + "/" + std::string(name(isa)) +
                            "/threads:" + std::to_string(threads);
  auto* bench = benchmark::RegisterBenchmark(
      label.c_str(), [=](benchmark::State& state) { run_bench(state, op, dtype, shape, isa, threads); });
  bench->ArgName("rows")->Arg(1)->Arg(4)->Arg(16)->Arg(512);
  if (threads > 1) bench->UseRealTime();
}

void add_all() {
  const CpuIsa highest = detect_cpu_isa();
  const int all = available_cpus();
  for (int threads : {1, all}) {
    for (CpuIsa isa : {CpuIsa::kAvx2, std::min(highest, CpuIsa::kAvx512Vnni)}) {
      for (const Shape2& shape : kShapes) {
        const DType own = std::string_view(shape.name) == "head" ? DType::kQ8_0 : DType::kQ4_1;
        add("musaic::linear_q8", own, shape, isa, threads);
      }
      for (DType dtype : {DType::kQ4_0, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0})
        add("musaic::linear_q8", dtype, kShapes[2], isa, threads);
      for (DType dtype : {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K})
        add("musaic::linear_q8", dtype, {"3072x768", 3072, 768}, isa, threads);
      for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kQ4_1, DType::kQ8_0})
        add("aten::linear", dtype, kShapes[2], isa, threads);
    }
    if (all == 1) break;
  }
}

// As BENCHMARK() does for a single one.
[[maybe_unused]] const bool kRegistered = (add_all(), true);

}  // namespace
}  // namespace musaic
