//===- Tensor.cpp - tensors outside the wafer -----------------------------===//

#include "wafer/Runtime/Tensor.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <new>
#include <type_traits>

namespace wafer {

unsigned byteSize(DType type) {
  switch (type) {
  case DType::F64:
  case DType::I64:
    return 8;
  case DType::F32:
  case DType::I32:
    return 4;
  case DType::F16:
  case DType::BF16:
  case DType::I16:
    return 2;
  case DType::I8:
  case DType::U8:
  case DType::Bool:
    return 1;
  }
  return 1;
}

const char *name(DType type) {
  static const char *const names[numDTypes] = {"f32", "f16", "bf16", "f64", "i64", "i32", "i16", "i8", "u8", "bool"};
  return names[static_cast<unsigned>(type)];
}

DType dtypeOf(wexe::ElemType type) {
  switch (type) {
  case wexe::ElemType::F32:
    return DType::F32;
  case wexe::ElemType::F16:
    return DType::F16;
  case wexe::ElemType::BF16:
    return DType::BF16;
  case wexe::ElemType::I32:
    return DType::I32;
  case wexe::ElemType::I16:
    return DType::I16;
  case wexe::ElemType::I8:
    return DType::I8;
  default:
    throw RuntimeError("found element type " + std::to_string(unsigned(type)) + " in the executable, expected 1 to 6");
  }
}

std::optional<uint64_t> elementCount(const Shape &shape) {
  if (std::count(shape.begin(), shape.end(), 0u) != 0)
    return 0; // whatever the other dimensions are
  uint64_t count = 1;
  for (uint64_t n : shape)
    if (__builtin_mul_overflow(count, n, &count))
      return std::nullopt;
  return count;
}

std::optional<uint64_t> byteCount(DType type, const Shape &shape) {
  std::optional<uint64_t> count = elementCount(shape);
  uint64_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, uint64_t(byteSize(type)), &bytes) || bytes > INT64_MAX)
    return std::nullopt;
  return bytes;
}

std::string describe(DType type, const Shape &shape) {
  std::string text = std::string(name(type)) + "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? "x" : "") + std::to_string(shape[i]);
  return text + "]";
}

static uint64_t checkedByteCount(DType type, const Shape &shape) {
  std::optional<uint64_t> bytes = byteCount(type, shape);
  if (!bytes)
    throw RuntimeError("found a tensor " + describe(type, shape) + ", whose size does not fit in 63 bits");
  return *bytes;
}

Tensor Tensor::zeros(DType type, Shape shape) {
  Tensor tensor;
  tensor.bytes_ = checkedByteCount(type, shape);
  tensor.type_ = type;
  tensor.shape_ = std::move(shape);
  void *data = std::calloc(std::max<uint64_t>(tensor.bytes_, 1), 1);
  if (!data)
    throw std::bad_alloc();
  tensor.keepAlive_ = std::shared_ptr<const void>(data, [](const void *p) { std::free(const_cast<void *>(p)); });
  tensor.data_ = static_cast<const uint8_t *>(data);
  tensor.owned_ = true;
  return tensor;
}

Tensor Tensor::copyOf(DType type, Shape shape, const void *data, uint64_t bytes) {
  Tensor tensor = zeros(type, std::move(shape));
  Tensor source = borrow(type, tensor.shape_, data, bytes);
  std::copy_n(source.data_, bytes, tensor.mutableData());
  return tensor;
}

Tensor Tensor::borrow(DType type, Shape shape, const void *data, uint64_t bytes, std::shared_ptr<const void> keepAlive) {
  if (uint64_t expected = checkedByteCount(type, shape); bytes != expected)
    throw RuntimeError("found " + std::to_string(bytes) + " bytes for a tensor " + describe(type, shape) + ", expected " +
                       std::to_string(expected));
  Tensor tensor;
  tensor.type_ = type;
  tensor.shape_ = std::move(shape);
  tensor.bytes_ = bytes;
  tensor.data_ = static_cast<const uint8_t *>(data);
  tensor.keepAlive_ = std::move(keepAlive);
  return tensor;
}

uint8_t *Tensor::mutableData() {
  assert(owned_ && "a borrowed tensor is not ours to write");
  return const_cast<uint8_t *>(data_);
}

Tensor Tensor::reshaped(Shape shape) const {
  if (byteCount(type_, shape) != bytes_)
    throw RuntimeError("found a tensor " + describe(*this) + ", which cannot have the shape of " + describe(type_, shape));
  Tensor tensor = *this;
  tensor.shape_ = std::move(shape);
  return tensor;
}

namespace {

/// An f32 between which and `value` no number of a 16-bit type or midpoint of two lies: inexact values get a set last bit (round to odd),
/// so that rounding once more gives what rounding once would.
float towardsHalf(double value) {
  float nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value)
    return nearest;
  uint32_t bits = bitsOf(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value))
    --bits; // towards zero
  return floatOf(bits | 1);
}

template <typename Integer> Integer saturated(double value) {
  if (std::isnan(value))
    return 0;
  return static_cast<Integer>(
      std::clamp<double>(std::nearbyint(value), std::numeric_limits<Integer>::min(), std::numeric_limits<Integer>::max()));
}

// One class per type: how it is stored and read. Each value of these types is exact in double, and each of the float types in f32.
struct Float32 {
  using Stored = uint32_t;
  static float read(Stored bits) { return floatOf(bits); }
  static Stored write(float value) { return bitsOf(value); }
  static Stored write(double value) { return bitsOf(static_cast<float>(value)); }
};
struct Float16 {
  using Stored = uint16_t;
  static float read(Stored bits) { return f16ToF32(bits); }
  static Stored write(float value) { return f32ToF16(value); }
  static Stored write(double value) { return f32ToF16(towardsHalf(value)); }
};
struct BFloat16 {
  using Stored = uint16_t;
  static float read(Stored bits) { return bf16ToF32(bits); }
  static Stored write(float value) { return f32ToBf16(value); }
  static Stored write(double value) { return f32ToBf16(towardsHalf(value)); }
};
template <typename T> struct Integer {
  using Stored = T;
  static double read(Stored value) { return value; }
  static Stored write(double value) { return saturated<T>(value); }
};

template <typename From, typename To> void convertLoop(const uint8_t *from, size_t count, uint8_t *to) {
  for (size_t i = 0; i < count; ++i) {
    typename From::Stored source;
    std::memcpy(&source, from + i * sizeof source, sizeof source);
    typename To::Stored target = To::write(From::read(source));
    std::memcpy(to + i * sizeof target, &target, sizeof target);
  }
}

/// Calls `use` with an object of the class for `type`.
template <typename Use> void withType(DType type, Use use) {
  switch (type) {
  case DType::F32:
    return use(Float32());
  case DType::F16:
    return use(Float16());
  case DType::BF16:
    return use(BFloat16());
  case DType::I32:
    return use(Integer<int32_t>());
  case DType::I16:
    return use(Integer<int16_t>());
  case DType::I8:
    return use(Integer<int8_t>());
  default:
    assert(false && "not a type of the executable");
  }
}

} // namespace

void convertElements(DType fromType, const uint8_t *from, size_t count, DType toType, uint8_t *to) {
  if (fromType == toType) {
    std::copy_n(from, count * byteSize(fromType), to);
    return;
  }
  if (fromType == DType::F32 && toType == DType::F16 && reinterpret_cast<uintptr_t>(from) % alignof(float) == 0)
    return narrowF16(reinterpret_cast<const float *>(from), to, count);
  if (fromType == DType::F16 && toType == DType::F32 && reinterpret_cast<uintptr_t>(to) % alignof(float) == 0)
    return widenF16(from, reinterpret_cast<float *>(to), count);
  withType(fromType,
           [&](auto source) { withType(toType, [&](auto target) { convertLoop<decltype(source), decltype(target)>(from, count, to); }); });
}

} // namespace wafer
