//===- Tensor.h - tensors outside the wafer -------------------------------===//
//
// The value that files, MemoryX and callers exchange: an element type, a shape and the elements, owned or borrowed. Also the one place
// where MemoryX converts elements from one type to another.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_TENSOR_H
#define WAFER_RUNTIME_TENSOR_H

#include "wafer/Executable/Executable.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace wafer {

/// Something outside a program is not as it should be: a file, a tensor, a name. The message says what was found, what was expected and
/// where. Visible because the plug-in of lib/Compute throws it too.
class __attribute__((visibility("default"))) RuntimeError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

enum class DType : uint8_t { F32, F16, BF16, F64, I64, I32, I16, I8, U8, Bool };
inline constexpr unsigned numDTypes = 10;

using Shape = std::vector<uint64_t>;

unsigned byteSize(DType type);
/// "f32", "bool"
const char *name(DType type);
/// The type that the executable means. Throws RuntimeError for None.
DType dtypeOf(wexe::ElemType type);

/// Number of elements, or nothing when it does not fit in 64 bits.
std::optional<uint64_t> elementCount(const Shape &shape);
/// Number of bytes, or nothing when it does not fit in 63 bits.
std::optional<uint64_t> byteCount(DType type, const Shape &shape);
/// "f32[360x64]"
std::string describe(DType type, const Shape &shape);

/// A dense row-major tensor. Copies share the elements.
class Tensor {
public:
  /// f32[0]
  Tensor() = default;
  /// Throws RuntimeError when the size overflows, std::bad_alloc when there is no memory.
  static Tensor zeros(DType type, Shape shape);
  static Tensor copyOf(DType type, Shape shape, const void *data, uint64_t bytes);
  /// Elements that someone else owns: `keepAlive` is held as long as a copy of the tensor lives; without one the caller sees to that.
  /// Throws RuntimeError when `bytes` is not what the shape needs.
  static Tensor borrow(DType type, Shape shape, const void *data, uint64_t bytes, std::shared_ptr<const void> keepAlive = nullptr);

  DType dtype() const { return type_; }
  const Shape &shape() const { return shape_; }
  uint64_t elements() const { return bytes_ / byteSize(type_); }
  uint64_t bytes() const { return bytes_; }
  const uint8_t *data() const { return data_; }
  /// The elements of a tensor made by `zeros` or `copyOf`, to fill them in.
  uint8_t *mutableData();
  /// The same elements under another shape. Throws RuntimeError when the numbers of elements differ.
  Tensor reshaped(Shape shape) const;

private:
  DType type_ = DType::F32;
  Shape shape_ = {0};
  uint64_t bytes_ = 0;
  const uint8_t *data_ = nullptr;
  bool owned_ = false;
  std::shared_ptr<const void> keepAlive_;
};

inline std::string describe(const Tensor &tensor) { return describe(tensor.dtype(), tensor.shape()); }

/// Converts `count` elements between types that the executable knows (f32, f16, bf16, i32, i16, i8), exactly or with one rounding to
/// nearest even; integers saturate, a NaN becomes integer 0.
void convertElements(DType fromType, const uint8_t *from, size_t count, DType toType, uint8_t *to);

} // namespace wafer

#endif // WAFER_RUNTIME_TENSOR_H
