#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace musaic {

// Addresses of the simulated device: the host's with a bit that no address of a process has, so that a host
// that follows one crashes instead of reading what a real device would not show it.
inline constexpr uintptr_t kDeviceAddressBit = uintptr_t{1} << 60;

inline void* device_address(void* host) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(host) | kDeviceAddressBit);
}
template <class T>
T* host_address(T* device) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(device) & ~kDeviceAddressBit);
}

// Which memory of a device is allocated. Any thread.
class LiveMemory {
 public:
  static constexpr uint64_t kNone = 0;

  // An id that is never given again, though the address may be.
  uint64_t add(const void* address, size_t bytes);
  void remove(uint64_t id);

  // The allocation that holds all of [address, address + bytes), or kNone.
  uint64_t find(const void* address, size_t bytes) const;
  bool is_live(uint64_t id) const;

 private:
  struct Allocation {
    uint64_t id;
    size_t bytes;
  };

  mutable std::mutex mutex_;  // guards all below
  std::map<uintptr_t, Allocation> by_address_;
  std::map<uint64_t, uintptr_t> address_of_;
  uint64_t last_id_ = kNone;
};

}  // namespace musaic
