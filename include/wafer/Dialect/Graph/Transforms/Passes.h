//===- Passes.h - passes on the graph dialect ------------------------------===//
//
// Constructors and registration, generated from Passes.td, which says what each pass does.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_H
#define WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_H

#include "wafer/Dialect/Graph/Graph.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace wafer::graph {

#define GEN_PASS_DECL
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

} // namespace wafer::graph

#endif // WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_H
