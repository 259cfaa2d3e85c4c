//===- Grids.h - micro-batches and groups of a grid -----------------------===//
//
// What section 1 of docs/spec/weight-stream.md says of a grid, for those who send and those who time.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_EXECUTABLE_GRIDS_H
#define WAFER_EXECUTABLE_GRIDS_H

#include "wafer/Executable/Executable.h"
#include "wafer/Machine/RepeatedTokens.h"

#include <algorithm>

namespace wafer {

/// Micro-batches that hold the tokens of a batch entry.
inline uint64_t microBatchesEach(const wexe::GridT &grid) { return uint64_t(grid.micro_batches) * grid.batches_at_once / grid.batches; }

/// A band of a group of columns holds tokens that follow one another: a place for them. Those of a group are numbered from the north, then come those of the next group.
inline uint32_t rowsOfBand(const wexe::GridT &grid) { return grid.rows / grid.bands; }
inline uint64_t placesOf(const wexe::GridT &grid) { return uint64_t(grid.groups) * grid.bands; }

/// Features and tokens of a tensor of this shape in a Send or Receive.
inline uint64_t featuresOf(const wexe::StepT &step, const std::vector<uint64_t> &shape) { return step.columns != 0 ? step.columns : shape.empty() ? 1 : shape.back(); }
inline uint64_t tokensOf(const wexe::StepT &step, const std::vector<uint64_t> &shape) {
  uint64_t elements = 1;
  for (uint64_t size : shape)
    elements *= size;
  return elements / std::max<uint64_t>(1, featuresOf(step, shape));
}

/// Groups that differ in what a Send of a tensor of this shape brings them.
inline uint64_t groupsThatDiffer(const wexe::GridT &grid, const wexe::StepT &step, const std::vector<uint64_t> &shape) {
  return groupsThatDiffer({grid.groups, grid.batches_at_once, uint64_t(rowsOfBand(grid)) * grid.token_block, grid.tokens / grid.batches, microBatchesEach(grid), grid.bands}, tokensOf(step, shape));
}

} // namespace wafer

#endif // WAFER_EXECUTABLE_GRIDS_H
