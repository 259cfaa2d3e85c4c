//===- MachineOf.h - the machine a program is for ----------------------------===//

#ifndef WAFER_LIB_DIALECT_WAFER_TRANSFORMS_MACHINEOF_H
#define WAFER_LIB_DIALECT_WAFER_TRANSFORMS_MACHINEOF_H

#include "wafer/Dialect/Wafer/Wafer.h"
#include "wafer/Machine/Machine.h"

namespace wafer::wfr {

/// Loads the machine that the program names; an error on the program otherwise.
mlir::FailureOr<Machine> machineOf(ProgramOp program);

} // namespace wafer::wfr

#endif // WAFER_LIB_DIALECT_WAFER_TRANSFORMS_MACHINEOF_H
