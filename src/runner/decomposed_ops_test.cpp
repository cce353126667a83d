#include "runner/decomposed_ops.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/status.h"
#include "ops/op_list.h"
#include "weights/model_files.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSwiglu = "aten::_fused_swiglu_forward";

// A device that has every op but one.
class DecomposedOps : public testing::Test {
 protected:
  std::vector<std::string> decomposed_without(const std::string& missing) {
    define_ops(registry_);
    std::vector<std::string> names;
    for (const auto& [name, op] : registry_.ops()) {
      if (!op.is_view && name != missing) names.push_back(name);
    }
    for (const std::string& name : names)
      registry_.add_kernel(name, {.name = "test", .device_type = target_.device.type});
    const ModelFiles files = open_model(std::string(MUSAIC_TEST_DATA) + "/tiny/llama");
    const auto model = make_model(files.config, files.weights.get(), {});
    return decomposed_ops(trace_model_graphs(*model, target_, {}), target_);
  }

  std::string error_of(const std::vector<std::string>& decomposed, const std::vector<std::string>& allowed) {
    try {
      check_decomposed_ops(decomposed, allowed, target_);
    } catch (const LoadError& error) {
      return error.what();
    }
    return "";
  }

  OpRegistry registry_;
  Capabilities capabilities_;
  Target target_{registry_, {"musa", 0}, capabilities_};
};

TEST_F(DecomposedOps, AFusedOpWithoutKernelIsRefusedUnlessItIsNamed) {
  const auto decomposed = decomposed_without(kSwiglu);
  EXPECT_THAT(decomposed, ElementsAre(kSwiglu));
  EXPECT_THAT(error_of(decomposed, {}),
              HasSubstr("musa:0: the device has no kernel of " + std::string(kSwiglu)));
  EXPECT_THAT(error_of(decomposed, {"musaic::other"}), HasSubstr("--allow-decomposed-ops"));
  EXPECT_EQ(error_of(decomposed, {"musaic::other", kSwiglu}), "");
}

TEST_F(DecomposedOps, ADeviceThatHasAllHasNone) {
  EXPECT_THAT(decomposed_without(""), ElementsAre());
}

}  // namespace
}  // namespace musaic
