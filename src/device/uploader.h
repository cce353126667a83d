#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace musaic {

// Brings what one thread makes piece by piece into device memory: one piece is copied while the next is made.
// Used by one thread; several of one backend may work at a time.
class Uploader {
 public:
  virtual ~Uploader() = default;
  // Where the next piece is made, of at most as many bytes as the uploader was made for. Waits until what lay
  // there is copied.
  virtual std::byte* room() = 0;
  // Enqueues the copy of the first `bytes` of the room.
  virtual void upload(void* destination, size_t bytes) = 0;
  // Returns when all copies are done.
  virtual void finish() = 0;
};

// By a function that copies at once.
class CopyingUploader : public Uploader {
 public:
  using Copy = std::function<void(void* destination, const void* source, size_t bytes)>;
  CopyingUploader(size_t piece_bytes, Copy copy) : room_(piece_bytes), copy_(std::move(copy)) {}

  std::byte* room() override { return room_.data(); }
  void upload(void* destination, size_t bytes) override { copy_(destination, room_.data(), bytes); }
  void finish() override {}

 private:
  std::vector<std::byte> room_;
  Copy copy_;
};

}  // namespace musaic
