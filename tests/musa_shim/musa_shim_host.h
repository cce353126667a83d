#pragma once

#include <cstdint>
#include <functional>

#include "musa_shim.h"

// The host's stand-in for a MUSA device: work is enqueued and runs when somebody waits for it, so that a wait
// that is missing shows. What a driver forbids ends the process or gives its error. Any thread.
namespace musa_shim {

// Addresses of the device have a bit that no address of a process has: a host that follows one crashes.
inline constexpr uintptr_t kDeviceAddressBit = uintptr_t{1} << 60;

inline void* device_address(void* host) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(host) | kDeviceAddressBit);
}
// Of an address of the device or of the host, or nullptr.
template <class T>
T* host_address(T* address) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(address) & ~kDeviceAddressBit);
}

inline constexpr int kNumDevices = 2;
inline constexpr size_t kMemoryBytes = size_t{2} << 30;

// What a kernel's launch is on a device: one node of a capture.
void launch(musaStream_t stream, std::function<void()> work);
// A launch that the driver refuses.
void refuse_launch();
// Work that ends the device.
void launch_wild_write(musaStream_t stream);

}  // namespace musa_shim
