#include "opcheck/check_fake.h"

#include <fmt/format.h>

#include "base/status.h"

namespace musaic {
namespace {

constexpr const char* kRows = "rows";

// The sample's tensor arguments as metas on a device.
class SampleMetas {
 public:
  SampleMetas(const OpDef& op, const OpSample& sample, const Device& device)
      : metas_(static_cast<size_t>(op.schema.num_tensors())) {
    for (size_t i = 0; i < metas_.size(); ++i) {
      const bool has = i < sample.inputs.size() && sample.inputs[i].tensor.defined();
      if (has) metas_[i] = sample.inputs[i].tensor.meta();
      metas_[i].device = device;
      pointers_.push_back(has ? &metas_[i] : nullptr);
    }
  }
  SampleMetas(const SampleMetas&) = delete;
  SampleMetas& operator=(const SampleMetas&) = delete;

  // Dimension 0 becomes a symbol, and the stride that equals it where rows lie next to each other.
  void make_symbolic(const OpSample& sample) {
    for (size_t i = 0; i < sample.inputs.size(); ++i) {
      if (!sample.inputs[i].has_rows || pointers_[i] == nullptr) continue;
      Meta& meta = metas_[i];
      if (!meta.has_dense_rows() && meta.strides[0] == Dim(1) && meta.strides[1] == meta.shape[0])
        meta.strides[1] = Dim::symbol(kRows);
      meta.shape[0] = Dim::symbol(kRows);
    }
  }
  std::span<const Meta* const> pointers() const { return pointers_; }

 private:
  std::vector<Meta> metas_;
  std::vector<const Meta*> pointers_;
};

Meta stated(const SampleOutput& output, const Device& device) {
  const Shape strides = output.strides.rank() == 0 ? output.shape.contiguous_strides() : output.strides;
  return {output.dtype, {output.shape.begin(), output.shape.end()}, {strides.begin(), strides.end()}, device};
}

Meta evaluate(const Meta& meta, const DimBindings& bindings) {
  Meta out = meta;
  for (Dim& dim : out.shape) dim = dim.evaluate(bindings);
  for (Dim& dim : out.strides) dim = dim.evaluate(bindings);
  return out;
}

// What an output shares memory with, in words: by the fake, by the schema.
std::string sharing(const OpDef& op, const FakeOutput& output) {
  const auto arguments = op.schema.tensors();
  if (output.view_of < 0) return "new memory";
  if (output.view_of >= static_cast<int>(arguments.size())) return "a view of no argument";
  const SchemaArgument& argument = *arguments[static_cast<size_t>(output.view_of)];
  if (argument.alias.empty()) return "a view of `" + argument.name + "`, which has no alias";
  return "a view of alias " + argument.alias;
}

std::string sharing(const SchemaReturn& output) {
  return output.alias.empty() ? "new memory" : "a view of alias " + output.alias;
}

void compare(const OpDef& op, const OpSample& sample, const std::vector<FakeOutput>& outputs,
             const Device& device, const DimBindings& bindings, std::vector<std::string>& problems) {
  if (outputs.size() != op.schema.returns.size() || outputs.size() != sample.outputs.size()) {
    problems.push_back(fmt::format("the fake gives {} outputs, the schema {}, the sample {}", outputs.size(),
                                   op.schema.returns.size(), sample.outputs.size()));
    return;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Meta expected = stated(sample.outputs[i], device);
    const Meta got = evaluate(outputs[i].meta, bindings);
    if (got != expected)
      problems.push_back(
          fmt::format("the fake gives output {} as {}, it is {}", i, to_string(got), to_string(expected)));
    if (sharing(op, outputs[i]) != sharing(op.schema.returns[i]))
      problems.push_back(fmt::format("the fake makes output {} {}, the schema {}", i, sharing(op, outputs[i]),
                                     sharing(op.schema.returns[i])));
    const int64_t offset = outputs[i].view_offset.evaluate(bindings);
    if (offset != sample.outputs[i].offset)
      problems.push_back(fmt::format("the fake puts output {} at value {} of its base, it is at {}", i,
                                     offset, sample.outputs[i].offset));
  }
}

// The number of rows; -1: inputs disagree.
int64_t rows_of(const OpSample& sample) {
  int64_t rows = 0;
  bool known = false;
  for (const SampleInput& input : sample.inputs) {
    if (!input.has_rows || !input.tensor.defined()) continue;
    const int64_t own = input.tensor.tensor().shape[0];
    if (known && own != rows) return -1;
    rows = own;
    known = true;
  }
  return rows;
}

bool counts_rows(const Meta& meta) {
  return meta.rank() > 0 && meta.shape[0].symbol_name() == kRows;
}

}  // namespace

Attributes complete_attributes(const Schema& schema, const Attributes& given) {
  Attributes out = given;
  for (const SchemaArgument& argument : schema.arguments) {
    if (argument.default_value && argument.type != SchemaType::kTensor && !out.contains(argument.name))
      out.set(argument.name, *argument.default_value);
  }
  return out;
}

FakeCheck check_fake(const OpDef& op, const OpSample& sample, const Device& device) {
  FakeCheck result;
  const Attributes attributes = complete_attributes(op.schema, sample.attributes);
  const int64_t rows = rows_of(sample);
  if (!op.fake || rows < 0 || attribute_problem(op.schema, attributes)) {
    result.problems.push_back(!op.fake   ? "the op has no fake"
                              : rows < 0 ? "the sample's inputs disagree about the number of rows"
                                         : *attribute_problem(op.schema, attributes));
    return result;
  }
  const Device made_up{"made_up", 7};
  try {
    const SampleMetas metas(op, sample, device);
    result.outputs = op.fake({op.schema, metas.pointers(), attributes});
    compare(op, sample, result.outputs, device, {}, result.problems);
    SampleMetas symbolic(op, sample, made_up);
    symbolic.make_symbolic(sample);
    const auto outputs = op.fake({op.schema, symbolic.pointers(), attributes});
    if (result.problems.empty()) compare(op, sample, outputs, made_up, {{kRows, rows}}, result.problems);
    for (const FakeOutput& output : outputs) result.has_rows.push_back(counts_rows(output.meta));
    result.has_rows.resize(result.outputs.size());
  } catch (const LoadError& error) {
    result.problems.push_back(fmt::format("the fake refuses the sample: {}", error.what()));
  }
  return result;
}

}  // namespace musaic
