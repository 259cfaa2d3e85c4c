//===- ShortenLives.h - values that are made again instead of kept ---------===//

#ifndef WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SHORTENLIVES_H
#define WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SHORTENLIVES_H

#include "wafer/Analysis/SegmentCost.h"

namespace wafer::stream {

/// Moves maps of a segment to right behind what they read, and computes or sends values again where they are needed next, those first that give most room for their cycles, until values on such
/// a grid take at most `bytes` of a core's SRAM.
/// False if they come to no end, with the segment changed all the same.
bool shortenLives(SegmentOp segment, const Machine &machine, const GridShape &grid, int64_t bytes);

} // namespace wafer::stream

#endif // WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SHORTENLIVES_H
