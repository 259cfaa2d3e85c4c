//===- CheckFunction.h - what a MemoryX function may consist of -----------===//
//
// Functions come from files. Before one is compiled to machine code, every operation and type in it is checked against a list, so that what
// runs can only compute on its own tensors.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_COMPUTE_CHECKFUNCTION_H
#define WAFER_LIB_COMPUTE_CHECKFUNCTION_H

#include "wafer/Runtime/Tensor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <optional>

namespace wafer {

/// The element type of a tensor at the function's boundary, as MemoryX has it.
std::optional<DType> dtypeOf(mlir::Type elementType);

/// Finds the function and checks all of the module. Fails with a diagnostic.
mlir::FailureOr<mlir::func::FuncOp> checkFunction(mlir::ModuleOp module, llvm::StringRef name);

} // namespace wafer

#endif // WAFER_LIB_COMPUTE_CHECKFUNCTION_H
