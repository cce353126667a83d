#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu_vendor.h"

// A step's few bytes from and to page-locked memory by kernels: behind other kernels they start, and end, in
// a third of the time that the driver's copies take. REQUIRES of all: kKernelsReachHostMemory.
namespace musaic {

// Words of an upload that come from the device instead, by number in the block.
struct DeviceWords {
  int first;
  int count;
  const uint32_t* from;
};

// Words that lie apart, in groups of neighbours.
struct WordUpload {
  static constexpr int kMaxDeviceWords = 4;
  static constexpr int kGroupWords = 4;

  // Of a group of `count` words whose first is number `first` of the block.
  static constexpr uint32_t place_of(size_t first, size_t count) {
    return static_cast<uint32_t>(first * kGroupWords + count - 1);
  }

  uint32_t* to;            // a block on the device
  const uint32_t* words;   // of the groups: page-locked, 16-byte aligned, and written before the launch
  const uint32_t* places;  // likewise
  int groups;
  int num_device_words;
  DeviceWords device_words[kMaxDeviceWords];
};
void launch_upload(const WordUpload& upload, gpuStream_t stream);

// A word of a download, and its download's number: written as one, so that whoever sees the number sees the
// word.
struct alignas(8) NumberedWord {
  uint32_t word;
  uint32_t number;
};
// Writes numbered words to page-locked memory.
void launch_download(NumberedWord* to, const uint32_t* from, int words, uint32_t number, gpuStream_t stream);

}  // namespace musaic
