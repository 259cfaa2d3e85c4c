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

/// For each row r < rows, result[r][j] = fma(weight[r][k], panel[k][j], ...) from +0 over k < count in order, for j < width; one rounding each, NaN results
/// canonical. Rows of `weight` are `weightStride` apart; panel and result have `width` floats per row.
void multiplyPanel(const float *panel, size_t width, const float *weight, size_t weightStride, size_t count, size_t rows, float *result);

/// One weight of a run: which row of the panel it multiplies, and by what.
struct RowWeight {
  uint32_t row;
  float value;
};
/// sum[j] = fma(value, panel[row][j], sum[j]) for each weight in order, otherwise as multiplyPanel.
void addWeights(const float *panel, size_t width, const RowWeight *weights, size_t count, float *sum);

/// result[j] = a[j] op b[j]; NaN results are canonical.
void addFloats(const float *a, const float *b, float *result, size_t n);
void subtractFloats(const float *a, const float *b, float *result, size_t n);
void multiplyFloats(const float *a, const float *b, float *result, size_t n);

/// Exact widening and round-to-nearest-even narrowing of n elements.
void widenF16(const uint8_t *from, float *to, size_t n);
void narrowF16(const float *from, uint8_t *to, size_t n);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALKERNELS_H
