// RUN: wafer-opt %s | wafer-opt | FileCheck %s
// Layers and argument attributes survive printing and parsing.

// CHECK-LABEL: func.func @forward(
// CHECK-SAME: %[[X:.*]]: tensor<3x5xf32> {graph.name = "x", graph.role = "input"}, %[[W:.*]]: tensor<5xf32> {graph.name = "ln.weight", graph.role = "parameter"})
// CHECK-SAME: -> (tensor<3x5xf32> {graph.name = "output"})
func.func @forward(%x: tensor<3x5xf32> {graph.name = "x", graph.role = "input"}, %w: tensor<5xf32> {graph.name = "ln.weight", graph.role = "parameter"})
    -> (tensor<3x5xf32> {graph.name = "output"}) {
  // CHECK: %[[A:.*]] = graph.layer "ln"(%[[X]]) : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  %a = graph.layer "ln" (%x) : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%in: tensor<3x5xf32>):
    // CHECK: graph.yield %{{.*}} : tensor<3x5xf32>
    graph.yield %in : tensor<3x5xf32>
  }
  // CHECK: %[[B:.*]]:2 = graph.layer "fc" on <wafer>(%[[A]], %[[W]])
  %b:2 = graph.layer "fc" on <wafer> (%a, %w) : (tensor<3x5xf32>, tensor<5xf32>) -> (tensor<3x5xf32>, tensor<5xf32>) {
  ^bb0(%in: tensor<3x5xf32>, %p: tensor<5xf32>):
    graph.yield %in, %p : tensor<3x5xf32>, tensor<5xf32>
  }
  // CHECK: graph.layer "sort" on <memoryx> reason "no kernel"(%[[B]]#0)
  %c = graph.layer "sort" on <memoryx> reason "no kernel" (%b#0) : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%in: tensor<3x5xf32>):
    graph.yield %in : tensor<3x5xf32>
  }
  return %c : tensor<3x5xf32>
}
