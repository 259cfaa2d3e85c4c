//===- ReadOnlyFile.cpp - bytes of a file at an offset --------------------===//

#include "ReadOnlyFile.h"

#include "wafer/Runtime/Tensor.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace wafer {

/// Linux reads at most this much at once.
static constexpr uint64_t mostBytesPerRead = uint64_t(1) << 30;

ReadOnlyFile::ReadOnlyFile(const std::string &path) : path_(path) {
  // Without O_NONBLOCK, opening a pipe waits for its writer.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0)
    throw RuntimeError(path + ": cannot be read: " + std::strerror(errno));
  struct stat info;
  if (::fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor_);
    throw RuntimeError(path + ": is not a regular file");
  }
  size_ = static_cast<uint64_t>(info.st_size);
}

ReadOnlyFile::~ReadOnlyFile() { ::close(descriptor_); }

void ReadOnlyFile::read(uint64_t offset, uint64_t count, void *to) const {
  uint8_t *target = static_cast<uint8_t *>(to);
  while (count > 0) {
    ssize_t got = ::pread(descriptor_, target, std::min(count, mostBytesPerRead), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      throw RuntimeError(path_ + ": cannot be read at byte " + std::to_string(offset) + ": " + std::strerror(errno));
    if (got == 0)
      throw RuntimeError(path_ + ": ends at byte " + std::to_string(offset) + ", expected " + std::to_string(size_) +
                         " bytes as when it was opened; leave it alone while it is in use");
    offset += static_cast<uint64_t>(got);
    count -= static_cast<uint64_t>(got);
    target += got;
  }
}

} // namespace wafer
