#include "kvcache/page_pool.h"

#include "base/check.h"

namespace musaic {

PagePool::PagePool(int num_pages) : references_(static_cast<size_t>(num_pages), 0) {
  free_.reserve(references_.size());
  for (int32_t page = num_pages - 1; page >= 0; --page) free_.push_back(page);
}

int32_t PagePool::take() {
  CHECK(!free_.empty(), "page pool: no free page of {}", num_pages());
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::retain(int32_t page) {
  CHECK(references(page) > 0, "page pool: page {} is free", page);
  ++references_[static_cast<size_t>(page)];
}

void PagePool::release(int32_t page) {
  CHECK(references(page) > 0, "page pool: page {} is free already", page);
  if (--references_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

}  // namespace musaic
