#include "runner/step_writer.h"

#include <algorithm>

#include "base/check.h"

namespace musaic {

StepWriter::StepWriter(Backend& backend, const IoBuffers& buffers, int max_tokens, int max_sequences,
                       int max_pages, int page_size)
    : backend_(backend),
      buffers_(buffers),
      max_pages_(max_pages),
      page_size_(page_size),
      token_ids_(max_tokens),
      positions_(max_tokens),
      slots_(max_tokens),
      query_start_(max_sequences + 1),
      kv_lengths_(max_sequences),
      page_table_(static_cast<size_t>(max_sequences) * max_pages) {}

void StepWriter::write_sequence(const BatchSequence& sequence, int index, int first_row) {
  const int num_tokens = static_cast<int>(sequence.tokens.size());
  const int length = sequence.start + num_tokens;
  CHECK(static_cast<int>(sequence.pages.size()) <= max_pages_ &&
            length <= static_cast<int>(sequence.pages.size()) * page_size_,
        "request {}: {} positions in {} pages", sequence.request, length, sequence.pages.size());
  for (int i = 0; i < num_tokens; ++i) {
    const int position = sequence.start + i;
    token_ids_[first_row + i] = sequence.tokens[i];
    positions_[first_row + i] = position;
    slots_[first_row + i] = sequence.pages[position / page_size_] * page_size_ + position % page_size_;
  }
  query_start_[index] = first_row;
  kv_lengths_[index] = length;
  std::copy(sequence.pages.begin(), sequence.pages.end(),
            page_table_.begin() + static_cast<size_t>(index) * max_pages_);
}

void StepWriter::write(const Batch& batch) {
  int rows = 0;
  int index = 0;
  for (const BatchSequence& sequence : batch.sequences) {
    write_sequence(sequence, index++, rows);
    rows += static_cast<int>(sequence.tokens.size());
  }
  query_start_[index] = rows;
  const auto copy = [&](const char* name, const int32_t* source, size_t count) {
    backend_.copy_to_device(buffers_.get<int32_t>(name), source, count * sizeof(int32_t), backend_.stream());
  };
  copy("num_tokens", &rows, 1);
  copy("num_sequences", &index, 1);
  copy("token_ids", token_ids_.data(), rows);
  copy("positions", positions_.data(), rows);
  copy("slots", slots_.data(), rows);
  copy("query_start", query_start_.data(), index + 1);
  copy("kv_lengths", kv_lengths_.data(), index);
  copy("page_table", page_table_.data(), static_cast<size_t>(index) * max_pages_);
}

}  // namespace musaic
