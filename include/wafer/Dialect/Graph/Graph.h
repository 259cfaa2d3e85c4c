//===- Graph.h - the graph dialect -----------------------------------------===//
//
// Layers of a model and the roles of its arguments, generated from GraphOps.td, and the questions about roles that passes share.
// docs/rationale/graph.md says what belongs here.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_DIALECT_GRAPH_GRAPH_H
#define WAFER_DIALECT_GRAPH_GRAPH_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "wafer/Dialect/Graph/GraphDialect.h.inc"
#include "wafer/Dialect/Graph/GraphEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "wafer/Dialect/Graph/GraphAttrs.h.inc"
#define GET_OP_CLASSES
#include "wafer/Dialect/Graph/GraphOps.h.inc"

namespace wafer::graph {

/// Names of the attributes on function arguments and results.
inline constexpr llvm::StringLiteral nameAttr = "graph.name";
inline constexpr llvm::StringLiteral roleAttr = "graph.role";
inline constexpr llvm::StringLiteral nonzerosAttr = "graph.nonzeros";
inline constexpr llvm::StringLiteral encodingAttr = "graph.encoding";
inline constexpr llvm::StringLiteral keptAttr = "graph.kept";
inline constexpr llvm::StringLiteral parameterRole = "parameter";
inline constexpr llvm::StringLiteral inputRole = "input";
inline constexpr llvm::StringLiteral stateRole = "state";

/// The value that `value` stands for outside of layers: a layer's block argument is the layer's operand, a layer's result what it yields.
mlir::Value throughLayers(mlir::Value value);

/// Whether `value`, seen through layers, is an argument of a function with role "parameter".
bool isParameter(mlir::Value value);

/// The `graph.name` of an argument, or "argN".
std::string argumentName(mlir::BlockArgument argument);

} // namespace wafer::graph

#endif // WAFER_DIALECT_GRAPH_GRAPH_H
