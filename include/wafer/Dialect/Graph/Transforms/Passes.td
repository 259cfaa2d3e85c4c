//===- Passes.td - passes on the graph dialect -----------------------------===//

#ifndef WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_TD
#define WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def FormLayers : Pass<"graph-form-layers", "::mlir::func::FuncOp"> {
  let summary = "Group a function's operations into layers";
  let description = [{
    Moves the operations of a function into `graph.layer` operations. A layer is the unit of weight streaming, of placement and of the report, and it has the
    name that its author knows. A contraction with a parameter starts a layer that is named after the parameter without its last part ("fc1" for
    "fc1.weight"); elementwise operations, reductions and reshapes that follow join it; other operations form layers of their own.

    Needs a body of one block. Afterwards every operation is in a layer but for the return; a layer holds consecutive operations, so their order is that of
    the function. Constants, empty tensors, fills with a constant, and transposes and slices of parameters are copied into each layer that reads them; one that is returned is a layer. Types
    and arithmetic are untouched, and layers have no placement yet.

    Before:   %1 = linalg.generic {matmul} ins(%x, %fc1_weight) ...
              %2 = linalg.generic {relu} ins(%1) ...
    After:    %2 = graph.layer "fc1" (%x, %fc1_weight) { ... graph.yield %relu }

    Example: test/Dialect/Graph/form-layers.mlir
  }];
  let dependentDialects = ["::wafer::graph::GraphDialect"];
  let statistics = [Statistic<"layers", "layers", "Layers formed">];
}

def Partition : Pass<"graph-partition", "::mlir::func::FuncOp"> {
  let summary = "Decide which layers run on the wafer and which in MemoryX";
  let description = [{
    Gives every `graph.layer` a placement: <wafer> when each of its operations has a wafer kernel, else <memoryx> with a reason that names the operation, what
    it lacks and its source line. Every model then runs, and the report can say why a part does not run on the wafer.

    Needs layers (graph-form-layers). A layer that is partly possible is split into parts of consecutive operations, "fc1", "fc1.1", ..., so that only the
    operations without a kernel leave the wafer. Types and arithmetic are untouched. What has a kernel is decided by lib/Analysis/WaferKernels.h: contractions
    of a parameter with an activation over its features, elementwise bodies of operations that have instructions, scaling and shifting by per-feature
    parameters, reductions over all features, reshapes that keep the features. Cost is not considered.

    Before:   graph.layer "fc1" (%x, %w) { contraction, relu, sort }
    After:    graph.layer "fc1" on <wafer> (%x, %w) { contraction, relu }
              graph.layer "fc1.1" on <memoryx> reason "..." (%0) { sort }

    Example: test/Dialect/Graph/partition.mlir
  }];
  let dependentDialects = ["::wafer::graph::GraphDialect"];
  let statistics = [Statistic<"onWafer", "operations on the wafer", "Operations with a wafer kernel">,
                    Statistic<"inMemoryX", "operations in MemoryX", "Operations without a wafer kernel">];
}

#endif // WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_TD
