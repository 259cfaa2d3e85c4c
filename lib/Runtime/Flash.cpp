//===- Flash.cpp - tensors in MemoryX's flash tier -------------------------===//

#include "wafer/Runtime/Flash.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace wafer {

namespace {

[[noreturn]] void fail(const std::string &folder, const char *what) {
  throw RuntimeError(folder + ": a tensor of MemoryX's flash tier cannot be " + what + ": " + std::strerror(errno));
}

struct File {
  int fd;
  ~File() { ::close(fd); }
};

void writeAll(int fd, const uint8_t *data, uint64_t bytes, const std::string &folder) {
  while (bytes > 0) {
    ssize_t n = ::write(fd, data, bytes);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      fail(folder, "written");
    data += n;
    bytes -= static_cast<uint64_t>(n);
  }
}

} // namespace

Tensor copyToFlash(const Tensor &tensor, const std::string &folder) {
  const uint64_t bytes = tensor.bytes();
  if (bytes == 0)
    return tensor;
  File file{::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
  if (file.fd < 0)
    fail(folder, "made");
  writeAll(file.fd, tensor.data(), bytes, folder);
  void *data = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED)
    fail(folder, "mapped");
  std::shared_ptr<const void> mapping(data, [bytes](const void *p) { ::munmap(const_cast<void *>(p), bytes); });
  return Tensor::borrow(tensor.dtype(), tensor.shape(), data, bytes, std::move(mapping));
}

} // namespace wafer
