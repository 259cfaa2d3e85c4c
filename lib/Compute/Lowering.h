//===- Lowering.h - from tensors to LLVM ----------------------------------===//
//
// The upstream passes between a checked function and the LLVM dialect.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_COMPUTE_LOWERING_H
#define WAFER_LIB_COMPUTE_LOWERING_H

#include "Guards.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/DialectRegistry.h"

namespace wafer {

/// Dialects that functions are written in, with the interfaces that the passes need.
void registerComputeDialects(mlir::DialectRegistry &registry);

/// Lowers `function`, the only one of `module`. Afterwards it takes memrefs: those of its arguments, which it does not write, then those of
/// its results, which it fills; call it through its C interface. Fails with a diagnostic.
mlir::FailureOr<GuardSites> lowerFunction(mlir::ModuleOp module, mlir::func::FuncOp function);

} // namespace wafer

#endif // WAFER_LIB_COMPUTE_LOWERING_H
