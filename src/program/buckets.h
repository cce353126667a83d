#pragma once

#include <span>
#include <vector>

namespace musaic {

// Token counts of extend programs up to and including max_tokens: 4..32 step 4, 48..256 step 16, 288..512
// step 32, 576..1024 step 64, 1280..4096 step 256, then 512.
std::vector<int> extend_buckets(int max_tokens);

// Batch sizes of decode programs: `asked` (or 1, 2, 4, 8, 12, then 16 and up by 8 up to and with
// default_max or max_sequences when empty), sorted, clipped to max_sequences.
std::vector<int> decode_buckets(std::span<const int> asked, int default_max, int max_sequences);

// Row counts of head programs: logits are computed for at most the last one's rows at a time.
std::vector<int> head_buckets(int max_rows = 64);

// The order in which buckets are captured: the largest, then each next one of at most half its size, so that
// early on every step fits a captured bucket of less than twice its size; then the rest, largest first.
std::vector<int> capture_order(std::span<const int> buckets);

// The smallest bucket that holds `size`, or -1.
int bucket_for(std::span<const int> buckets, int size);

}  // namespace musaic
