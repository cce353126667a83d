#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/op.h"
#include "ir/op_sample.h"

namespace musaic {

// One call of a kernel, to be run or checked. References outlive it.
struct CheckedCall {
  const OpDef& op;
  const Kernel& kernel;
  const OpSample& sample;
  const Attributes& attributes;              // with the defaults
  const std::vector<Meta>& outputs;          // as the fake gives them, dimensions are numbers
  const std::vector<bool>& output_has_rows;  // whether dimension 0 counts the op's rows
  std::optional<int32_t> live_rows;          // nullopt: every row is real
};

// What memory holds where no value is: outputs before a run, gaps, guards, the pad rows of floats. A result
// that differs between the two was read from there.
enum class Poison { kNaN, kLarge };

// The bytes of one call's tensors and number of live rows, behind one another with guards between, and what a
// kernel owes to each byte. Addresses are offsets until a base is given.
class CallImage {
 public:
  // kKeep: not a byte of the kernel's. kMutate: may change, by the inputs alone. kWrite: must be written.
  // kMayWrite: written by the inputs alone, or left.
  enum class Duty : uint8_t { kKeep, kMutate, kWrite, kMayWrite };

  explicit CallImage(const CheckedCall& call);

  size_t bytes() const { return duties_.size(); }
  Duty duty(size_t at) const { return duties_[at]; }
  // The memory before a run.
  std::vector<std::byte> before(Poison poison) const;
  // The same with every input zero and no live row: what a kernel sees while it is enqueued into a capture.
  std::vector<std::byte> without_data() const;
  // "output 0, row 3 (a pad row)", "the memory behind input `x`".
  std::string place(size_t at) const;

  // Addresses from `base` on.
  std::vector<Tensor> inputs(std::byte* base) const { return tensors(base, inputs_); }
  std::vector<Tensor> outputs(std::byte* base) const { return tensors(base, outputs_); }
  const int32_t* live_rows(std::byte* base) const;
  // What a run left. An input that the kernel reads packed is as it was.
  std::vector<HostTensor> inputs_after(const std::vector<std::byte>& memory) const;
  std::vector<HostTensor> outputs_after(const std::vector<std::byte>& memory) const;

 private:
  struct Slot {
    std::string name;
    Tensor tensor;  // no address
    size_t begin = 0;
    size_t bytes = 0;
    int64_t live_rows = 0;              // of dimension 0
    const std::byte* source = nullptr;  // its values; nullptr: poison
    bool is_packed = false;
  };

  Slot& add_slot(std::vector<Slot>& slots, std::string name, const Tensor& tensor, size_t bytes);
  void add_input(const CheckedCall& call, size_t index);
  void add_output(const CheckedCall& call, size_t index);
  void pack(const CheckedCall& call, Slot& slot);
  void set_duty(const Slot& slot, Duty duty);
  void fill(const Slot& slot, Poison poison, std::vector<std::byte>& memory) const;
  static std::vector<Tensor> tensors(std::byte* base, const std::vector<Slot>& slots);

  const OpSample& sample_;
  std::vector<Slot> inputs_;
  std::vector<Slot> outputs_;
  std::vector<Duty> duties_;
  std::vector<std::byte> packed_weight_;
  std::optional<int32_t> live_rows_;
  size_t live_rows_at_ = 0;
};

}  // namespace musaic
