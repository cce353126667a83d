#pragma once

#include <string>
#include <vector>

#include "device/backend.h"
#include "program/program.h"
#include "request/batch.h"

namespace musaic {

// Bytes of one value in device memory.
struct Region {
  std::string value;  // its name, for messages
  DType dtype = DType::kF32;
  std::byte* data = nullptr;
  size_t bytes = 0;
};

// What of the buffers one run of a program really uses.
struct LiveExtent {
  DimBindings live;            // `tokens`, `sequences`, `rows`: real ones; other symbols are the bucket's
  std::vector<int32_t> pages;  // KV pages that the run writes
  std::vector<int> slots;      // of requests whose rows the run may write
  int32_t pages_end = 0;       // behind the last page that any sequence of the run has
};

LiveExtent body_extent(const Batch& batch, int page_size);
// Of a run of the head for some rows; `sequences` are their indices in the batch.
LiveExtent head_extent(const Batch& batch, std::span<const int> sequences);

// The parts of the program's states that the run may write: pages, slots, or the whole of another state.
std::vector<Region> mutated_states(const Program& program, int bucket, const LiveExtent& extent);
// Of those that it may write in parts only: the first `num_pages` pages, or all slots.
std::vector<Region> partly_written_states(const Program& program, int bucket, int32_t num_pages);
// The live rows of the program's outputs.
std::vector<Region> live_outputs(const Program& program, int bucket, const LiveExtent& extent);
// The live rows of the temporaries that nodes [begin, end) write and that a later node reads.
std::vector<Region> values_crossing(const Program& program, int bucket, const LiveExtent& extent, int begin,
                                    int end);
// The arena bytes of a bucket that hold nothing that node `node` or a later one reads.
std::vector<Region> arena_gaps(const Program& program, int bucket, int node);

// Copies of regions on the host.
class RegionCopy {
 public:
  RegionCopy(Backend& backend, std::vector<Region> regions);

  const std::vector<Region>& regions() const { return regions_; }
  const std::byte* data(size_t index) const { return bytes_.data() + offsets_[index]; }
  // Writes the copies back.
  void restore(Backend& backend) const;

 private:
  std::vector<Region> regions_;
  std::vector<size_t> offsets_;
  std::vector<std::byte> bytes_;
};

// One a region; waits for the device.
std::vector<uint64_t> checksums(Backend& backend, std::span<const Region> regions);

// Fills regions with 0xff: a NaN in every float, a huge or negative number in integers.
void poison(Backend& backend, std::span<const Region> regions);

}  // namespace musaic
