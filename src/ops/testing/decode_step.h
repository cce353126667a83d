#pragma once

#include <cstdint>
#include <vector>

#include "ops/testing/test_tensor.h"

// Decode steps over a paged cache, whose sequence s has the rows and the pages of text ids[s]: a text gives
// the same ones in every step.
namespace musaic::testing {

std::vector<int> one_text_each(size_t sequences);

// [ids.size(), width] float32
TestTensor rows_of_texts(const std::vector<int>& ids, int width, uint32_t seed, float scale = 1);

// Where sequences lie in the cache, of kv_lengths[s] positions, the step's own included.
struct DecodePages {
  std::vector<int32_t> query_start;
  std::vector<int32_t> pages;  // pages_of_text a sequence
  std::vector<int32_t> slots;  // of the step's rows

  DecodePages(const std::vector<int32_t>& kv_lengths, const std::vector<int>& ids, int32_t pages_of_text,
              int32_t page_size);
};

}  // namespace musaic::testing
