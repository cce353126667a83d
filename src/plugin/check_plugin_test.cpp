// A plugin's ops under opcheck: the true ones pass, every lie is caught.
#include <gmock/gmock.h>

#include "backends/cpu/cpu_backend.h"
#include "opcheck/opcheck.h"
#include "plugin/fixtures_for_test.h"

namespace musaic {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// What opcheck says of one op on the cpu, and how many cases it ran.
OpCheckResult check(const std::string& plugin, const std::string& op) {
  OpRegistry registry = builtin_registry();
  load_fixture(plugin, registry);
  CpuBackend backend({.num_threads = 3});
  CpuBackend one_thread({.num_threads = 1});
  OpChecks checks(registry, {op});
  checks.run(backend, &one_thread, "");
  const auto results = checks.results();
  EXPECT_EQ(results.size(), 1u) << op;
  return results.empty() ? OpCheckResult{} : results[0];
}

TEST(CheckPlugin, TheExamplesOpsKeepTheirContracts) {
  for (const char* op : {"example::scaled_add", "example::clamp_"}) {
    const OpCheckResult result = check("example", op);
    EXPECT_THAT(result.failures, IsEmpty()) << op;
    EXPECT_GE(result.cases, 4) << op;
    EXPECT_EQ(result.kernels.size(), 1u) << op;
  }
}

TEST(CheckPlugin, AnOpThatTellsTheTruthPasses) {
  EXPECT_THAT(check("liar", "liar::nothing").failures, IsEmpty());
}

struct Lie {
  const char* op;
  const char* caught;
};

class LieTest : public testing::TestWithParam<Lie> {};

TEST_P(LieTest, IsCaught) {
  EXPECT_THAT(check("liar", GetParam().op).failures, Contains(HasSubstr(GetParam().caught)));
}

INSTANTIATE_TEST_SUITE_P(Each, LieTest,
                         testing::Values(Lie{"liar::shape", "[5, 16]"},
                                         Lie{"liar::pad_rows", "pad row 2, which it must leave alone"},
                                         Lie{"liar::input", "input `x`"}, Lie{"liar::late_count", "replay"}),
                         [](const auto& info) { return "Number" + std::to_string(info.index); });

}  // namespace
}  // namespace musaic
