#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace musaic {

// A whole file mapped read-only. Owns the mapping.
class MappedFile {
 public:
  // Throws LoadError when the file cannot be opened or mapped.
  explicit MappedFile(std::filesystem::path path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  // Drops the pages of [offset, offset + size) from this process; a later read brings them back from the
  // file.
  void drop_pages(size_t offset, size_t size) const;

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

}  // namespace musaic
