#include "backends/gpu/gpu_backend.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "backends/gpu/gpu_test_kernels.h"
#include "device/checksum.h"
#include "device/device_lost.h"

namespace musaic {
namespace {

using testing::HasSubstr;

template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const LoadError& error) {
    return error.what();
  }
  return "no error";
}

class GpuBackendTest : public testing::Test {
 protected:
  void SetUp() override {
    if (count_gpus() == 0) GTEST_SKIP() << "no GPU here";
    backend_ = std::make_unique<GpuBackend>(GpuOptions{});
    memory_ = backend_->allocate(64, "values");
    backend_->name_next("test::op");
  }

  Stream& stream() { return backend_->stream(); }
  GpuStream& own_stream() { return gpu_stream(backend_->stream()); }
  int32_t* value() { return static_cast<int32_t*>(memory_->data()); }
  int32_t read_value() {
    int32_t seen = -1;
    backend_->copy_to_host(&seen, value(), sizeof(seen), stream());
    return seen;
  }
  void enqueue_increment() {
    launch_increment(value(), own_stream().handle());
    own_stream().check_launch();
  }
  std::unique_ptr<CapturedGraph> capture_increments(int count) {
    backend_->begin_capture(stream());
    for (int i = 0; i < count; ++i) enqueue_increment();
    return backend_->end_capture(stream());
  }

  std::unique_ptr<GpuBackend> backend_;
  std::unique_ptr<DeviceMemory> memory_;
};

TEST(NoGpu, ADeviceThatIsNotThereIsTold) {
  const int missing = count_gpus() + 7;
  EXPECT_THAT(error_of([&] { GpuBackend backend({.index = missing}); }),
              HasSubstr(std::string(gpu_device_type()) + ":" + std::to_string(missing) + ": "));
}

TEST_F(GpuBackendTest, SaysWhatItIs) {
  EXPECT_EQ(to_string(backend_->device()), std::string(gpu_device_type()) + ":0");
  EXPECT_FALSE(backend_->reads_host_memory());
  EXPECT_TRUE(backend_->capabilities().has("whole_extend"));
  EXPECT_TRUE(backend_->capabilities().has("whole_decode"));
  const DeviceMemorySize size = gpu_memory_size(backend_->device());
  EXPECT_GT(size.free_bytes, 0u);
  EXPECT_GE(size.total_bytes, size.free_bytes);
}

TEST_F(GpuBackendTest, GivesZeroedMemory) {
  EXPECT_EQ(read_value(), 0);
  std::vector<int32_t> seen(1000, -1);
  const auto more = backend_->allocate(seen.size() * sizeof(int32_t), "more");
  backend_->copy_to_host(seen.data(), more->data(), more->bytes(), stream());
  EXPECT_EQ(seen, std::vector<int32_t>(1000, 0));
  EXPECT_NE(backend_->allocate(0, "nothing")->data(), nullptr);
}

// Larger than what passes at a time, and overwritten at once.
TEST_F(GpuBackendTest, CopiesBothWaysWithTheSourceFreeAtOnce) {
  const size_t count = 3 * PinnedRing::kHalfBytes / sizeof(int32_t) + 5;
  std::vector<int32_t> sent(count);
  std::iota(sent.begin(), sent.end(), 7);
  const std::vector<int32_t> expected = sent;
  const auto memory = backend_->allocate(count * sizeof(int32_t), "a large copy");
  backend_->copy_to_device(memory->data(), sent.data(), count * sizeof(int32_t), stream());
  std::fill(sent.begin(), sent.end(), -1);
  std::vector<int32_t> seen(count);
  backend_->copy_to_host(seen.data(), memory->data(), count * sizeof(int32_t), stream());
  EXPECT_TRUE(seen == expected);
}

TEST_F(GpuBackendTest, ManySmallCopiesKeepTheirOrderAndTheirBytes) {
  const size_t copies = 4 * PinnedRing::kHalfBytes / 4096;
  const auto memory = backend_->allocate(copies * sizeof(int32_t), "many copies");
  std::vector<int32_t> block(1024);
  const auto sink = backend_->allocate(block.size() * sizeof(int32_t), "a block");
  for (size_t i = 0; i < copies; ++i) {
    std::fill(block.begin(), block.end(), static_cast<int32_t>(i));
    backend_->copy_to_device(sink->data(), block.data(), block.size() * sizeof(int32_t), stream());
    const auto number = static_cast<int32_t>(3 * i);
    backend_->copy_to_device(static_cast<int32_t*>(memory->data()) + i, &number, sizeof(number), stream());
  }
  std::vector<int32_t> seen(copies);
  backend_->copy_to_host(seen.data(), memory->data(), copies * sizeof(int32_t), stream());
  for (size_t i = 0; i < copies; ++i) ASSERT_EQ(seen[i], static_cast<int32_t>(3 * i));
  backend_->copy_to_host(block.data(), sink->data(), block.size() * sizeof(int32_t), stream());
  EXPECT_EQ(block, std::vector<int32_t>(1024, static_cast<int32_t>(copies - 1)));
}

TEST_F(GpuBackendTest, AReaderGivesWhatWasThereWhenItWasStarted) {
  const auto reader = backend_->make_reader(sizeof(int32_t));
  const auto other = backend_->make_reader(sizeof(int32_t));
  enqueue_increment();
  reader->start(value(), sizeof(int32_t), stream());
  enqueue_increment();
  other->start(value(), sizeof(int32_t), stream());
  EXPECT_EQ(*static_cast<const int32_t*>(reader->wait()), 1);
  EXPECT_EQ(*static_cast<const int32_t*>(other->wait()), 2);
  EXPECT_EQ(*static_cast<const int32_t*>(reader->wait()), 1) << "until the next start";
}

TEST_F(GpuBackendTest, AnUploadTakesPartsOfItFromTheDeviceInOrder) {
  for (const size_t size : {5u, 3'001u, 1'000'000u}) {
    const auto memory = backend_->allocate(size * sizeof(int32_t), "inputs");
    auto* to = static_cast<int32_t*>(memory->data());
    std::vector<int32_t> want(size);
    std::iota(want.begin(), want.end(), 100);
    for (const size_t num_parts : {0u, 1u, 2u, 5u}) {
      enqueue_increment();
      std::vector<DeviceCopy> parts;
      for (size_t i = 0; i < num_parts; ++i) parts.push_back({to + i, value(), sizeof(int32_t)});
      std::vector<int32_t> sent = want;
      const UploadRange all = {0, size * sizeof(int32_t)};
      backend_->upload(to, sent.data(), {&all, 1}, parts, stream());
      std::fill(sent.begin(), sent.end(), -1);
      const int32_t drawn = read_value();
      enqueue_increment();
      std::vector<int32_t> expected = want;
      std::fill_n(expected.begin(), num_parts, drawn);
      std::vector<int32_t> seen(size);
      backend_->copy_to_host(seen.data(), to, size * sizeof(int32_t), stream());
      EXPECT_TRUE(seen == expected) << size << " words, parts: " << num_parts;
    }
  }
}

TEST_F(GpuBackendTest, AnUploadBringsItsRangesAndLeavesWhatLiesFarFromThem) {
  constexpr size_t kWords = 100'000, kBytes = kWords * sizeof(int32_t);
  const auto memory = backend_->allocate(kBytes, "inputs");
  std::vector<int32_t> before(kWords, -5), sent(kWords);
  std::iota(sent.begin(), sent.end(), 1);
  backend_->copy_to_device(memory->data(), before.data(), kBytes, stream());
  std::vector<UploadRange> ranges;
  for (const auto& [first, count] : {std::pair(20'000, 4'099), {99'990, 10}, {7, 3}, {0, 1}, {60'000, 8}})
    ranges.push_back({first * sizeof(int32_t), count * sizeof(int32_t)});
  backend_->upload(memory->data(), sent.data(), ranges, {}, stream());
  std::vector<int32_t> seen(kWords);
  backend_->copy_to_host(seen.data(), memory->data(), kBytes, stream());
  const auto same = [&](const std::vector<int32_t>& as, size_t begin, size_t end) {
    return std::equal(seen.begin() + begin, seen.begin() + end, as.begin() + begin);
  };
  EXPECT_EQ(seen[0], 1);
  EXPECT_TRUE(same(sent, 7, 10));
  EXPECT_TRUE(same(before, 10, 20'000));
  EXPECT_TRUE(same(sent, 20'000, 24'099));
  EXPECT_TRUE(same(before, 24'099, 60'000));
  EXPECT_TRUE(same(sent, 60'000, 60'008));
  EXPECT_TRUE(same(before, 60'008, 99'990));
  EXPECT_TRUE(same(sent, 99'990, kWords));
}

TEST_F(GpuBackendTest, AClockTellsPointsInOrderBetweenMarkingAndReading) {
  const auto clock = backend_->make_clock();
  for (int round = 0; round < 3; ++round) {
    const double before = steady_seconds();
    for (int i = 0; i < 3; ++i) {
      clock->mark(stream());
      enqueue_increment();
    }
    clock->mark(stream());
    std::vector<double> times = clock->read(2);
    const std::vector<double> more = clock->read(2);
    times.insert(times.end(), more.begin(), more.end());
    const double after = steady_seconds();
    EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
    EXPECT_GE(times.front(), before);
    EXPECT_LE(times.back(), after);
  }
}

TEST_F(GpuBackendTest, AChecksumIsThatOfTheHost) {
  std::vector<int32_t> values(300'002);
  std::iota(values.begin(), values.end(), -77);
  const size_t bytes = values.size() * sizeof(int32_t);
  const auto memory = backend_->allocate(bytes, "words");
  for (int change : {0, 5}) {
    values[123'457] += change;
    backend_->copy_to_device(memory->data(), values.data(), bytes, stream());
    EXPECT_EQ(backend_->checksum(memory->data(), bytes),
              checksum_of(values.data(), bytes / sizeof(uint64_t)));
  }
  EXPECT_EQ(backend_->checksum(memory->data(), 0), 0u);
}

TEST_F(GpuBackendTest, UploadersOfSeveralThreadsBringTheirPieces) {
  constexpr int kThreads = 3, kPieces = 9;
  constexpr size_t kPiece = 10'000;  // values
  const auto memory = backend_->allocate(kThreads * kPieces * kPiece * sizeof(int32_t), "pieces");
  auto* to = static_cast<int32_t*>(memory->data());
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      const auto uploader = backend_->make_uploader(kPiece * sizeof(int32_t));
      for (int piece = thread; piece < kThreads * kPieces; piece += kThreads) {
        auto* room = reinterpret_cast<int32_t*>(uploader->room());
        std::fill_n(room, kPiece, piece);
        uploader->upload(to + static_cast<size_t>(piece) * kPiece, kPiece * sizeof(int32_t));
      }
      uploader->finish();
    });
  }
  threads.clear();
  std::vector<int32_t> seen(kThreads * kPieces * kPiece);
  backend_->copy_to_host(seen.data(), to, seen.size() * sizeof(int32_t), stream());
  for (size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], static_cast<int32_t>(i / kPiece));
}

TEST_F(GpuBackendTest, RecordsInsteadOfRunningAndReplays) {
  const auto graph = capture_increments(3);
  EXPECT_EQ(read_value(), 0) << "recorded work ran";
  EXPECT_EQ(graph->num_launches(), 3);
  graph->replay(stream());
  graph->replay(stream());
  EXPECT_EQ(read_value(), 6);
}

TEST_F(GpuBackendTest, AnEmptyCaptureCanBeReplayed) {
  const auto graph = capture_increments(0);
  EXPECT_EQ(graph->num_launches(), 0);
  graph->replay(stream());
  EXPECT_EQ(read_value(), 0);
}

TEST_F(GpuBackendTest, ZeroingIsRecordedToo) {
  backend_->begin_capture(stream());
  enqueue_increment();
  backend_->zero(value(), sizeof(int32_t), stream());
  enqueue_increment();
  const auto graph = backend_->end_capture(stream());
  graph->replay(stream());
  graph->replay(stream());
  EXPECT_EQ(read_value(), 1);
}

TEST_F(GpuBackendTest, EachBreachInsideACaptureNamesTheOpAndTheRuleAndTheCaptureGoesOn) {
  const std::string who = to_string(backend_->device()) + ": test::op: ";
  const auto ready = capture_increments(1);
  backend_->name_next("test::op");
  int32_t host = 0;
  backend_->begin_capture(stream());
  EXPECT_EQ(error_of([&] { backend_->allocate(8, "scratch"); }),
            who + "an allocation of 8 bytes for scratch inside a capture");
  EXPECT_EQ(error_of([&] { stream().synchronize(); }), who + "a synchronization inside a capture");
  EXPECT_EQ(error_of([&] { backend_->copy_to_host(&host, value(), 4, stream()); }),
            who + "a copy to the host inside a capture");
  EXPECT_EQ(error_of([&] { backend_->copy_to_device(value(), &host, 4, stream()); }),
            who + "a copy from the host inside a capture");
  EXPECT_EQ(error_of([&] { backend_->begin_capture(stream()); }), who + "a capture inside a capture");
  EXPECT_THAT(error_of([&] { ready->replay(stream()); }), HasSubstr("a replay inside a capture"));
  enqueue_increment();
  const auto graph = backend_->end_capture(stream());
  graph->replay(stream());
  EXPECT_EQ(read_value(), 1);
}

TEST_F(GpuBackendTest, ALaunchThatTheDriverRefusesNamesTheOpAndTheDeviceLivesOn) {
  const auto bad_launch = [&] {
    launch_with_too_many_threads(own_stream().handle());
    own_stream().check_launch();
  };
  EXPECT_THAT(error_of(bad_launch), HasSubstr("test::op: a launch failed: "));
  backend_->begin_capture(stream());
  EXPECT_THAT(error_of(bad_launch), HasSubstr("test::op: a launch failed: "));
  error_of([&] { backend_->end_capture(stream()); });  // the driver may give such a capture up
  enqueue_increment();
  EXPECT_EQ(read_value(), 1);
}

TEST_F(GpuBackendTest, TooLittleMemoryIsToldWithWhatIsThereAndWhatHelps) {
  const std::string error = error_of([&] { backend_->allocate(size_t{1} << 50, "the KV cache"); });
  EXPECT_THAT(error, HasSubstr("no memory for the KV cache: 1048576.000 GiB needed"));
  EXPECT_THAT(error, HasSubstr("GiB free; a lower --mem-fraction-static"));
  enqueue_increment();
  EXPECT_EQ(read_value(), 1);
}

TEST_F(GpuBackendTest, AnotherThreadMayAllocateWhileThisOneCaptures) {
  backend_->begin_capture(stream());
  enqueue_increment();
  std::thread([] { GpuBackend other({}); }).join();
  const auto graph = backend_->end_capture(stream());
  graph->replay(stream());
  EXPECT_EQ(read_value(), 1);
}

TEST_F(GpuBackendTest, ManyExecutablesCanBeHeldAndFreedAndTakeNoMoreThanTheySay) {
  constexpr size_t kLump = size_t{32} << 20;  // what the driver may take ahead
  const size_t free_before = gpu_memory_size(backend_->device()).free_bytes;
  std::vector<std::unique_ptr<CapturedGraph>> graphs;
  for (int i = 0; i < 300; ++i) graphs.push_back(capture_increments(4));
  for (const auto& graph : graphs) graph->replay(stream());
  EXPECT_EQ(read_value(), 1200);
  size_t bytes = 0;
  for (const auto& graph : graphs) bytes += graph->bytes();
  EXPECT_LE(free_before, gpu_memory_size(backend_->device()).free_bytes + bytes + kLump);
  graphs.clear();
  enqueue_increment();
  EXPECT_EQ(read_value(), 1201);
}

// The write ends the context of the whole process, so it runs in one of its own.
TEST_F(GpuBackendTest, AWildWriteIsALostDevice) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto write_wildly = [&] {
    launch_wild_write(own_stream().handle());
    try {
      stream().synchronize();
    } catch (const DeviceLost& error) {
      std::fprintf(stderr, "%s\n", error.what());
      std::_Exit(7);
    }
    std::_Exit(0);
  };
  EXPECT_EXIT(write_wildly(), testing::ExitedWithCode(7), "test::op.*the device is lost");
}

}  // namespace
}  // namespace musaic
