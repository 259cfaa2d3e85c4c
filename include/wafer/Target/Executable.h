//===- Executable.h - wafer dialect <-> executable ---------------------------===//

#ifndef WAFER_TARGET_EXECUTABLE_H
#define WAFER_TARGET_EXECUTABLE_H

#include "wexe_generated.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Support/LLVM.h"

namespace wafer {

/// Writes the module's wafer.program operations, fully lowered, as one executable with the entries of all. Errors are diagnostics on the operation that cannot be written.
mlir::LogicalResult translateToExecutable(mlir::ModuleOp module, wexe::ProgramT &program);

/// The wafer.program of an executable that was verified; translating it again gives the same executable, if the compiler made it. The context must have the wafer, pe and func dialects loaded. Null after
/// an error diagnostic.
mlir::OwningOpRef<mlir::ModuleOp> translateFromExecutable(mlir::MLIRContext *context, const wexe::ProgramT &program);

} // namespace wafer

#endif // WAFER_TARGET_EXECUTABLE_H
