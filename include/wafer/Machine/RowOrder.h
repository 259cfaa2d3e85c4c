//===- RowOrder.h - in which order rows of a weight are streamed -*- C++ -*-===//
//
// Rows of a contraction come in rounds of one for each column, every second round backwards (docs/spec/weight-stream.md): the column that has the result moves by
// one from row to row, so that partial sums never have all columns to pass while the next row waits for them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_ROWORDER_H
#define WAFER_MACHINE_ROWORDER_H

#include <algorithm>
#include <cstdint>

namespace wafer {

/// The row that is streamed at `place`, of `rows` in rounds of `roundLength`.
inline uint64_t streamedRow(uint64_t place, uint64_t rows, uint64_t roundLength) {
  const uint64_t round = place / roundLength, first = round * roundLength;
  return round % 2 == 0 ? place : first + std::min(roundLength, rows - first) - 1 - (place - first);
}

} // namespace wafer

#endif // WAFER_MACHINE_ROWORDER_H
