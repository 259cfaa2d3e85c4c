//===- FunctionalFunctions.h - nonlinear functions, many numbers at a time ----===//
//
// A function is the double-precision one of the C library, rounded to f32 (docs/spec/machine.md section 4). A vector of doubles whose last bits may differ rounds to
// the same f32 unless it is near the middle between two; there, and where f32 is denormal or overflows, the library is asked.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALFUNCTIONS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALFUNCTIONS_H

#include "Semantics.h"

namespace wafer {

/// result[j] = function of a[j] with the bits of `computeFloats`. False for instructions that have no vector form here.
/// `result` may be `a`.
bool computeFunctions(Opcode opcode, const float *a, float *result, size_t n);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALFUNCTIONS_H
