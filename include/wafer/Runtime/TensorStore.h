//===- TensorStore.h - MemoryX's two tiers --------------------------------===//
//
// Weights by name. They rest in the flash tier, which is safetensors files (or the caller's memory), and pass through a DRAM tier of
// bounded size on their way to the wafer. Everything that MemoryX copies out of flash is leased from the DRAM tier, so its peak is a fact,
// not a guess.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_TENSORSTORE_H
#define WAFER_RUNTIME_TENSORSTORE_H

#include "wafer/Runtime/Tensor.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace wafer {

/// What MemoryX did with its memory since the store was made.
struct MemoryXCounters {
  uint64_t dramBudgetBytes = 0;
  uint64_t dramPeakBytes = 0;  ///< most weight bytes in the DRAM tier at one time
  uint64_t flashBytesRead = 0; ///< from files and from tensors that the caller lent
  uint64_t flashBytesWritten = 0; ///< activations and results that the DRAM tier had no room for
  uint64_t prefetchHits = 0;   ///< pieces of weights that were there when the stream came to them
  uint64_t prefetchWaits = 0;  ///< pieces that the stream waited for
};

/// The DRAM tier: a number of bytes to lease.
class DramTier {
public:
  /// Bytes of the tier, given back when the lease is destroyed.
  class Lease {
  public:
    Lease() = default;
    Lease(Lease &&other) noexcept : tier_(other.tier_), bytes_(other.bytes_) { other.tier_ = nullptr; }
    Lease &operator=(Lease &&other) noexcept {
      std::swap(tier_, other.tier_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Lease() {
      if (tier_)
        tier_->release(bytes_);
    }
    explicit operator bool() const { return tier_ != nullptr; }

  private:
    friend class DramTier;
    Lease(DramTier &tier, uint64_t bytes) : tier_(&tier), bytes_(bytes) {}
    DramTier *tier_ = nullptr;
    uint64_t bytes_ = 0;
  };

  explicit DramTier(uint64_t budget) : budget_(budget) {}

  uint64_t budget() const { return budget_; }
  /// Waits until there is room for `bytes`, which are at most the budget. Returns an empty lease when `cancelled` becomes true; `wake`
  /// makes waiters look at it.
  Lease acquire(uint64_t bytes, const std::atomic<bool> &cancelled);
  /// Without waiting; an empty lease when there is no room.
  Lease tryAcquire(uint64_t bytes);
  void wake();
  uint64_t peak() const;

private:
  void release(uint64_t bytes);
  Lease take(uint64_t bytes); ///< mutex_ is held and there is room

  const uint64_t budget_;
  mutable std::mutex mutex_;
  std::condition_variable roomOrCancelled_;
  uint64_t used_ = 0, peak_ = 0;
};

/// A tensor at rest.
class TensorSource {
public:
  virtual ~TensorSource() = default;
  /// For messages: "tensor 'fc.weight' of m.safetensors".
  virtual std::string describe() const = 0;
  virtual DType dtype() const = 0;
  virtual const Shape &shape() const = 0;
  /// Copies bytes of the data; may be called from several threads. Throws RuntimeError.
  virtual void read(uint64_t offset, uint64_t count, void *to) const = 0;

  /// All of the data where it lies in the host's memory, or null. Who looks at it there tells `countRead`.
  virtual const uint8_t *inMemory() const { return nullptr; }
  virtual void countRead(uint64_t /*bytes*/) const {}

  uint64_t bytes() const { return byteCount(dtype(), shape()).value(); }
};

class Buffers;
class KeptRowsOfSteps;

class TensorStore {
public:
  explicit TensorStore(uint64_t dramBudget);
  ~TensorStore();

  /// Makes every tensor of a safetensors file known. Throws RuntimeError for a damaged file, and for a tensor that another file has too.
  void addFile(const std::string &path);
  /// A tensor in the caller's memory; it takes the place of one of the same name.
  void set(const std::string &name, Tensor tensor);

  bool has(const std::string &name) const { return tensors_.count(name) != 0; }
  /// The tensor, if it is of this type and shape. Throws RuntimeError that names tensor, file, what was found and what was expected, and
  /// near names when there is none of that name.
  std::shared_ptr<const TensorSource> find(const std::string &name, DType dtype, const Shape &shape) const;

  /// A tensor of the caller's as a source that this store counts; it is not made known by name.
  std::shared_ptr<const TensorSource> lend(const std::string &name, Tensor tensor) const;

  DramTier &dram() { return dram_; }
  /// For pieces of tensors.
  Buffers &buffers() { return *buffers_; }
  /// By step of a program that outlives the store.
  KeptRowsOfSteps &keptRows() { return *keptRows_; }
  MemoryXCounters counters() const;
  void countPrefetch(bool wasReady) { ++(wasReady ? prefetchHits_ : prefetchWaits_); }

private:
  DramTier dram_;
  std::unique_ptr<Buffers> buffers_;
  std::unique_ptr<KeptRowsOfSteps> keptRows_;
  std::vector<std::string> files_;
  std::map<std::string, std::shared_ptr<const TensorSource>> tensors_;
  std::shared_ptr<std::atomic<uint64_t>> flashBytesRead_;
  std::atomic<uint64_t> prefetchHits_{0}, prefetchWaits_{0};
};

/// A whole tensor in DRAM, and the lease on its bytes.
struct LeasedTensor {
  Tensor tensor;
  DramTier::Lease lease;
};
/// Throws RuntimeError when the DRAM tier has no room for it.
LeasedTensor loadWhole(DramTier &dram, const TensorSource &source);

} // namespace wafer

#endif // WAFER_RUNTIME_TENSORSTORE_H
