#include "device/settled_memory.h"

#include <gtest/gtest.h>

#include <vector>

namespace musaic {
namespace {

constexpr size_t kGiB = size_t{1} << 30;
constexpr std::chrono::milliseconds kMost{10'000};

// A device of 80 GiB, of which these GiB are free at one measurement after the other, the last ones for good.
class Measured {
 public:
  explicit Measured(std::vector<size_t> free_gib) : free_gib_(std::move(free_gib)) {}

  size_t settle() {
    const DeviceMemorySize size = settled_memory(
        [this] {
          const size_t at = std::min(measurements_++, free_gib_.size() - 1);
          return DeviceMemorySize{.total_bytes = 80 * kGiB, .free_bytes = free_gib_[at] * kGiB};
        },
        [this](std::chrono::milliseconds time) { waited_ += time; });
    return size.free_bytes / kGiB;
  }
  std::chrono::milliseconds waited() const { return waited_; }

 private:
  std::vector<size_t> free_gib_;
  size_t measurements_ = 0;
  std::chrono::milliseconds waited_{0};
};

TEST(SettledMemory, ADeviceThatNobodyElseUsesIsMeasuredOnce) {
  Measured device({79});
  EXPECT_EQ(device.settle(), 79u);
  EXPECT_EQ(device.waited().count(), 0);
}

TEST(SettledMemory, WhatAnEndedProcessGivesBackIsWaitedFor) {
  Measured device({9, 9, 9, 30, 30, 61, 79});
  EXPECT_EQ(device.settle(), 79u);
  EXPECT_GT(device.waited().count(), 0);
}

TEST(SettledMemory, WhatOthersKeepIsNotWaitedForLong) {
  Measured device({40});
  EXPECT_EQ(device.settle(), 40u);
  EXPECT_LE(device.waited().count(), 200);
}

TEST(SettledMemory, ADeviceWhoseMemoryNeverSettlesIsTakenAsItIs) {
  std::vector<size_t> changing;
  for (int i = 0; i < 1000; ++i) changing.push_back(static_cast<size_t>(10 + i % 2));
  Measured device(std::move(changing));
  EXPECT_GE(device.settle(), 10u);
  EXPECT_LE(device.waited(), kMost);
}

TEST(SettledMemory, WithoutMemoryOfItsOwnNothingIsWaitedFor) {
  int measurements = 0;
  settled_memory([&] {
    ++measurements;
    return DeviceMemorySize{};
  });
  EXPECT_EQ(measurements, 1);
}

}  // namespace
}  // namespace musaic
