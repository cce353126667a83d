#include "opcheck/kernel_choice.h"

#include <algorithm>
#include <regex>

#include "opcheck/check_fake.h"
#include "opcheck/sample_calls.h"

namespace musaic {
namespace {

// The sample's call as a device's kernels are asked for it.
class SampleQuery {
 public:
  SampleQuery(const OpDef& op, const OpSample& sample, const Device& device)
      : inputs_(static_cast<size_t>(op.schema.num_tensors())),
        attributes_(complete_attributes(op.schema, sample.attributes)) {
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const bool has = i < sample.inputs.size() && sample.inputs[i].tensor.defined();
      if (has) inputs_[i] = sample.inputs[i].tensor.meta();
      inputs_[i].device = device;
      input_pointers_.push_back(has ? &inputs_[i] : nullptr);
    }
    fakes_ = op.fake({op.schema, input_pointers_, attributes_});
    for (const FakeOutput& fake : fakes_) output_pointers_.push_back(&fake.meta);
  }
  SampleQuery(const SampleQuery&) = delete;
  SampleQuery& operator=(const SampleQuery&) = delete;

  KernelQuery query(const Capabilities& capabilities) const {
    return {input_pointers_, output_pointers_, attributes_, capabilities};
  }

 private:
  std::vector<Meta> inputs_;
  std::vector<const Meta*> input_pointers_;
  const Attributes attributes_;
  std::vector<FakeOutput> fakes_;
  std::vector<const Meta*> output_pointers_;
};

}  // namespace

std::vector<KernelChoice> choose_kernels(const OpDef& op, const Device& device,
                                         const Capabilities& capabilities) {
  if (op.is_view || !op.fake || !op.samples) return {};
  std::vector<KernelChoice> choices;
  for (const Kernel& kernel : op.kernels) {
    if (kernel.device_type == device.type)
      choices.push_back({.kernel = &kernel, .behind = static_cast<int>(choices.size())});
  }
  choices.push_back({});
  for (const OpSample& sample : op.samples()) {
    const SampleQuery call(op, sample, device);
    const auto takes = [&](const KernelChoice& choice) {
      if (choice.kernel == nullptr) return true;
      if (choice.kernel->is_shared_only()) return false;
      return !choice.kernel->supports || choice.kernel->supports(call.query(capabilities));
    };
    KernelChoice& taken = *std::find_if(choices.begin(), choices.end(), takes);
    ++taken.samples;
    taken.dtypes.insert(dtype_of(sample));
  }
  if (choices.back().samples == 0) choices.pop_back();
  return choices;
}

std::string origin_of(const Kernel& kernel) {
  static const std::regex kNvidia("_sm[0-9]+");
  if (kernel.name.ends_with("_musa_shim")) return "the CPU's kernel, behind the stand-in for MUSA";
  if (kernel.name.ends_with("_musa")) return "MUSA's own";
  if (std::regex_search(kernel.name, kNvidia)) return "NVIDIA's own";
  if (kernel.name.ends_with("_gpu")) return "the source that all GPU vendors share";
  return "";
}

}  // namespace musaic
