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

// CHECK-LABEL: func.func @attention
// CHECK: graph.attend heads 2 scale 5.000000e-01 causal batches 2 %{{.*}} rotated %{{.*}} : tensor<12x24xf32>, tensor<6x16xf32> -> tensor<12x8xf32>
// CHECK: graph.attend heads 4 scale 5.000000e-01 %{{.*}} : tensor<12x24xf32> -> tensor<12x8xf32>
// CHECK: graph.attend_gradient heads 2 scale 5.000000e-01 causal batches 2 %{{.*}}, %{{.*}} rotated %{{.*}} : tensor<12x24xf32>, tensor<12x8xf32>, tensor<6x16xf32> -> tensor<12x24xf32>
func.func @attention(%qkv: tensor<12x24xf32>, %table: tensor<6x16xf32>) -> tensor<12x24xf32> {
  %0 = graph.attend heads 2 scale 5.000000e-01 causal batches 2 %qkv rotated %table : tensor<12x24xf32>, tensor<6x16xf32> -> tensor<12x8xf32>
  %1 = graph.attend heads 4 scale 5.000000e-01 %qkv : tensor<12x24xf32> -> tensor<12x8xf32>
  %2 = graph.attend_gradient heads 2 scale 5.000000e-01 causal batches 2 %qkv, %1 rotated %table : tensor<12x24xf32>, tensor<12x8xf32>, tensor<6x16xf32> -> tensor<12x24xf32>
  return %2 : tensor<12x24xf32>
}
