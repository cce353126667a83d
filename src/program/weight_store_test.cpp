#include "program/weight_store.h"

#include <gmock/gmock.h>

#include <atomic>
#include <cstring>
#include <map>
#include <numeric>

#include "base/status.h"
#include "ir/builder.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Memory of this process; `reads_host` says whether kernels may read other memory of it.
class HostBackend : public Backend {
 public:
  explicit HostBackend(bool reads_host) : reads_host_(reads_host) {}
  const Device& device() const override { return device_; }
  const Capabilities& capabilities() const override { return capabilities_; }
  bool reads_host_memory() const override { return reads_host_; }
  std::unique_ptr<DeviceMemory> allocate(size_t bytes, const std::string& purpose) override {
    purposes_.push_back(purpose);
    return std::make_unique<Memory>(bytes);
  }
  Stream& stream() override { return stream_; }
  void begin_capture(Stream&) override {}
  std::unique_ptr<CapturedGraph> end_capture(Stream&) override { return nullptr; }
  void copy_to_device(void* destination, const void* source, size_t bytes, Stream&) override {
    EXPECT_FALSE(reads_host_) << "a copy that could have been spared";
    std::memcpy(destination, source, bytes);
    copied_bytes_ += bytes;
    largest_piece_ = std::max(largest_piece_, bytes);
  }
  void copy_to_host(void*, const void*, size_t, Stream&) override {}
  void zero(void*, size_t, Stream&) override {}
  void name_next(const char*) override {}
  const std::vector<std::string>& purposes() const { return purposes_; }
  size_t copied_bytes() const { return copied_bytes_; }
  size_t largest_piece() const { return largest_piece_; }

 private:
  class Memory : public DeviceMemory {
   public:
    explicit Memory(size_t bytes) : bytes_(bytes) {}
    void* data() const override { return const_cast<std::byte*>(bytes_.data()); }
    size_t bytes() const override { return bytes_.size(); }

   private:
    std::vector<std::byte> bytes_;
  };
  class NoStream : public Stream {
    void synchronize() override {}
  };

  bool reads_host_;
  Device device_;
  Capabilities capabilities_;
  NoStream stream_;
  std::vector<std::string> purposes_;
  size_t copied_bytes_ = 0;
  size_t largest_piece_ = 0;
};

constexpr int64_t kColumns = 24;       // bytes of a row
constexpr int64_t kMappedRows = 3000;  // of a weight that is not copied for being small

size_t packed_bytes(int64_t rows, int64_t columns) {
  return static_cast<size_t>(rows * columns);
}

// Rows stand in reverse byte order, each byte added to what lies there: a row packed twice would show.
void pack_reversed(const WeightRows& source, int64_t begin, int64_t end, std::byte* packed) {
  EXPECT_EQ(begin % 16, 0);
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t i = 0; i < source.columns; ++i) {
      std::byte& to = packed[row * source.columns + i];
      to =
          std::byte(std::to_integer<int>(to) + std::to_integer<int>(source.row(row)[source.columns - 1 - i]));
    }
  }
}

// Rows stand in the opposite order.
void pack_upside_down(const WeightRows& source, int64_t begin, int64_t end, std::byte* packed) {
  for (int64_t row = begin; row < end; ++row)
    std::memcpy(packed + (source.rows - 1 - row) * source.columns, source.row(row), source.columns);
}

std::vector<FakeOutput> fake_like_first(const FakeCall& call) {
  return {{.meta = call.input(0)}};
}

// Weights of bytes in memory, and a graph whose nodes read them through kernels of several layouts.
class WeightStoreTest : public testing::Test {
 protected:
  WeightStoreTest() {
    registry_.define("test::read(Tensor x, Tensor weight) -> Tensor",
                     {.schema = {}, .fake = fake_like_first});
    x_ = builder_.input("x", DType::kF32, {1});
  }

  void add_tensor(const std::string& name, int64_t rows) {
    std::vector<std::byte> bytes(static_cast<size_t>(rows * kColumns));
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = std::byte((i * 7 + tensors_.size() * 31 + i / 251) % 256);
    tensors_[name] = std::move(bytes);
  }

  // A node that reads the stacked tensors with the kernel.
  GraphValue read(const std::vector<std::string>& parts, const Kernel& kernel) {
    int64_t rows = 0;
    for (const std::string& part : parts) rows += static_cast<int64_t>(tensors_.at(part).size()) / kColumns;
    const Value weight = builder_.weight(parts, DType::kU8, {rows, kColumns});
    builder_.call("test::read", {x_, weight});
    plan_.nodes.push_back({.node = static_cast<int>(plan_.nodes.size()), .kernel = &kernel});
    return builder_.graph().values[weight.id()];
  }

  WeightReader reader() {
    return {.read = [this](const GraphValue& weight) { return rows_of(weight); },
            .release = [this](const GraphValue& weight) { released_.push_back(weight.name); }};
  }

  WeightRows rows_of(const GraphValue& weight) const {
    WeightRows rows{.dtype = DType::kU8, .rows = 0, .columns = kColumns, .parts = {}};
    for (const std::string& part : weight.weight_parts) {
      const auto found = tensors_.find(part);
      if (found == tensors_.end()) fail_load("{} is missing", part);
      rows.parts.push_back({static_cast<int64_t>(found->second.size()) / kColumns, found->second.data()});
      rows.rows += rows.parts.back().rows;
    }
    return rows;
  }

  void load(WeightStore& store, int num_threads = 1, const LoadProgress& progress = {}) {
    store.request(builder_.graph(), plan_);
    store.load(reader(), num_threads, progress);
  }

  std::vector<std::byte> bytes_at(const void* address, size_t count) const {
    const auto* bytes = static_cast<const std::byte*>(address);
    return {bytes, bytes + count};
  }

  // What pack_reversed makes of all rows, in the plainest way.
  std::vector<std::byte> reversed(std::vector<std::byte> rows) const {
    for (auto row = rows.begin(); row != rows.end(); row += kColumns) std::reverse(row, row + kColumns);
    return rows;
  }

  std::vector<std::byte> stacked(const std::vector<std::string>& parts) const {
    std::vector<std::byte> all;
    for (const std::string& part : parts)
      all.insert(all.end(), tensors_.at(part).begin(), tensors_.at(part).end());
    return all;
  }

  OpRegistry registry_;
  GraphBuilder builder_{registry_, "g", Device{}};
  Value x_;
  Plan plan_;
  std::map<std::string, std::vector<std::byte>> tensors_;
  std::vector<std::string> released_;
  HostBackend host_{true};
  HostBackend remote_{false};
  const Kernel plain_{.name = "plain", .device_type = "cpu"};
  const Kernel reversed_{.name = "reversed",
                         .device_type = "cpu",
                         .packing = WeightPacking{.input = 1,
                                                  .layout = "reversed",
                                                  .row_alignment = 16,
                                                  .bytes = packed_bytes,
                                                  .pack = pack_reversed}};
  const Kernel upside_down_{.name = "upside_down",
                            .device_type = "cpu",
                            .packing = WeightPacking{.input = 1,
                                                     .layout = "upside_down",
                                                     .row_alignment = 1,
                                                     .bytes = packed_bytes,
                                                     .pack = pack_upside_down}};
};

TEST_F(WeightStoreTest, NothingIsCopiedWhereTheDeviceReadsHostMemoryAndTheKernelTheFilesLayout) {
  add_tensor("w", kMappedRows);
  const GraphValue weight = read({"w"}, plain_);
  WeightStore store(host_);
  load(store);
  EXPECT_EQ(store.address(weight, plain_, 1), tensors_["w"].data());
  EXPECT_EQ(store.bytes(), 0u);
  EXPECT_EQ(store.mapped_bytes(), tensors_["w"].size());
  EXPECT_THAT(released_, IsEmpty());
}

TEST_F(WeightStoreTest, ASmallWeightIsCopiedSoThatNothingAroundItStaysMapped) {
  add_tensor("norm", 5);
  const GraphValue weight = read({"norm"}, plain_);
  WeightStore store(host_);
  load(store);
  EXPECT_EQ(bytes_at(store.address(weight, plain_, 1), 5 * kColumns), tensors_["norm"]);
  EXPECT_EQ(store.bytes(), 5u * kColumns);
  EXPECT_THAT(released_, ElementsAre("norm"));
}

TEST_F(WeightStoreTest, ADeviceThatDoesNotReadHostMemoryGetsACopyAndThePagesAreReleased) {
  add_tensor("w", 5);
  const GraphValue weight = read({"w"}, plain_);
  WeightStore store(remote_);
  load(store);
  EXPECT_NE(store.address(weight, plain_, 1), tensors_["w"].data());
  EXPECT_EQ(bytes_at(store.address(weight, plain_, 1), 5 * kColumns), tensors_["w"]);
  EXPECT_EQ(store.bytes(), 5u * kColumns);
  EXPECT_EQ(store.mapped_bytes(), 0u);
  EXPECT_THAT(released_, ElementsAre("w"));
}

TEST_F(WeightStoreTest, AMergedWeightWithoutPackingIsItsPartsInARow) {
  add_tensor("a", 3);
  add_tensor("b", 300);
  const GraphValue merged = read({"a", "b"}, plain_);
  WeightStore store(host_);
  load(store);
  EXPECT_EQ(bytes_at(store.address(merged, plain_, 1), 303 * kColumns), stacked({"a", "b"}));
  EXPECT_THAT(released_, ElementsAre("a+b"));
}

TEST_F(WeightStoreTest, AMergedWeightIsPackedLikeOne) {
  add_tensor("a", 250);  // ends inside a task, and not at a multiple of the alignment
  add_tensor("b", 13);
  add_tensor("c", 300);
  tensors_["whole"] = stacked({"a", "b", "c"});
  const GraphValue merged = read({"a", "b", "c"}, reversed_);
  const GraphValue whole = read({"whole"}, reversed_);
  WeightStore store(host_);
  load(store);
  const auto packed = bytes_at(store.address(merged, reversed_, 1), 563 * kColumns);
  EXPECT_EQ(packed, bytes_at(store.address(whole, reversed_, 1), 563 * kColumns));
  EXPECT_EQ(packed, reversed(tensors_["whole"]));
}

TEST_F(WeightStoreTest, ManyThreadsPackWhatOneDoes) {
  for (int i = 0; i < 7; ++i) {
    add_tensor("w" + std::to_string(i), 100 + 333 * i);
    read({"w" + std::to_string(i)}, i % 2 ? reversed_ : upside_down_);
  }
  WeightStore serial(host_);
  load(serial, 1);
  WeightStore parallel(host_);
  load(parallel, 4);
  for (const Node& node : builder_.graph().nodes) {
    const GraphValue& weight = builder_.graph().values[node.inputs[1]];
    const Kernel& kernel = *plan_.nodes[static_cast<size_t>(&node - builder_.graph().nodes.data())].kernel;
    const size_t bytes = tensors_.at(weight.name).size();
    EXPECT_EQ(bytes_at(serial.address(weight, kernel, 1), bytes),
              bytes_at(parallel.address(weight, kernel, 1), bytes));
  }
  EXPECT_EQ(parallel.bytes(), serial.bytes());
}

TEST_F(WeightStoreTest, ADeviceThatDoesNotReadHostMemoryGetsPackedWeightsByOneCopyEach) {
  add_tensor("w", 1000);
  add_tensor("v", 20);
  const GraphValue weight = read({"w"}, reversed_);
  read({"w", "v"}, upside_down_);
  WeightStore store(remote_);
  load(store, 3);
  EXPECT_EQ(bytes_at(store.address(weight, reversed_, 1), 1000 * kColumns), reversed(tensors_["w"]));
  EXPECT_EQ(remote_.copied_bytes(), store.bytes());
  EXPECT_EQ(store.bytes(), 2020u * kColumns);
}

TEST_F(WeightStoreTest, ALargeWeightGoesToADeviceInPiecesAndTheHostKeepsNoCopyOfIt) {
  constexpr int64_t kRows = 400'000;  // some 9 MiB, beside a small one
  add_tensor("w", kRows);
  add_tensor("v", 77);
  const GraphValue weight = read({"v", "w"}, plain_);
  WeightStore store(remote_);
  load(store, 3);
  EXPECT_EQ(bytes_at(store.address(weight, plain_, 1), (kRows + 77) * kColumns), stacked({"v", "w"}));
  EXPECT_EQ(remote_.copied_bytes(), (kRows + 77) * kColumns);
  EXPECT_LE(remote_.largest_piece(), size_t{4} << 20);
}

// A row's bytes are its number's, so that one which is made twice, or not, shows.
void make_numbered(int64_t begin, int64_t end, std::byte* to) {
  for (int64_t row = begin; row < end; ++row) std::memset(to + (row - begin) * kColumns, row % 251, kColumns);
}

TEST_F(WeightStoreTest, RowsThatLieNowhereAreMadeWhereTheyGo) {
  add_tensor("made", kMappedRows);
  const GraphValue weight = read({"made"}, plain_);
  std::vector<std::byte> expected(kMappedRows * kColumns);
  make_numbered(0, kMappedRows, expected.data());
  for (HostBackend* backend : {&host_, &remote_}) {
    WeightReader numbered = reader();
    numbered.maker = [](const GraphValue&) -> RowMaker { return make_numbered; };
    WeightStore store(*backend);
    store.request(builder_.graph(), plan_);
    store.load(numbered, 3, {});
    EXPECT_EQ(bytes_at(store.address(weight, plain_, 1), expected.size()), expected);
    EXPECT_EQ(store.mapped_bytes(), 0u);
  }
}

TEST_F(WeightStoreTest, ADeviceMakesTheWeightsThatItCanAndTheOthersAreRead) {
  add_tensor("made", 70);
  add_tensor("refused", 5);
  const GraphValue made = read({"made"}, plain_);
  const GraphValue refused = read({"refused"}, plain_);
  const GraphValue packed = read({"made"}, reversed_);
  std::vector<std::byte> expected(70 * kColumns);
  make_numbered(0, 70, expected.data());
  std::vector<std::string> asked, was_read;
  WeightReader making = reader();
  making.read = [&](const GraphValue& weight) {
    was_read.push_back(weight.name);
    return rows_of(weight);
  };
  making.make = [&](const GraphValue& weight, void* destination) {
    asked.push_back(weight.name);
    if (weight.name == "made") make_numbered(0, 70, static_cast<std::byte*>(destination));
    return weight.name == "made";
  };
  WeightStore store(remote_);
  store.request(builder_.graph(), plan_);
  store.load(making, 2, {});
  EXPECT_THAT(asked, UnorderedElementsAre("made", "refused")) << "a packed layout cannot be made";
  EXPECT_THAT(was_read, UnorderedElementsAre("made", "refused"));
  EXPECT_EQ(bytes_at(store.address(made, plain_, 1), expected.size()), expected);
  EXPECT_EQ(bytes_at(store.address(refused, plain_, 1), 5 * kColumns), tensors_["refused"]);
  EXPECT_EQ(bytes_at(store.address(packed, reversed_, 1), 70 * kColumns), reversed(tensors_["made"]));
  EXPECT_EQ(store.bytes(), (70 + 5 + 70) * kColumns);
  EXPECT_EQ(remote_.copied_bytes(), (5 + 70) * kColumns);

  asked.clear();
  WeightStore in_place(host_);
  in_place.request(builder_.graph(), plan_);
  in_place.load(making, 1, {});
  EXPECT_THAT(asked, IsEmpty()) << "the host's own memory is read in place";
}

TEST_F(WeightStoreTest, WhatAThreadThrowsIsThrownAndEndsTheOthers) {
  for (int i = 0; i < 40; ++i) {
    add_tensor("w" + std::to_string(i), 300);
    read({"w" + std::to_string(i)}, plain_);
  }
  std::atomic<int> made = 0;
  WeightReader failing = reader();
  failing.maker = [&](const GraphValue&) -> RowMaker {
    return [&](int64_t begin, int64_t end, std::byte* to) {
      if (++made == 3) fail_load("the file was cut");
      make_numbered(begin, end, to);
    };
  };
  WeightStore store(remote_);
  store.request(builder_.graph(), plan_);
  EXPECT_THROW(store.load(failing, 2, {}), LoadError);
  EXPECT_LT(made, 40);
}

TEST_F(WeightStoreTest, KernelsThatNameTheSameLayoutShareOneCopy) {
  add_tensor("w", 40);
  const Kernel second = reversed_;
  const GraphValue weight = read({"w"}, reversed_);
  read({"w"}, second);
  WeightStore store(host_);
  load(store);
  EXPECT_EQ(store.address(weight, reversed_, 1), store.address(weight, second, 1));
  EXPECT_EQ(store.bytes(), 40u * kColumns);
}

TEST_F(WeightStoreTest, PagesAreReleasedOnceWhenTheLastLayoutIsPacked) {
  add_tensor("w", 600);
  add_tensor("v", 10);
  const GraphValue weight = read({"w"}, reversed_);
  read({"w"}, upside_down_);
  read({"v"}, reversed_);
  WeightStore store(host_);
  load(store, 3);
  EXPECT_THAT(released_, UnorderedElementsAre("w", "v"));
  EXPECT_NE(store.address(weight, reversed_, 1), store.address(weight, upside_down_, 1));
  EXPECT_EQ(store.bytes(), (2 * 600u + 10u) * kColumns);
}

TEST_F(WeightStoreTest, PagesThatAreAlsoReadInPlaceAreReleasedOnceTheCopyIsMade) {
  add_tensor("tied", kMappedRows);
  const GraphValue weight = read({"tied"}, reversed_);
  read({"tied"}, plain_);
  WeightStore store(host_);
  load(store);
  EXPECT_THAT(released_, ElementsAre("tied"));
  EXPECT_EQ(store.address(weight, plain_, 1), tensors_["tied"].data());
  EXPECT_EQ(bytes_at(store.address(weight, reversed_, 1), kMappedRows * kColumns),
            reversed(tensors_["tied"]));
}

TEST_F(WeightStoreTest, ProgressGrowsToTheTotalOfWhatIsPacked) {
  add_tensor("mapped", kMappedRows);
  read({"mapped"}, plain_);
  for (const char* name : {"u", "v", "w"}) {
    add_tensor(name, 700);
    read({name}, reversed_);
  }
  std::vector<size_t> done;
  WeightStore store(host_);
  load(store, 3, [&](size_t done_bytes, size_t total_bytes) {
    EXPECT_EQ(total_bytes, 3 * 700u * kColumns);
    done.push_back(done_bytes);
  });
  EXPECT_EQ(done.size(), 3u);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), 3 * 700u * kColumns);
}

TEST_F(WeightStoreTest, MemoryIsAskedForAsWeightsSoThatABackendMayTakeHugePages) {
  add_tensor("w", 4);
  read({"w"}, reversed_);
  WeightStore store(host_);
  load(store);
  EXPECT_THAT(host_.purposes(), ElementsAre("weights w"));
}

TEST_F(WeightStoreTest, AMissingTensorIsTheReadersError) {
  add_tensor("w", 4);
  read({"w"}, plain_);
  tensors_.clear();
  WeightStore store(host_);
  EXPECT_THROW(load(store), LoadError);
}

TEST_F(WeightStoreTest, AWeightThatWasNotRequestedIsOurBug) {
  add_tensor("w", 4);
  const GraphValue weight = read({"w"}, plain_);
  WeightStore store(host_);
  load(store);
  EXPECT_DEATH(store.address(weight, reversed_, 1), "w is not loaded");
}

}  // namespace
}  // namespace musaic
