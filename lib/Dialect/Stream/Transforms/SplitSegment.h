//===- SplitSegment.h - a segment in two -------------------------------------===//

#ifndef WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SPLITSEGMENT_H
#define WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SPLITSEGMENT_H

#include "wafer/Dialect/Stream/Stream.h"

namespace wafer::stream {

/// Moves later kernels of a segment, about half, cut where least crosses, into a new segment behind it; values that cross go by way of MemoryX. Null, and nothing is changed, when there is
/// only one kernel that computes something.
SegmentOp splitSegment(SegmentOp segment);

} // namespace wafer::stream

#endif // WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SPLITSEGMENT_H
