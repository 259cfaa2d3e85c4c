//===- SegmentBuffers.h - which values of a segment share SRAM, and when ---===//
//
// What convert-stream-to-wafer allocates and stream-assign-layout counts.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_ANALYSIS_SEGMENTBUFFERS_H
#define WAFER_ANALYSIS_SEGMENTBUFFERS_H

#include "wafer/Dialect/Stream/Stream.h"

#include <vector>

namespace wafer {

/// A place in a core's SRAM, alive from kernel `first` to kernel `last` of the segment.
struct SegmentBuffer {
  llvm::SmallVector<mlir::Value> values; ///< the first of them makes it; a map, and the gradient of attention, write over an operand that nobody needs any more (stream::isLastReader)
  int64_t first = 0, last = 0;
};

/// How long a value that leaves for MemoryX keeps its place.
enum class Leaving {
  Compact,    ///< to its receive: what is put there next waits until it has left
  Overlapped, ///< to the next receive, so that other kernels go on meanwhile
  Repeated,   ///< so in each of several micro-batches: the last to leave does so while the next micro-batch begins
};

inline Leaving leavingOf(bool isCompact, int64_t microBatches) { return isCompact ? Leaving::Compact : microBatches > 1 ? Leaving::Repeated : Leaving::Overlapped; }

/// In the order in which they are made. `isSentOnce` says of a send that its value stays for all micro-batches.
std::vector<SegmentBuffer> buffersOf(stream::SegmentOp segment, Leaving leaving, llvm::function_ref<bool(stream::SendOp)> isSentOnce);

} // namespace wafer

#endif // WAFER_ANALYSIS_SEGMENTBUFFERS_H
