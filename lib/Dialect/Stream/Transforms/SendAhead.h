//===- SendAhead.h - sends beside the kernels before their readers ---------===//

#ifndef WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SENDAHEAD_H
#define WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SENDAHEAD_H

#include "wafer/Dialect/Stream/Stream.h"

#include <optional>

namespace wafer::stream {

/// Whether there is anything to go ahead of.
bool maySendAhead(SegmentOp segment);
/// Moves sends up, ahead of kernels that leave the link from MemoryX free, as far as that pays. `cyclesNow`: of the segment as it is when asked; none: its values do not fit.
void sendAhead(SegmentOp segment, llvm::function_ref<std::optional<double>()> cyclesNow);

} // namespace wafer::stream

#endif // WAFER_LIB_DIALECT_STREAM_TRANSFORMS_SENDAHEAD_H
