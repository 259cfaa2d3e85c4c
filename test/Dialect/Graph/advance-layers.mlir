// RUN: wafer-opt %s --graph-advance-layers | FileCheck %s

// A layer of MemoryX comes before the wafer's layers that it does not need, with the views that it reads; behind the one that it needs, it stays.
// CHECK-LABEL: func.func @model
// CHECK: tensor.expand_shape
// CHECK: graph.layer "other" on <memoryx>
// CHECK: graph.layer "scores" on <wafer>
// CHECK: graph.layer "softmax" on <wafer>
// CHECK: graph.layer "mix" on <wafer>
// CHECK: graph.layer "other_2" on <memoryx>
// CHECK: graph.layer "last" on <wafer>
func.func @model(%x: tensor<6xf32>, %v: tensor<6xf32> {graph.name = "v", graph.role = "parameter"}) -> tensor<6xf32> {
  %0 = graph.layer "scores" on <wafer> (%x) : (tensor<6xf32>) -> tensor<6xf32> {
  ^bb0(%a: tensor<6xf32>):
    %s = arith.addf %a, %a : tensor<6xf32>
    graph.yield %s : tensor<6xf32>
  }
  %1 = graph.layer "softmax" on <wafer> (%0) : (tensor<6xf32>) -> tensor<6xf32> {
  ^bb0(%a: tensor<6xf32>):
    %s = math.exp %a : tensor<6xf32>
    graph.yield %s : tensor<6xf32>
  }
  %view = tensor.expand_shape %v [[0, 1]] output_shape [2, 3] : tensor<6xf32> into tensor<2x3xf32>
  %2 = graph.layer "other" on <memoryx> reason "transposes" (%view) : (tensor<2x3xf32>) -> tensor<6xf32> {
  ^bb0(%a: tensor<2x3xf32>):
    %s = tensor.collapse_shape %a [[0, 1]] : tensor<2x3xf32> into tensor<6xf32>
    graph.yield %s : tensor<6xf32>
  }
  %3 = graph.layer "mix" on <wafer> (%1, %2) : (tensor<6xf32>, tensor<6xf32>) -> tensor<6xf32> {
  ^bb0(%a: tensor<6xf32>, %b: tensor<6xf32>):
    %s = arith.addf %a, %b : tensor<6xf32>
    graph.yield %s : tensor<6xf32>
  }
  %4 = graph.layer "other_2" on <memoryx> reason "transposes" (%3) : (tensor<6xf32>) -> tensor<6xf32> {
  ^bb0(%a: tensor<6xf32>):
    %s = arith.negf %a : tensor<6xf32>
    graph.yield %s : tensor<6xf32>
  }
  %5 = graph.layer "last" on <wafer> (%4) : (tensor<6xf32>) -> tensor<6xf32> {
  ^bb0(%a: tensor<6xf32>):
    %s = math.exp %a : tensor<6xf32>
    graph.yield %s : tensor<6xf32>
  }
  return %5 : tensor<6xf32>
}
