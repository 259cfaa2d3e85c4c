//===- FunctionalContractionTasks.h - what a command does with a row's sum ----===//
//
// The control tasks of a contraction (docs/spec/kernels.md), known by what their instructions do: a core passes a sum on, makes a result of it, or exchanges
// what weights multiply. Whatever else a task does makes it none of these.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTIONTASKS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTIONTASKS_H

#include "CoreModel.h"

namespace wafer {

/// Registers are those that the task names.
struct SumTask {
  enum Kind {
    Other,
    Pass,    ///< out = in + sum; sum = 0; sum <-> otherSum
    Own,     ///< total = in + sum; sum = 0; result = total + secondIn; result += step bytes; sum <-> otherSum; total <-> otherTotal; maybe rows <-> otherRows
    Exchange ///< rows <-> otherRows
  } kind = Other;
  uint16_t pc = 0;
  uint8_t sum = 0, otherSum = 0, in = 0, secondIn = 0, out = 0, total = 0, otherTotal = 0, result = 0, rows = 0, otherRows = 0;
  bool exchangesRows = false;
  int16_t step = 0;
  unsigned instructions = 0, vectors = 0; ///< with its end; of them on elements
};

/// Reads the task at `pc`, whose trigger adds products of `rows` to `sum`.
SumTask readSumTask(const CoreModel &core, uint16_t pc, uint8_t sum, uint8_t rows);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALCONTRACTIONTASKS_H
