#include "ops/testing/against_parts.h"

#include <gtest/gtest.h>

namespace musaic::testing {

void expect_outputs_of_parts(const OpRegistry& registry, GraphBuilder& builder, const std::string& op,
                             const std::vector<Value>& inputs, const Attributes& attributes) {
  const auto results = builder.call(op, inputs, attributes);
  const auto parts = registry.get(op).decomposition(builder, inputs, attributes);
  ASSERT_EQ(results.size(), parts.size()) << op;
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].meta(), parts[i].meta()) << op << " " << i;
}

void expect_fp8_rows_near(const OpRun& run, const OpRun& parts, int64_t rows) {
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<float> q = run.outputs[0].row(row), expected_q = parts.outputs[0].row(row);
    const std::vector<float> scale = run.outputs[1].row(row), expected_scale = parts.outputs[1].row(row);
    int different = 0;
    for (size_t i = 0; i < q.size(); ++i) {
      ASSERT_NEAR(q[i], expected_q[i], 32) << "row " << row << ", value " << i;
      different += q[i] != expected_q[i];
    }
    EXPECT_LE(different, static_cast<int>(q.size()) / 50) << "row " << row;
    for (size_t i = 0; i < scale.size(); ++i)
      EXPECT_NEAR(scale[i], expected_scale[i], 1e-4 * expected_scale[i]) << "row " << row;
  }
}

}  // namespace musaic::testing
