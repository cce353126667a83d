#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace musaic {

// The pages of the KV memory, with a count of holders each. Holds numbers only; the memory is the runner's.
// Used by the engine thread only.
class PagePool {
 public:
  explicit PagePool(int num_pages);

  int num_pages() const { return static_cast<int>(references_.size()); }
  int num_free() const { return static_cast<int>(free_.size()); }
  int references(int32_t page) const { return references_[static_cast<size_t>(page)]; }

  // A free page, now held once. Pages used last come first, so that untouched memory stays untouched.
  // REQUIRES: num_free() > 0.
  int32_t take();
  void retain(int32_t page);   // REQUIRES: the page is held.
  void release(int32_t page);  // REQUIRES: the page is held. Free when the last holder releases it.

 private:
  std::vector<int32_t> free_;
  std::vector<int32_t> references_;
};

}  // namespace musaic
