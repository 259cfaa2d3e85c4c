//===- Buffers.h - memory that is used again ------------------------------===//
//
// Pieces of weights are so large that the host gives and takes their pages each time. A few are kept, with whatever is in them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_RUNTIME_BUFFERS_H
#define WAFER_LIB_RUNTIME_BUFFERS_H

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace wafer {

class Buffers {
public:
  /// Bytes that go back when they are no longer needed.
  class Buffer {
  public:
    Buffer() = default;
    Buffer(Buffer &&other) noexcept : bytes_(std::move(other.bytes_)), size_(other.size_), home_(std::exchange(other.home_, nullptr)) {}
    Buffer &operator=(Buffer &&other) noexcept {
      std::swap(bytes_, other.bytes_);
      std::swap(size_, other.size_);
      std::swap(home_, other.home_);
      return *this;
    }
    ~Buffer() {
      if (home_)
        home_->giveBack(std::move(bytes_), size_);
    }
    uint8_t *data() const { return bytes_.get(); }

  private:
    friend class Buffers;
    std::unique_ptr<uint8_t[]> bytes_;
    uint64_t size_ = 0;
    Buffers *home_ = nullptr;
  };

  /// Room for at least `bytes`, whose contents are unspecified.
  Buffer take(uint64_t bytes) {
    Buffer buffer;
    buffer.home_ = this;
    buffer.size_ = bytes;
    std::lock_guard lock(mutex_);
    for (auto kept = kept_.begin(); kept != kept_.end(); ++kept)
      if (kept->second >= bytes) {
        buffer.bytes_ = std::move(kept->first);
        buffer.size_ = kept->second;
        keptBytes_ -= kept->second;
        kept_.erase(kept);
        return buffer;
      }
    buffer.bytes_.reset(new uint8_t[bytes]);
    return buffer;
  }

private:
  static constexpr uint64_t mostKept = uint64_t(1) << 24;

  void giveBack(std::unique_ptr<uint8_t[]> bytes, uint64_t size) {
    std::lock_guard lock(mutex_);
    if (keptBytes_ + size > mostKept)
      return;
    keptBytes_ += size;
    kept_.emplace_back(std::move(bytes), size);
  }

  std::mutex mutex_;
  std::vector<std::pair<std::unique_ptr<uint8_t[]>, uint64_t>> kept_;
  uint64_t keptBytes_ = 0;
};

} // namespace wafer

#endif // WAFER_LIB_RUNTIME_BUFFERS_H
