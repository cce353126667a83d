#include "backends/simulated/simulated_backend.h"

#include <gmock/gmock.h>

#include <cstring>

#include "base/status.h"

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

class SimulatedBackendTest : public testing::Test {
 protected:
  SimulatedBackendTest() : memory_(backend_.allocate(64, "values")) { backend_.name_next("test::op"); }

  float* values() { return static_cast<float*>(memory_->data()); }
  Stream& stream() { return backend_.stream(); }

  // Work that says what it uses, as a kernel does.
  void enqueue_increment(Stream& stream) {
    simulated_stream(stream).use("x", values(), 4);
    simulated_stream(stream).launch([x = host_address(values())](const Worker& worker) {
      if (worker.index == 0) *x += 1;
    });
  }

  SimulatedBackend backend_{{.num_threads = 2, .isa = std::nullopt}};
  std::unique_ptr<DeviceMemory> memory_;
};

TEST_F(SimulatedBackendTest, ReplaysWhatWasRecorded) {
  backend_.begin_capture(stream());
  enqueue_increment(stream());
  const auto graph = backend_.end_capture(stream());
  float seen = -1;
  backend_.copy_to_host(&seen, values(), 4, stream());
  EXPECT_EQ(seen, 0) << "recorded work ran";
  graph->replay(stream());
  graph->replay(stream());
  backend_.copy_to_host(&seen, values(), 4, stream());
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(graph->num_launches(), 1);
}

TEST_F(SimulatedBackendTest, EachBreachInsideACaptureNamesTheOpAndTheRule) {
  float host = 0;
  backend_.begin_capture(stream());
  EXPECT_EQ(error_of([&] { backend_.allocate(8, "scratch"); }),
            "simulated: test::op: an allocation of 8 bytes for scratch inside a capture");
  EXPECT_EQ(error_of([&] { stream().synchronize(); }),
            "simulated: test::op: a synchronization inside a capture");
  EXPECT_EQ(error_of([&] { backend_.copy_to_host(&host, values(), 4, stream()); }),
            "simulated: test::op: a copy to the host inside a capture");
  EXPECT_EQ(error_of([&] { backend_.copy_to_device(values(), &host, 4, stream()); }),
            "simulated: test::op: a copy from the host inside a capture");
  EXPECT_EQ(error_of([&] { backend_.begin_capture(stream()); }),
            "simulated: test::op: a capture inside a capture");
}

TEST_F(SimulatedBackendTest, WorkOnAnotherStreamThanTheCapturingOneIsRefused) {
  const auto other = backend_.make_stream();
  enqueue_increment(*other);
  backend_.begin_capture(stream());
  EXPECT_THAT(error_of([&] { enqueue_increment(*other); }), HasSubstr("another stream"));
  EXPECT_THAT(error_of([&] { backend_.end_capture(*other); }), HasSubstr("not begun on this stream"));
  EXPECT_THAT(error_of([&] { other->synchronize(); }), HasSubstr("a synchronization inside a capture"));
}

TEST_F(SimulatedBackendTest, AReplayInsideACaptureIsRefused) {
  backend_.begin_capture(stream());
  enqueue_increment(stream());
  const auto graph = backend_.end_capture(stream());
  backend_.begin_capture(stream());
  EXPECT_THAT(error_of([&] { graph->replay(stream()); }), HasSubstr("a replay inside a capture"));
}

TEST_F(SimulatedBackendTest, AnAddressOutsideOfLiveMemoryIsRefused) {
  float host = 0;
  EXPECT_THAT(error_of([&] { simulated_stream(stream()).use("x", &host, 4); }),
              HasSubstr("simulated: test::op: x: 4 bytes at 0x"));
  EXPECT_EQ(error_of([&] { simulated_stream(stream()).use("x", values(), 64); }), "no error");
  EXPECT_THAT(error_of([&] { simulated_stream(stream()).use("x", values(), 65); }),
              HasSubstr("not inside a live allocation"));
  EXPECT_THAT(error_of([&] { backend_.copy_to_host(&host, &host, 4, stream()); }),
              HasSubstr("not inside a live allocation"));
  EXPECT_THAT(error_of([&] { backend_.zero(&host, 4, stream()); }),
              HasSubstr("not inside a live allocation"));
}

TEST_F(SimulatedBackendTest, AReplayOfFreedMemoryIsRefusedEvenWhereTheAddressLivesAgain) {
  backend_.begin_capture(stream());
  enqueue_increment(stream());
  const auto graph = backend_.end_capture(stream());
  memory_.reset();
  memory_ = backend_.allocate(64, "likely at the same address");
  EXPECT_EQ(error_of([&] { graph->replay(stream()); }),
            "simulated: test::op: replay of a piece whose x was freed since its capture");
}

TEST_F(SimulatedBackendTest, TheHostCannotFollowAnAddressOfTheDevice) {
  EXPECT_DEATH(std::memset(values(), 0, 1), "");
}

TEST_F(SimulatedBackendTest, KernelsCannotReadTheHostsMemory) {
  EXPECT_FALSE(backend_.reads_host_memory());
  EXPECT_EQ(to_string(backend_.device()), "simulated:0");
}

}  // namespace
}  // namespace musaic
