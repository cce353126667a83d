#include "device/settled_memory.h"

#include <thread>

namespace musaic {
namespace {

constexpr size_t kOwnBytes = size_t{2} << 30;  // this process' context and kernels take less
constexpr std::chrono::milliseconds kPause{50};
constexpr int kQuietPauses = 4;  // a driver frees large memory in parts
constexpr int kMostPauses = 200;

bool others_hold_some(const DeviceMemorySize& size) {
  return size.total_bytes - size.free_bytes > kOwnBytes;
}

}  // namespace

DeviceMemorySize settled_memory(const std::function<DeviceMemorySize()>& measure,
                                const std::function<void(std::chrono::milliseconds)>& pause) {
  DeviceMemorySize size = measure();
  int quiet = 0;
  for (int i = 0; i < kMostPauses && quiet < kQuietPauses && others_hold_some(size); ++i) {
    pause(kPause);
    const DeviceMemorySize next = measure();
    quiet = next.free_bytes > size.free_bytes ? 0 : quiet + 1;
    size = next;
  }
  return size;
}

DeviceMemorySize settled_memory(const std::function<DeviceMemorySize()>& measure) {
  return settled_memory(measure, [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); });
}

}  // namespace musaic
