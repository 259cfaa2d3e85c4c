//===- FunctionalValue.h - numbers of all cores of a batch -------------------===//
//
// What a memory operand or a message of a batch is while it is not in the cores' memory: the same f32 elements of each core side by side. Values are
// handed on between batches of one domain, which one thread runs at a time, so that neither counts of uses nor the pool need a lock.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALVALUE_H
#define WAFER_LIB_EMULATOR_FUNCTIONALVALUE_H

#include "FunctionalKernels.h"

#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace wafer {

/// Cores of a batch, by place in it.
using CoreMask = uint64_t;
constexpr size_t mostCoresInBatch = 64;
inline CoreMask maskOf(size_t core) { return CoreMask(1) << core; }
inline CoreMask allCores(size_t count) { return count == mostCoresInBatch ? ~CoreMask(0) : maskOf(count) - 1; }

class ValuePool;

struct Value {
  std::unique_ptr<float[], void (*)(float *)> data{nullptr, [](float *p) { ::operator delete[](p, std::align_val_t(64)); }};
  size_t capacity = 0;
  CoreMask ready = 0; ///< cores whose elements are there
  unsigned uses = 0;
  ValuePool *pool = nullptr;
};

/// Counts its use of a value, which goes back to the pool with the last one. Null stands for zeros.
class ValueRef {
public:
  ValueRef() = default;
  explicit ValueRef(Value *value) : value_(value) { ++value->uses; }
  ValueRef(const ValueRef &other) : value_(other.value_) {
    if (value_)
      ++value_->uses;
  }
  ValueRef(ValueRef &&other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  ValueRef &operator=(ValueRef other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~ValueRef() { reset(); }
  inline void reset();

  explicit operator bool() const { return value_ != nullptr; }
  Value *operator->() const { return value_; }
  float *data() const { return value_->data.get(); }
  bool isMine() const { return value_->uses == 1; }
  bool isReady(CoreMask cores) const { return !value_ || (value_->ready & cores) == cores; }

private:
  Value *value_ = nullptr;
};

class ValuePool {
public:
  /// Room for `floats` and for the rest of a tile. Nothing is ready, the contents are unspecified.
  ValueRef make(size_t floats) {
    Value *value;
    if (free_.empty()) {
      all_.push_back(std::make_unique<Value>());
      value = all_.back().get();
      value->pool = this;
    } else {
      value = free_.back();
      free_.pop_back();
    }
    const size_t room = (floats + tileWidth - 1) / tileWidth * tileWidth;
    if (value->capacity < room) {
      value->data.reset(static_cast<float *>(::operator new[](room * sizeof(float), std::align_val_t(64))));
      value->capacity = room;
    }
    value->ready = 0;
    return ValueRef(value);
  }
  void takeBack(Value *value) { free_.push_back(value); }

private:
  std::vector<std::unique_ptr<Value>> all_;
  std::vector<Value *> free_;
};

inline void ValueRef::reset() {
  if (value_ && --value_->uses == 0)
    value_->pool->takeBack(value_);
  value_ = nullptr;
}

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALVALUE_H
