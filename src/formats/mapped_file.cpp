#include "formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/status.h"

namespace musaic {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string system_message() {
  return std::generic_category().message(errno);
}

std::span<const std::byte> map_read_only(const std::filesystem::path& path) {
  const FileDescriptor file(path);
  if (file.get() < 0) fail_load("{}: cannot be opened: {}", path.string(), system_message());
  struct stat status;
  if (::fstat(file.get(), &status) != 0) fail_load("{}: cannot be read: {}", path.string(), system_message());
  if (!S_ISREG(status.st_mode)) fail_load("{}: expected a regular file, got something else", path.string());
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return {};  // an empty mapping is an error to the kernel, an empty file is none to us
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) fail_load("{}: cannot be mapped: {}", path.string(), system_message());
  ::madvise(address, size, MADV_NOHUGEPAGE);  // else reading one row makes 2 MiB around it resident
  return {static_cast<const std::byte*>(address), size};
}

void unmap(std::span<const std::byte> bytes) {
  if (!bytes.empty()) ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size());
}

}  // namespace

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)), bytes_(map_read_only(path_)) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  unmap(bytes_);
}

void MappedFile::drop_pages(size_t offset, size_t size) const {
  CHECK(offset <= bytes_.size() && size <= bytes_.size() - offset, "{} + {} is beyond {} bytes", offset, size,
        bytes_.size());
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page;  // pages shared with neighbours stay
  const size_t end = (offset + size) / page * page;
  if (begin >= end) return;
  ::madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace musaic
