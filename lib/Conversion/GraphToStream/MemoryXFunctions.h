//===- MemoryXFunctions.h - functions that MemoryX runs ---------------------===//
//
// Tensor-level functions cut out of a model. Their arguments and results are whole tensors as MemoryX holds them.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_CONVERSION_GRAPHTOSTREAM_MEMORYXFUNCTIONS_H
#define WAFER_LIB_CONVERSION_GRAPHTOSTREAM_MEMORYXFUNCTIONS_H

#include "wafer/Dialect/Graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace wafer {

/// The layer's body as a function. `inputs` are the types in which MemoryX holds the layer's operands: the same elements, perhaps in another shape.
mlir::func::FuncOp outlineLayer(mlir::OpBuilder &builder, llvm::StringRef name, graph::LayerOp layer, llvm::ArrayRef<mlir::Type> inputs);

/// A function that returns its argument in the shape of `result`.
mlir::func::FuncOp outlineCopy(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef name, mlir::RankedTensorType input,
                               mlir::RankedTensorType result);

} // namespace wafer

#endif // WAFER_LIB_CONVERSION_GRAPHTOSTREAM_MEMORYXFUNCTIONS_H
