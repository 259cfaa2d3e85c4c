//===- RowOrder.h - in which order rows of a weight are streamed -*- C++ -*-===//
//
// Rows of a contraction come in rounds of one for each column, every second round backwards (docs/spec/weight-stream.md): the column that has the result moves by
// one from row to row, so that partial sums never have all columns to pass while the next row waits for them. Where sums of several rows of a column go together, a
// round has so many for each column, one after another, and the last round as many as are left.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_ROWORDER_H
#define WAFER_MACHINE_ROWORDER_H

#include <algorithm>
#include <cstdint>

namespace wafer {

/// The row that is streamed at `place`, of `rows` in rounds of `together` for each of `columns`.
inline uint64_t streamedRow(uint64_t place, uint64_t rows, uint64_t columns, uint64_t together = 1) {
  const uint64_t whole = columns * together, round = place / whole, first = round * whole, inRound = place - first;
  // In the last round some columns have a row more than others.
  const uint64_t left = std::min(whole, rows - first), each = left / columns, more = left % columns;
  uint64_t column, number;
  if (round % 2 == 0) {
    const uint64_t longer = more * (each + 1);
    column = inRound < longer ? inRound / (each + 1) : more + (inRound - longer) / each;
    number = inRound < longer ? inRound % (each + 1) : (inRound - longer) % each;
  } else {
    const uint64_t shorter = (columns - more) * each;
    column = inRound < shorter ? columns - 1 - inRound / each : more - 1 - (inRound - shorter) / (each + 1);
    number = inRound < shorter ? inRound % each : (inRound - shorter) % (each + 1);
  }
  return first + number * columns + column;
}

/// Which of the rows whose sums go together a row is, and how many these are.
struct PlaceTogether {
  uint64_t place, count;
  bool isLast() const { return place + 1 == count; }
};
inline PlaceTogether placeTogether(uint64_t row, uint64_t rows, uint64_t columns, uint64_t together) {
  const uint64_t place = row / columns % together, left = rows - (row - place * columns);
  return {place, std::min(together, (left + columns - 1) / columns)};
}

} // namespace wafer

#endif // WAFER_MACHINE_ROWORDER_H
