#include "ir/registry.h"

#include <gmock/gmock.h>

#include <array>
#include <functional>

#include "base/status.h"
#include "ir/toy_ops_for_test.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void run_nothing(const KernelCall&) {}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const LoadError& error) {
    return error.what();
  }
  return "";
}

std::string define_error(OpRegistry& registry, std::string_view schema, OpDef op) {
  return error_of([&] { registry.define(schema, std::move(op)); });
}

TEST(Registry, FindsByTheSchemasName) {
  OpRegistry registry;
  define_toy_ops(registry);
  EXPECT_EQ(registry.get("toy::copy").schema.returns.size(), 1u);
  EXPECT_EQ(registry.find("toy::copi"), nullptr);
  EXPECT_EQ(registry.ops().size(), 5u);
}

TEST(Registry, RefusesABadSchemaAndATakenName) {
  OpRegistry registry;
  define_toy_ops(registry);
  EXPECT_EQ(define_error(registry, "toy::copy(Tensor x) -> Tensor", {.schema = {}, .fake = fake_like_first}),
            "toy::copy: is already registered");
  EXPECT_NE(
      define_error(registry, "toy::new(Tensor x", {.schema = {}, .fake = fake_like_first}).find("toy::new"),
      std::string::npos);
  EXPECT_EQ(
      define_error(registry, "toy::new(Tensor x) -> Tensor", {.is_view = true}),
      "toy::new: a view op writes nothing and gives views only, this one is toy::new(Tensor x) -> Tensor");
  EXPECT_EQ(registry.find("toy::new"), nullptr);
}

TEST(Registry, AFakeIsAttachedOnlyWhereTheOpIsDefined) {
  OpRegistry registry;
  registry.define("toy::late(Tensor x) -> Tensor", {});
  EXPECT_FALSE(registry.register_fake_if_exists("toy::absent", fake_like_first));
  EXPECT_EQ(registry.find("toy::absent"), nullptr);
  EXPECT_THAT(registry.missing_fakes(), ElementsAre("toy::late"));
  EXPECT_TRUE(registry.register_fake_if_exists("toy::late", fake_like_first));
  EXPECT_TRUE(registry.get("toy::late").fake);
  EXPECT_THAT(registry.missing_fakes(), IsEmpty());
  EXPECT_EQ(error_of([&] { registry.register_fake_if_exists("toy::late", fake_like_first); }),
            "toy::late: has a fake kernel already");
}

TEST(Registry, OpsWithoutAFakeAreNamedBeforeAnythingIsTraced) {
  OpRegistry registry;
  define_toy_ops(registry);
  EXPECT_EQ(error_of([&] { require_fakes(registry); }), "");
  registry.define("toy::late(Tensor x) -> Tensor", {});
  EXPECT_EQ(error_of([&] { require_fakes(registry); }),
            "toy::late: no fake kernel, so a graph cannot be traced; whoever defines the op must add one");
  registry.define("toy::later(Tensor x) -> Tensor", {});
  EXPECT_EQ(error_of([&] { require_fakes(registry); }),
            "toy::late, toy::later: no fake kernel, so a graph cannot be traced; whoever defines these ops "
            "must add one");
}

TEST(Registry, TheFirstKernelOfTheDeviceWhosePredicateHoldsIsTaken) {
  OpRegistry registry;
  define_toy_ops(registry);
  registry.add_kernel("toy::copy", {.name = "other", .device_type = "musa", .run = run_nothing});
  const auto is_f16 = [](const KernelQuery& query) { return query.inputs[0]->dtype == DType::kF16; };
  registry.add_kernel("toy::copy",
                      {.name = "half", .device_type = "cpu", .supports = is_f16, .run = run_nothing});
  registry.add_kernel("toy::copy", {.name = "any", .device_type = "cpu", .run = run_nothing});
  registry.add_kernel("toy::copy", {.name = "late", .device_type = "cpu", .run = run_nothing});

  const OpDef& op = registry.get("toy::copy");
  const Capabilities capabilities;
  const Attributes attributes;
  const auto kernel_for = [&](DType dtype, std::string_view device) {
    const Meta meta = Meta::contiguous(dtype, {4}, {});
    const std::array<const Meta*, 1> metas = {&meta};
    const Kernel* kernel = registry.find_kernel(op, device, {metas, metas, attributes, capabilities});
    return kernel ? kernel->name : "none";
  };
  EXPECT_EQ(kernel_for(DType::kF16, "cpu"), "half");
  EXPECT_EQ(kernel_for(DType::kF32, "cpu"), "any");
  EXPECT_EQ(kernel_for(DType::kF32, "musa"), "other");
  EXPECT_EQ(kernel_for(DType::kF32, "cuda"), "none");

  registry.prefer_kernel("toy::copy",
                         {.name = "preferred", .device_type = "cpu", .supports = is_f16, .run = run_nothing});
  EXPECT_EQ(kernel_for(DType::kF16, "cpu"), "preferred");
  EXPECT_EQ(kernel_for(DType::kF32, "cpu"), "any");
}

TEST(RegistryDeathTest, AnUnknownOpIsNamed) {
  OpRegistry registry;
  EXPECT_DEATH(registry.get("toy::copy"), "unknown op toy::copy");
  EXPECT_DEATH(registry.add_kernel("toy::copy", {.name = "k", .device_type = "cpu"}),
               "kernel k for the unknown op toy::copy");
}

TEST(WeightRows, ReadAcrossTheBordersOfTheirParts) {
  const std::array<float, 4> first = {0, 1, 2, 3};
  const std::array<float, 6> second = {10, 11, 12, 13, 14, 15};
  const WeightRows rows{.dtype = DType::kF32,
                        .rows = 5,
                        .columns = 2,
                        .parts = {{2, reinterpret_cast<const std::byte*>(first.data())},
                                  {3, reinterpret_cast<const std::byte*>(second.data())}}};
  const auto first_value = [&](int64_t row) { return *reinterpret_cast<const float*>(rows.row(row)); };
  EXPECT_EQ(first_value(0), 0);
  EXPECT_EQ(first_value(1), 2);
  EXPECT_EQ(first_value(2), 10);
  EXPECT_EQ(first_value(4), 14);
  EXPECT_DEATH(rows.row(5), "row 5 of 5");
}

}  // namespace
}  // namespace musaic
