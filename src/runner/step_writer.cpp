#include "runner/step_writer.h"

#include "base/check.h"

namespace musaic {

StepWriter::StepWriter(IoBuffers& buffers, TokenFeed& feed, int max_tokens, int max_sequences, int max_pages,
                       int page_size)
    : buffers_(buffers),
      feed_(feed),
      max_pages_(max_pages),
      page_size_(page_size),
      token_ids_(max_tokens),
      positions_(max_tokens),
      slots_(max_tokens),
      query_start_(max_sequences + 1),
      kv_lengths_(max_sequences) {}

void StepWriter::write_sequence(const BatchSequence& sequence, int index, int first_row,
                                const std::string& page_table) {
  const int num_tokens = static_cast<int>(sequence.tokens.size());
  const int length = sequence.start + num_tokens;
  CHECK(static_cast<int>(sequence.pages.size()) <= max_pages_ &&
            length <= static_cast<int>(sequence.pages.size()) * page_size_,
        "request {}: {} positions in {} pages", sequence.request, length, sequence.pages.size());
  for (int i = 0; i < num_tokens; ++i) {
    const int position = sequence.start + i;
    const TokenId token = sequence.tokens[i];
    token_ids_[first_row + i] = token == kTokenFromDevice ? feed_.take(sequence.slot, first_row + i) : token;
    positions_[first_row + i] = position;
    slots_[first_row + i] = sequence.pages[position / page_size_] * page_size_ + position % page_size_;
  }
  query_start_[index] = first_row;
  kv_lengths_[index] = length;
  buffers_.write(page_table, std::span<const int32_t>(sequence.pages),
                 static_cast<size_t>(index) * max_pages_);
}

void StepWriter::write(const Batch& batch, const std::string& prefix) {
  feed_.begin_step();
  int rows = 0;
  int index = 0;
  const std::string page_table = prefix + "page_table";
  for (const BatchSequence& sequence : batch.sequences) {
    write_sequence(sequence, index++, rows, page_table);
    rows += static_cast<int>(sequence.tokens.size());
  }
  query_start_[index] = rows;
  const auto write = [&](const char* name, const std::vector<int32_t>& values, size_t count) {
    buffers_.write(prefix + name, std::span<const int32_t>(values.data(), count));
  };
  buffers_.write(prefix + "num_tokens", std::span<const int32_t>(&rows, 1));
  buffers_.write(prefix + "num_sequences", std::span<const int32_t>(&index, 1));
  write("token_ids", token_ids_, rows);
  write("positions", positions_, rows);
  write("slots", slots_, rows);
  write("query_start", query_start_, index + 1);
  write("kv_lengths", kv_lengths_, index);
}

}  // namespace musaic
