//===- FunctionalKernels.h - inner loops of the functional engine ------------===//
//
// The documented order, many lanes at a time. Each has one meaning and several implementations, chosen once by what the host can do; all give the same bits.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALKERNELS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALKERNELS_H

#include "Semantics.h"

#include <cstddef>
#include <cstdint>

namespace wafer {

/// One weight of a run: what it multiplies and by what.
struct RowWeight {
  const uint8_t *row;
  float value;
};

/// For each weight in order: sum[j] = fma(value, row[j], sum[j]) for j < n, one rounding each. Rows are f32 or f16. NaN results are canonical.
void fmacRun(float *sum, size_t n, const RowWeight *weights, size_t count, ElementType rowType);

/// Exact widening and round-to-nearest-even narrowing of n elements.
void widenF16(const uint8_t *from, float *to, size_t n);
void narrowF16(const float *from, uint8_t *to, size_t n);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALKERNELS_H
