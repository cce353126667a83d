#include "runner/io_buffers.h"

#include <gtest/gtest.h>

#include "backends/simulated/simulated_backend.h"

namespace musaic {
namespace {

GraphValue leaf(const std::string& name, ValueKind kind, int id, int64_t elements) {
  return {.name = name,
          .kind = kind,
          .meta = Meta::contiguous(DType::kI32, {elements}, {"simulated", 0}),
          .storage = id};
}

// Its outputs are made by a node each.
Graph graph_of(const std::vector<std::pair<std::string, int64_t>>& inputs,
               const std::vector<std::pair<std::string, int64_t>>& outputs) {
  Graph graph;
  for (const auto& [name, elements] : inputs)
    graph.values.push_back(leaf(name, ValueKind::kInput, static_cast<int>(graph.values.size()), elements));
  for (const auto& [name, elements] : outputs) {
    graph.outputs.emplace_back(name, static_cast<int>(graph.values.size()));
    graph.values.push_back(leaf("", ValueKind::kNode, static_cast<int>(graph.values.size()), elements));
  }
  return graph;
}

class IoBuffersTest : public testing::Test {
 protected:
  IoBuffersTest() {
    buffers_.add(graph_of({{"ids", 100}, {"count", 1}}, {{"hidden", 8}}), {});
    buffers_.add(graph_of({{"rows", 4}, {"hidden", 6}, {"bias", 50}}, {{"token", 4}}), {});
    buffers_.allocate();
  }

  std::vector<int32_t> read(const char* name, size_t count) {
    std::vector<int32_t> values(count);
    device_.copy_to_host(values.data(), buffers_.get<void>(name), count * sizeof(int32_t), device_.stream());
    return values;
  }
  void write(const char* name, const std::vector<int32_t>& values, size_t first = 0) {
    buffers_.write(name, std::span<const int32_t>(values), first);
  }

  SimulatedBackend device_{{.num_threads = 1, .isa = std::nullopt}};
  IoBuffers buffers_{device_};
};

TEST_F(IoBuffersTest, BringsWhatWasWrittenOverAtTheUpload) {
  write("ids", {1, 2, 3});
  write("count", {3});
  EXPECT_EQ(read("ids", 3), (std::vector<int32_t>{0, 0, 0}));
  buffers_.upload();
  EXPECT_EQ(read("ids", 4), (std::vector<int32_t>{1, 2, 3, 0}));
  EXPECT_EQ(read("count", 1), std::vector<int32_t>{3});
  write("ids", {7}, 2);
  buffers_.upload();
  EXPECT_EQ(read("ids", 4), (std::vector<int32_t>{1, 2, 7, 0}));
}

TEST_F(IoBuffersTest, LeavesWhatAProgramWroteAlone) {
  const std::vector<int32_t> made = {9, 8, 7, 6, 5, 4, 3, 2};
  device_.copy_to_device(buffers_.get<void>("hidden"), made.data(), made.size() * sizeof(int32_t),
                         device_.stream());
  write("rows", {1, 1, 1, 1});
  write("bias", std::vector<int32_t>(50, 2));
  buffers_.upload();
  EXPECT_EQ(read("hidden", 8), made);
  EXPECT_EQ(read("bias", 50), std::vector<int32_t>(50, 2));
}

TEST_F(IoBuffersTest, AnUploadBringsWhatWasWrittenAndNoMore) {
  write("count", {3});
  write("ids", {1, 2, 3});
  const size_t before = device_.copied_to_device_bytes();
  buffers_.upload();
  EXPECT_EQ(device_.copied_to_device_bytes() - before, 4 * sizeof(int32_t));
  buffers_.upload();
  EXPECT_EQ(device_.copied_to_device_bytes() - before, 4 * sizeof(int32_t)) << "nothing was new";
}

TEST(IoBuffers, AGraphWithAPrefixHasInputsOfItsOwnAndSharesAllElse) {
  SimulatedBackend device({.num_threads = 1, .isa = std::nullopt});
  IoBuffers buffers(device);
  buffers.add(graph_of({{"ids", 100}, {"count", 1}}, {{"token", 8}}), {});
  buffers.add(graph_of({{"ids", 4}, {"count", 1}}, {{"token", 4}}), {}, "decode.");
  buffers.allocate();
  const AddressBook shared = buffers.addresses();
  const AddressBook own = buffers.addresses("decode.");
  EXPECT_EQ(own.at("token"), shared.at("token"));
  EXPECT_NE(own.at("ids"), shared.at("ids"));
  EXPECT_EQ(own.at("ids"), buffers.get<void>("decode.ids"));
  const std::vector<int32_t> ids = {1, 2, 3, 4};
  const std::vector<int32_t> count = {4};
  buffers.write("decode.ids", std::span<const int32_t>(ids));
  buffers.write("decode.count", std::span<const int32_t>(count));
  const size_t before = device.copied_to_device_bytes();
  buffers.upload();
  EXPECT_EQ(device.copied_to_device_bytes() - before, 5 * sizeof(int32_t));
}

}  // namespace
}  // namespace musaic
