//===- FunctionalKernels.h - inner loops of the functional engine ------------===//
//
// The documented order, many lanes at a time. Each has one meaning and is compiled for several instruction sets, of which the best that the host has is
// chosen at run time; all give the same bits.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALKERNELS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALKERNELS_H

#include "Semantics.h"

#include "wafer/Emulator/NumberFormats.h" // widenF16, narrowF16

#include <cstddef>
#include <cstdint>

namespace wafer {

/// One weight of a run: what it multiplies and by what.
struct RowWeight {
  const uint8_t *row;
  float value;
};

/// For each weight in order: sum[j] = fma(value, row[j], sum[j]) for j < n, one rounding each, or only where row[j] is not 0. Rows are f32 or f16. NaN results are
/// canonical.
void fmacRun(float *sum, size_t n, const RowWeight *weights, size_t count, ElementType rowType, bool skipsZeros);

/// Numbers that lie side by side in a tile of a panel; a multiple of every host's vector.
constexpr size_t tileWidth = 64;

/// A panel holds f32 rows of `width` numbers in tiles: number j of row k is at data[(j / tileWidth) * rows * tileWidth + k * tileWidth + j % tileWidth].
struct Panel {
  const float *data;
  size_t rows, width;
};

/// Runs of equally many weights in order of the rows that are multiplied at a time: their sums, a row and a weight fill the registers of the instruction set.
constexpr int panelHeight = 6;

/// Weights in order of arrival and the sums they go into, which have room for a whole number of tiles and are aligned to 64 bytes.
struct PanelRun {
  const float *values;
  const uint32_t *rows; ///< of the panel; null: 0, 1, 2, ...
  size_t count;
  float *sums;
  bool fromZero; ///< the sums are 0 before
};

/// For each run, for each of its weights in order: sums[j] = fma(value, row[j], sums[j]) for j < width, one rounding each. NaN results are canonical.
/// What is behind the width in the last tile is unspecified. `skipsZeros`: only where row[j] is not 0.
void contractPanel(const Panel &panel, const PanelRun *runs, size_t count, bool skipsZeros);

/// A weight, and where in a tile the row is that it multiplies. One stream of both is what the host reads ahead best.
struct PlacedWeight {
  float value;
  uint32_t at; ///< numbers from the tile's first
};

/// A row's weights for one column, in order of arrival, and which tile of sums theirs is added to.
struct RowRun {
  const float *values;        ///< of the panel's rows 0, 1, 2, ..., or null
  const PlacedWeight *placed; ///< of some rows
  size_t count;
  uint32_t place;
};

/// For each run: s = 0, s = fma(value, row[j], s) for each of its weights in order, then, if there are `ones`, s = fma(biases[place], ones[j], s); sums[place][j] += s. For the
/// first `width` numbers j of tiles, which are aligned to 64 bytes. A NaN stays one, with whatever bits. `skipsZeros`: only where row[j], or ones[j], is not 0.
void addProducts(const float *tile, size_t width, const RowRun *runs, size_t count, const float *ones, const float *biases, bool skipsZeros, float *sums);

/// Moves the values that are not 0 to the front, in order, and tells where they were. Both have room for `keepingRoom` more, whose contents become unspecified.
constexpr size_t keepingRoom = 16;
size_t keepNonzeros(float *values, size_t n, uint32_t *places);

/// `count` rows of n f32 or f16, which begin `step` bytes apart, as f32 in rows that begin `pitch` numbers apart.
void widenRows(const uint8_t *from, ElementType type, size_t n, size_t count, int64_t step, float *to, size_t pitch);

/// The dot product of a row of f32 or f16 and n numbers, as a dotw instruction adds it: eight sums in turn, then pairs of them.
float dotProduct(const uint8_t *row, ElementType rowType, const float *other, size_t n);

/// Arithmetic of f32 vector instructions on n elements, NaN results canonical. `result` may be `a` or `b`.
enum class Arithmetic { Add, Sub, Mul };
void arithmetic(Arithmetic operation, const float *a, const float *b, float *result, size_t n);
/// Elements of f32 or f16 side by side.
struct Elements {
  const uint8_t *at = nullptr;
  bool isHalf = false;
};
/// The same where operands and result are f32 or f16, the result rounded once more.
void arithmetic(Arithmetic operation, Elements a, Elements b, uint8_t *result, bool isHalf, size_t n);
/// With one number on the left.
void arithmeticWithScalar(Arithmetic operation, float a, const float *b, float *result, size_t n);

/// For each of `count` rows of `length` numbers in order: sums[j] = sums[j] + row[j], or the larger of both as `max` has it. NaN results canonical.
enum class Folding { Add, Max };
void fold(Folding folding, float *sums, const float *rows, size_t length, size_t count);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALKERNELS_H
