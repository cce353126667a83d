#pragma once

#include <string>
#include <vector>

#include "ir/op.h"
#include "ir/op_sample.h"

namespace musaic {

struct FakeCheck {
  std::vector<std::string> problems;  // one sentence each; empty: the fake tells the truth
  // What the fake gives for the sample's numbers; empty where it failed.
  std::vector<FakeOutput> outputs;
  std::vector<bool> has_rows;  // whether dimension 0 of an output counts the op's rows
};

// Attributes with the schema's defaults.
Attributes complete_attributes(const Schema& schema, const Attributes& given);

// Runs the fake on the sample's numbers, and again with a symbol for the number of rows on a made-up device:
// number of outputs, dtype, shape, strides, device and aliasing must be what sample and schema say.
FakeCheck check_fake(const OpDef& op, const OpSample& sample, const Device& device);

}  // namespace musaic
