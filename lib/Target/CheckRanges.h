//===- CheckRanges.h - numbers fit the executable's fields ----------------------===//

#ifndef WAFER_LIB_TARGET_CHECKRANGES_H
#define WAFER_LIB_TARGET_CHECKRANGES_H

#include "wafer/Dialect/Wafer/Wafer.h"

namespace wafer {

/// Fails, with a diagnostic on the operation, when a number of the program is too large for its field of the executable.
mlir::LogicalResult checkRanges(wfr::ProgramOp program);

} // namespace wafer

#endif // WAFER_LIB_TARGET_CHECKRANGES_H
