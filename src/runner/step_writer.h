#pragma once

#include <string>
#include <vector>

#include "request/batch.h"
#include "runner/io_buffers.h"
#include "runner/token_feed.h"

namespace musaic {

// Writes a batch into the body's input buffers: token ids, positions, slots and the attention's metadata;
// what is used of them, nothing more.
class StepWriter {
 public:
  StepWriter(IoBuffers& buffers, TokenFeed& feed, int max_tokens, int max_sequences, int max_pages,
             int page_size);

  // For a graph whose inputs have this prefix; takes kTokenFromDevice from the feed. REQUIRES: the batch
  // keeps the limits.
  void write(const Batch& batch, const std::string& prefix);

 private:
  void write_sequence(const BatchSequence& sequence, int index, int first_row, const std::string& page_table);

  IoBuffers& buffers_;
  TokenFeed& feed_;
  int max_pages_;
  int page_size_;
  std::vector<int32_t> token_ids_, positions_, slots_;  // [max_tokens]
  std::vector<int32_t> query_start_, kv_lengths_;       // [max_sequences + 1], [max_sequences]
};

}  // namespace musaic
