//===- Semantics.h - what instructions do to elements ------------------------===//
//
// One home for the arithmetic of docs/spec/machine.md section 4: loads, conversions, element operations, stores, the walk of a descriptor
// and its footprint. All engines go through it or are tested against it, so they agree bit for bit.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_SEMANTICS_H
#define WAFER_LIB_EMULATOR_SEMANTICS_H

#include "wafer/Executable/Executable.h"
#include "wafer/Isa/Isa.h"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace wafer {

inline ElementType elementType(wexe::ElemType type) { return static_cast<ElementType>(type); }
inline bool isFloat(ElementType type) { return type == ElementType::F32 || type == ElementType::F16 || type == ElementType::BF16; }

/// A number on its way through an instruction: `f` for float types, `i` for integer types.
struct Number {
  float f = 0;
  int32_t i = 0;
};

/// Arithmetic gives one NaN: which operand's payload a host's adder keeps must not matter.
inline float canonicalNaN(float value) { return value == value ? value : std::numeric_limits<float>::quiet_NaN(); }

/// The element with these stored bits (low bits of `bits`), in its own type.
Number numberFromBits(ElementType stored, uint32_t bits);
/// The bits of a number of this type.
uint32_t bitsFromNumber(ElementType type, Number value);
/// Exact, or round to nearest even; to an integer type: nearest even, saturating, NaN becomes 0.
Number convert(Number value, ElementType from, ElementType to);
/// One element of a vector or function instruction; operands and result are of `type`.
Number compute(Opcode opcode, ElementType type, Number a, Number b, Number c);

/// The same for n elements in f32. Sources that the instruction does not have are not read.
void computeFloats(Opcode opcode, const float *a, const float *b, const float *c, float *result, size_t n);

/// The addresses of a memory descriptor's elements, one after another in row-major order.
class Walk {
public:
  Walk() = default;
  explicit Walk(const Descriptor &descriptor);
  /// Byte address of the current element.
  uint32_t address() const { return static_cast<uint32_t>(address_); }
  void next();

private:
  int64_t address_ = 0;
  int64_t step_[4] = {0, 0, 0, 0}; ///< bytes to the next element when dimension d moves and the inner ones start again
  uint16_t extent_[4] = {1, 1, 1, 1}, at_[4] = {0, 0, 0, 0};
};

/// A byte interval of SRAM or of the accumulator cache; empty when low == high.
struct Footprint {
  bool acc = false;
  int64_t low = 0, high = 0;
  bool overlaps(const Footprint &other) const { return acc == other.acc && low < other.high && other.low < high; }
};

/// The interval that a mem or acc descriptor spans; empty for other kinds and for no elements.
Footprint footprintOf(const Descriptor &descriptor);

inline bool isMemory(const Descriptor &descriptor) {
  return descriptor.kind == wexe::DescKind::Mem || descriptor.kind == wexe::DescKind::Acc;
}
inline bool isFabric(const Descriptor &descriptor) {
  return descriptor.kind == wexe::DescKind::FabIn || descriptor.kind == wexe::DescKind::FabOut;
}

/// Whether an arriving weight is multiplied only where a mask says so.
inline bool isMaskedFmac(Opcode opcode) {
  switch (opcode) {
  case Opcode::Fmacwm:
  case Opcode::Fmacpm:
  case Opcode::Fmacdm:
  case Opcode::Fmacqm:
  case Opcode::Fmacxm:
    return true;
  default:
    return false;
  }
}

/// Whether an arriving wavelet adds to a sum that is on its way through the fabric.
inline bool addsOnTheWay(Opcode opcode) { return opcode == Opcode::Dotw || opcode == Opcode::Addw; }

/// Elements that one wavelet carries.
inline unsigned elementsPerWavelet(wexe::ElemType type) { return byteSize(elementType(type)) == 2 ? 2 : 1; }

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_SEMANTICS_H
