//===- TensorStore.cpp - MemoryX's two tiers ------------------------------===//

#include "wafer/Runtime/TensorStore.h"

#include "Buffers.h"
#include "KeptRows.h"
#include "NearNames.h"

#include "wafer/Runtime/Safetensors.h"

#include <algorithm>
#include <cassert>

namespace wafer {

DramTier::Lease DramTier::take(uint64_t bytes) {
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return Lease(*this, bytes);
}

DramTier::Lease DramTier::acquire(uint64_t bytes, const std::atomic<bool> &cancelled) {
  assert(bytes <= budget_ && "a lease that can never be had");
  std::unique_lock lock(mutex_);
  roomOrCancelled_.wait(lock, [&] { return cancelled || bytes <= budget_ - used_; });
  return cancelled ? Lease() : take(bytes);
}

DramTier::Lease DramTier::tryAcquire(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  return bytes <= budget_ - used_ ? take(bytes) : Lease();
}

void DramTier::wake() {
  // The lock is for a waiter that has looked at `cancelled` and is about to wait.
  std::lock_guard lock(mutex_);
  roomOrCancelled_.notify_all();
}

void DramTier::release(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  used_ -= bytes;
  roomOrCancelled_.notify_all();
}

uint64_t DramTier::peak() const {
  std::lock_guard lock(mutex_);
  return peak_;
}

namespace {

class FileSource final : public TensorSource {
public:
  FileSource(std::shared_ptr<const SafetensorsFile> file, std::string name, const SafetensorsFile::Entry &entry,
             std::shared_ptr<std::atomic<uint64_t>> bytesRead)
      : file_(std::move(file)), name_(std::move(name)), entry_(entry), bytesRead_(std::move(bytesRead)) {}

  std::string describe() const override { return "tensor '" + name_ + "' of " + file_->path(); }
  DType dtype() const override { return entry_.dtype; }
  const Shape &shape() const override { return entry_.shape; }
  void read(uint64_t offset, uint64_t count, void *to) const override {
    file_->read(entry_, offset, count, to);
    *bytesRead_ += count;
  }

private:
  std::shared_ptr<const SafetensorsFile> file_;
  std::string name_;
  const SafetensorsFile::Entry &entry_;
  std::shared_ptr<std::atomic<uint64_t>> bytesRead_;
};

class MemorySource final : public TensorSource {
public:
  MemorySource(std::string name, Tensor tensor, std::shared_ptr<std::atomic<uint64_t>> bytesRead)
      : name_(std::move(name)), tensor_(std::move(tensor)), bytesRead_(std::move(bytesRead)) {}

  std::string describe() const override { return "tensor '" + name_ + "'"; }
  DType dtype() const override { return tensor_.dtype(); }
  const Shape &shape() const override { return tensor_.shape(); }
  void read(uint64_t offset, uint64_t count, void *to) const override {
    std::copy_n(tensor_.data() + offset, count, static_cast<uint8_t *>(to));
    *bytesRead_ += count;
  }
  const uint8_t *inMemory() const override { return tensor_.data(); }
  void countRead(uint64_t bytes) const override { *bytesRead_ += bytes; }

private:
  std::string name_;
  Tensor tensor_;
  std::shared_ptr<std::atomic<uint64_t>> bytesRead_;
};

} // namespace

TensorStore::TensorStore(uint64_t dramBudget)
    : dram_(dramBudget), buffers_(std::make_unique<Buffers>()), keptRows_(std::make_unique<KeptRowsOfSteps>()),
      flashBytesRead_(std::make_shared<std::atomic<uint64_t>>(0)) {}

TensorStore::~TensorStore() = default;

void TensorStore::addFile(const std::string &path) {
  auto file = std::make_shared<const SafetensorsFile>(path);
  for (const auto &[name, entry] : file->entries())
    if (auto other = tensors_.find(name); other != tensors_.end())
      throw RuntimeError(path + ": has tensor '" + name + "', but so has " + other->second->describe() + "; give each weight once");
  for (const auto &[name, entry] : file->entries())
    tensors_[name] = std::make_shared<FileSource>(file, name, entry, flashBytesRead_);
  files_.push_back(path);
}

std::shared_ptr<const TensorSource> TensorStore::lend(const std::string &name, Tensor tensor) const {
  return std::make_shared<MemorySource>(name, std::move(tensor), flashBytesRead_);
}

void TensorStore::set(const std::string &name, Tensor tensor) { tensors_[name] = lend(name, std::move(tensor)); }

std::shared_ptr<const TensorSource> TensorStore::find(const std::string &name, DType dtype, const Shape &shape) const {
  auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    std::vector<std::string> names;
    for (const auto &[known, source] : tensors_)
      names.push_back(known);
    std::string where = tensors_.empty() ? "no weights were given" : "there is none of that name";
    if (!files_.empty())
      where += " in " + listNames(files_);
    throw RuntimeError("weight '" + name + "' (" + describe(dtype, shape) + ") is missing: " + where + didYouMean(name, names));
  }
  const TensorSource &source = *found->second;
  if (source.dtype() != dtype || source.shape() != shape)
    throw RuntimeError(source.describe() + " is " + describe(source.dtype(), source.shape()) + ", expected " + describe(dtype, shape) +
                       (source.dtype() != dtype
                            ? "; convert it, or compile the program for weights of type " + std::string(wafer::name(source.dtype()))
                            : ""));
  return found->second;
}

MemoryXCounters TensorStore::counters() const { return {dram_.budget(), dram_.peak(), *flashBytesRead_, 0, prefetchHits_, prefetchWaits_}; }

LeasedTensor loadWhole(DramTier &dram, const TensorSource &source) {
  LeasedTensor loaded;
  loaded.lease = dram.tryAcquire(source.bytes());
  if (!loaded.lease)
    throw RuntimeError(source.describe() + " is needed whole by a function in MemoryX and has " + std::to_string(source.bytes()) +
                       " bytes, but the DRAM tier of " + std::to_string(dram.budget()) + " bytes has no room for it; use a larger one");
  loaded.tensor = Tensor::zeros(source.dtype(), source.shape());
  source.read(0, source.bytes(), loaded.tensor.mutableData());
  return loaded;
}

} // namespace wafer
