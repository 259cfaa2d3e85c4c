// RUN: wafer-opt %s --graph-share-layers | FileCheck %s
// RUN: wafer-opt %s --graph-share-layers --graph-expand-layers | FileCheck %s --check-prefix=EXPANDED
// RUN: wafer-opt %s --graph-share-layers --graph-expand-layers --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s --check-prefix=LOCATIONS
// RUN: wafer-opt %s --graph-share-layers | wafer-opt | FileCheck %s

// Layers that do the same with other operands share what they do; one that does something else keeps its own.
// CHECK: graph.body @layer {
// CHECK-NEXT: ^bb0(%[[A:.*]]: tensor<3xf32>, %[[B:.*]]: tensor<3xf32>):
// CHECK-NEXT: arith.addf %[[A]], %[[B]]
// CHECK-NOT: graph.body
// CHECK-LABEL: func.func @model
// CHECK: %[[X1:.*]] = graph.layer "h.0" on <wafer> shares @layer at [{{.*}}](%arg0, %arg1)
// CHECK: %[[X2:.*]] = graph.layer "h.1" shares @layer at [{{.*}}](%[[X1]], %arg2)
// CHECK: graph.layer "tail"(%[[X2]]) :
// CHECK: math.exp

// EXPANDED-NOT: graph.body
// EXPANDED-LABEL: func.func @model
// EXPANDED: graph.layer "h.0" on <wafer>(%arg0, %arg1)
// EXPANDED: arith.addf
// EXPANDED: graph.layer "h.1"(
// EXPANDED: arith.addf

// LOCATIONS: arith.addf {{.*}} loc("zero")
// LOCATIONS: arith.addf {{.*}} loc("one")
func.func @model(%x: tensor<3xf32>, %w0: tensor<3xf32>, %w1: tensor<3xf32>) -> tensor<3xf32> {
  %0 = graph.layer "h.0" on <wafer> (%x, %w0) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%a: tensor<3xf32>, %b: tensor<3xf32>):
    %s = arith.addf %a, %b : tensor<3xf32> loc("zero")
    graph.yield %s : tensor<3xf32>
  }
  %1 = graph.layer "h.1" (%0, %w1) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%a: tensor<3xf32>, %b: tensor<3xf32>):
    %s = arith.addf %a, %b : tensor<3xf32> loc("one")
    graph.yield %s : tensor<3xf32>
  }
  %2 = graph.layer "tail" (%1) : (tensor<3xf32>) -> tensor<3xf32> {
  ^bb0(%a: tensor<3xf32>):
    %s = math.exp %a : tensor<3xf32>
    graph.yield %s : tensor<3xf32>
  }
  return %2 : tensor<3xf32>
}
