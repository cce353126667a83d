#include <gtest/gtest.h>

#include "ops/add/add.h"
#include "ops/latent_write/latent_write.h"
#include "ops/rms_norm/rms_norm.h"
#include "program/passes/pass_fixture_for_test.h"

namespace musaic {
namespace {

class FuseNormLatentWrite : public PassesTest {
 protected:
  FuseNormLatentWrite() {
    define_gpu_ops(registry_);
    names_.emplace_back("musaic::norm_latent_write");
  }

  // `shows`: the normed latent is an output too.
  Graph write(bool shows) {
    GraphBuilder builder(registry_, "g", {});
    const Dim tokens = Dim::symbol("tokens");
    const Value x = tokens_by(builder, "x", 48);
    const Value normed =
        rms_norm(tokens_by(builder, "latent", 32), builder.weight({"w"}, DType::kBF16, {32}), 1e-6);
    const auto [query, cache] =
        rope_latent_write({.query = add(x, x),
                           .latent = normed,
                           .rope_key = tokens_by(builder, "key", 8),
                           .cos_sin = tokens_by(builder, "cos_sin", 8),
                           .slots = builder.input("slots", DType::kI32, {tokens}),
                           .cache = builder.state("cache", DType::kBF16, {Dim::symbol("pages"), 1, 16, 40}),
                           .head_dim = 24});
    builder.output("query", query);
    if (shows) builder.output("normed", normed);
    return builder.take();
  }
};

TEST_F(FuseNormLatentWrite, TheWriteNormsItsLatent) {
  const Target target = target_without({});
  const Graph graph =
      run(run(write(/*shows=*/false), target, fuse_norm_latent_write), target, remove_dead_code);
  EXPECT_EQ(count(graph, "aten::rms_norm") + count(graph, "musaic::rope_latent_write"), 0);
  ASSERT_EQ(count(graph, "musaic::norm_latent_write"), 1);
  EXPECT_EQ(graph.nodes.back().attributes.get_float("eps"), 1e-6);
}

TEST_F(FuseNormLatentWrite, ALatentThatIsReadElsewhereKeepsItsNorm) {
  const Graph graph = run(write(/*shows=*/true), target_without({}), fuse_norm_latent_write);
  EXPECT_EQ(count(graph, "musaic::norm_latent_write"), 0);
}

TEST_F(FuseNormLatentWrite, ADeviceWithoutTheOpKeepsBoth) {
  const Graph graph =
      run(write(/*shows=*/false), target_without({"musaic::norm_latent_write"}), fuse_norm_latent_write);
  EXPECT_EQ(count(graph, "musaic::rope_latent_write"), 1);
}

}  // namespace
}  // namespace musaic
