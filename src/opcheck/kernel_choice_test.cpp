#include "opcheck/kernel_choice.h"

#include <gmock/gmock.h>

#include "ir/op_sample.h"
#include "ir/registry.h"
#include "ops/op_list.h"

namespace musaic {
namespace {

using testing::Contains;
using testing::IsEmpty;

constexpr const char* kLinear = "aten::linear";

class KernelChoiceTest : public testing::Test {
 protected:
  KernelChoiceTest() { define_ops(registry_); }

  void add(const char* name, std::function<bool(const KernelQuery&)> supports) {
    registry_.add_kernel(kLinear, {.name = name, .device_type = "musa", .supports = std::move(supports)});
  }
  std::vector<KernelChoice> choices() {
    return choose_kernels(registry_.get(kLinear), {"musa", 0}, capabilities_);
  }

  OpRegistry registry_;
  Capabilities capabilities_;
};

TEST_F(KernelChoiceTest, EverySampleGoesToTheFirstKernelThatTakesIt) {
  add("of_bf16_gpu", [](const KernelQuery& query) { return query.inputs[1]->dtype == DType::kBF16; });
  add("of_others_musa", [](const KernelQuery& query) { return query.inputs[1]->dtype != DType::kF16; });
  const auto found = choices();
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].kernel->name, "of_bf16_gpu");
  EXPECT_THAT(found[0].dtypes, testing::ElementsAre("bf16"));
  EXPECT_EQ(found[0].behind, 0);
  EXPECT_EQ(found[1].kernel->name, "of_others_musa");
  EXPECT_THAT(found[1].dtypes, Contains("q8_0"));  // and bf16: a sample's name for its bias
  EXPECT_EQ(found[1].behind, 1);
  EXPECT_EQ(found[2].kernel, nullptr);
  EXPECT_THAT(found[2].dtypes, testing::ElementsAre("f16"));
  EXPECT_EQ(origin_of(*found[0].kernel), "the source that all GPU vendors share");
  EXPECT_EQ(origin_of(*found[1].kernel), "MUSA's own");
}

TEST_F(KernelChoiceTest, AKernelThatAsksForAFeatureIsTakenWhereTheDeviceHasIt) {
  add("fast", [](const KernelQuery& query) { return query.capabilities.has("mp_31"); });
  add("slow", {});
  EXPECT_EQ(choices()[0].samples, 0);
  EXPECT_GT(choices()[1].samples, 0);
  capabilities_.features.insert("mp_31");
  EXPECT_GT(choices()[0].samples, 0);
  EXPECT_EQ(choices()[1].samples, 0);
}

TEST_F(KernelChoiceTest, AKernelThatSharesAPackedWeightIsNobodysFirstChoice) {
  registry_.add_kernel(kLinear, {.name = "sharing",
                                 .device_type = "musa",
                                 .packing = WeightPacking{.layout = "panels", .shared_only = true}});
  add("plain", {});
  EXPECT_EQ(choices()[0].samples, 0);
  EXPECT_GT(choices()[1].samples, 0);
}

TEST_F(KernelChoiceTest, AViewNeedsNone) {
  EXPECT_THAT(choose_kernels(registry_.get("aten::slice"), {"musa", 0}, capabilities_), IsEmpty());
}

TEST_F(KernelChoiceTest, WithoutKernelsAllSamplesHaveNone) {
  const auto found = choices();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kernel, nullptr);
}

}  // namespace
}  // namespace musaic
