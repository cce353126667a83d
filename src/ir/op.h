#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "device/backend.h"
#include "ir/attributes.h"
#include "ir/cost.h"
#include "ir/schema.h"
#include "tensor/meta.h"
#include "tensor/tensor.h"

namespace musaic {

class GraphBuilder;
class Value;
struct OpSample;

// What a fake kernel sees: the tensor arguments' metas in schema order (nullptr: absent optional).
struct FakeCall {
  const Schema& schema;
  std::span<const Meta* const> inputs;
  const Attributes& attributes;

  // REQUIRES: the argument is not an absent optional.
  const Meta& input(int index) const { return *inputs[index]; }
  bool has(int index) const { return index < static_cast<int>(inputs.size()) && inputs[index] != nullptr; }
};

struct FakeOutput {
  Meta meta;
  int view_of = -1;     // index of the tensor argument that it is a view of
  Dim view_offset = 0;  // in values of the base
};

// Shape, dtype, device and aliasing of the outputs from those of the inputs, reading no data. A wrong
// argument is a LoadError: "op: argument has ..., expected ...". A function object: a plugin's carries its
// own.
using Fake = std::function<std::vector<FakeOutput>(const FakeCall& call)>;

// What a kernel's predicate sees.
struct KernelQuery {
  std::span<const Meta* const> inputs;  // nullptr: absent
  std::span<const Meta* const> outputs;
  const Attributes& attributes;
  const Capabilities& capabilities;
};

// One bound call: addresses, shapes and strides are final. In a captured program they stay valid for every
// replay.
struct KernelCall {
  std::span<const Tensor> inputs;  // schema order; undefined tensor: absent
  std::span<const Tensor> outputs;
  Tensor workspace;  // u8, as many bytes as the kernel asked for
  const Attributes& attributes;
  // How many leading rows are real; pad rows follow. On the device: read it when the work runs, never when it
  // is enqueued. nullptr: all rows are real.
  const int32_t* live_rows = nullptr;
  Stream& stream;
};

// Rows of a weight, possibly merged from several tensors stacked along dimension 0.
struct WeightRows {
  struct Part {
    int64_t rows;
    const std::byte* data;
  };
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<Part> parts;

  size_t row_bytes() const { return byte_size(dtype, columns); }
  const std::byte* row(int64_t index) const;
};

// How a kernel wants a weight laid out. Kernels that name the same layout share the packed copy.
struct WeightPacking {
  int input = 1;           // the tensor argument that is repacked
  std::string layout;      // "q4_1_x16"
  int row_alignment = 16;  // pack is called for row ranges that begin at multiples of it
  size_t (*bytes)(int64_t rows, int64_t columns) = nullptr;
  // The kernel is taken only for a weight that another one has packed so: it reads that copy, and the device
  // takes another kernel where there is none.
  bool shared_only = false;
  // Packs rows [begin, end) of the source into `packed` (the start of the whole buffer, 64-byte aligned).
  // Called from several threads for disjoint ranges.
  void (*pack)(const WeightRows& source, int64_t begin, int64_t end, std::byte* packed) = nullptr;
};

// One way to run an op on a device type. The first entry whose predicate holds is taken; ahead of it one that
// shares a packed weight (WeightPacking::shared_only).
struct Kernel {
  std::string name;                                              // "linear_q4_1_vnni"
  std::string device_type;                                       // "cpu"
  std::function<bool(const KernelQuery& query)> supports;        // empty: always
  std::function<void(const KernelCall& call)> run;               // enqueues; never allocates
  std::function<Dim(const KernelQuery& query)> workspace_bytes;  // empty: none
  std::optional<WeightPacking> packing;

  bool is_shared_only() const { return packing && packing->shared_only; }
};

// The op in simpler ops: reference of its test, proof of the fusion pass, path of a device that lacks the op.
using Decomposition = std::vector<Value> (*)(GraphBuilder& builder, std::span<const Value> inputs,
                                             const Attributes& attributes);

// Calls to check the op with: 0, 1 and odd numbers of rows, gaps between rows where it takes them, every
// dtype of its kernels, attributes (ir/op_sample.h). They are the same at every call.
using Samples = std::function<std::vector<OpSample>()>;

struct OpDef {
  Schema schema;
  Fake fake;  // empty: not given yet; the op cannot be traced
  std::vector<Kernel> kernels;
  Decomposition decomposition = nullptr;  // fused ops only
  Samples samples;                        // mandatory for built-in ops
  bool is_break = false;                  // runs between captured pieces of an extend program
  bool is_view = false;                   // no kernel: the output is an address inside an input
  const char* break_reason = nullptr;     // of a break, in a sentence's words
  CostFunction cost = nullptr;            // nullptr: as CostFunction says of a plain call
};

}  // namespace musaic
