//===- AttentionCost.h - cycles and SRAM of attention on a grid -----------===//
//
// For SegmentCost: what docs/spec/kernels.md shows of `attend`, counted.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_ANALYSIS_ATTENTIONCOST_H
#define WAFER_LIB_ANALYSIS_ATTENTIONCOST_H

#include "wafer/Analysis/ContractionCost.h"

namespace wafer {

struct AttentionShape {
  int64_t heads = 1, size = 1; ///< heads, or parts of heads that lie in one column, of so many elements
  bool isAcross = false;       ///< two columns share a head
  bool isCausal = false, isGradient = false;
  bool isInPlace = false; ///< where queries, keys and values are
  bool isRotated = false;
  int64_t elementBytes = 4;

  bool operator==(const AttentionShape &other) const {
    auto tie = [](const AttentionShape &shape) {
      return std::tie(shape.heads, shape.size, shape.isAcross, shape.isCausal, shape.isGradient, shape.isInPlace, shape.isRotated, shape.elementBytes);
    };
    return tie(*this) == tie(other);
  }
};

/// Of one micro-batch, in which each group has the tokens of one batch entry.
double attentionCycles(const Machine &machine, const GridShape &grid, const AttentionShape &shape);

/// SRAM of a core beside queries, keys, values and results.
int64_t attentionBytes(const GridShape &grid, const AttentionShape &shape);

/// Multiply-accumulates for each token.
double attentionMacs(const Machine &machine, const GridShape &grid, int64_t entryTokens, const AttentionShape &shape);

/// Instructions of its tasks.
int64_t attentionInstructions(const Machine &machine, const GridShape &grid, const AttentionShape &shape);

} // namespace wafer

#endif // WAFER_LIB_ANALYSIS_ATTENTIONCOST_H
