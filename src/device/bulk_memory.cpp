#include "device/bulk_memory.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "device/backend.h"
#include "device/checksum.h"

namespace musaic {
namespace {

constexpr size_t kPieceBytes = size_t{256} << 10;  // stays in a processor's cache

class CopiedMemory : public BulkMemory {
 public:
  explicit CopiedMemory(Backend& backend) : backend_(backend) {}

  void fill(void* destination, std::byte value, size_t bytes) override {
    const std::vector<std::byte> filler(std::min(bytes, kPieceBytes), value);
    for (size_t done = 0; done < bytes; done += kPieceBytes)
      backend_.copy_to_device(static_cast<std::byte*>(destination) + done, filler.data(),
                              std::min(bytes - done, kPieceBytes), backend_.stream());
  }

  uint64_t checksum(const void* data, size_t bytes) override {
    Checksum sum;
    std::vector<std::byte> piece(std::min(bytes, kPieceBytes));
    for (size_t done = 0; done < bytes; done += kPieceBytes) {
      const size_t count = std::min(bytes - done, kPieceBytes);
      backend_.copy_to_host(piece.data(), static_cast<const std::byte*>(data) + done, count,
                            backend_.stream());
      backend_.stream().synchronize();
      sum.add(piece.data(), count / sizeof(uint64_t));
    }
    return sum.value;
  }

  std::unique_ptr<Uploader> make_uploader(size_t piece_bytes) override {
    return std::make_unique<CopyingUploader>(
        piece_bytes, [this](void* destination, const void* source, size_t bytes) {
          const std::lock_guard lock(mutex_);
          backend_.copy_to_device(destination, source, bytes, backend_.stream());
        });
  }

 private:
  Backend& backend_;
  std::mutex mutex_;  // one uploader copies at a time
};

}  // namespace

std::shared_ptr<BulkMemory> bulk_memory(Backend& backend) {
  if (auto* own = dynamic_cast<BulkMemory*>(&backend)) return {own, [](BulkMemory*) {}};
  return std::make_shared<CopiedMemory>(backend);
}

}  // namespace musaic
