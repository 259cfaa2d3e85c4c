//===- LayerBuilder.h - wrap consecutive operations in a layer -------------===//
//
// What graph-form-layers and graph-partition share.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_DIALECT_GRAPH_TRANSFORMS_LAYERBUILDER_H
#define WAFER_LIB_DIALECT_GRAPH_TRANSFORMS_LAYERBUILDER_H

#include "wafer/Dialect/Graph/Graph.h"

#include "mlir/IR/Builders.h"

namespace wafer::graph {

/// Moves `ops`, in program order and of one block, into a new layer before the last of them. Free operations that they read (isFree) are copied into the
/// layer. Operands are the values read from outside, results the values read outside.
LayerOp wrapInLayer(llvm::ArrayRef<mlir::Operation *> ops, llvm::StringRef name);

} // namespace wafer::graph

#endif // WAFER_LIB_DIALECT_GRAPH_TRANSFORMS_LAYERBUILDER_H
