//===- CoreMemory.cpp - what cores have in memory -----------------------------===//

#include "CoreMemory.h"

#include <new>

#include <sys/mman.h>

namespace wafer {

namespace {

constexpr size_t line = 64, largePage = size_t(1) << 21;
/// Beyond that a wafer may have many cores of whose memory little is used, and a large page is there as a whole.
constexpr size_t mostInLargePages = size_t(1) << 28;

size_t roundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

} // namespace

/// A line more than each needs: the same address of neighbours would be one set of the host's cache.
CoreMemory::CoreMemory(size_t cores, size_t bytesEach) : each_(roundUp(bytesEach, line) + line) {
  const size_t bytes = roundUp(cores * each_, largePage) + largePage;
  void *pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED)
    throw std::bad_alloc();
  const size_t begin = roundUp(reinterpret_cast<uintptr_t>(pages), largePage) - reinterpret_cast<uintptr_t>(pages);
#ifdef MADV_HUGEPAGE
  if (bytes <= mostInLargePages)
    ::madvise(static_cast<uint8_t *>(pages) + begin, bytes - largePage, MADV_HUGEPAGE); // a wish
#endif
  all_ = std::shared_ptr<uint8_t>(static_cast<uint8_t *>(pages) + begin, [pages, bytes](uint8_t *) { ::munmap(pages, bytes); });
}

} // namespace wafer
