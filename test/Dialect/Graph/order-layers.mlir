// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-order-layers))" | FileCheck %s

// CHECK-LABEL: func.func @between
// CHECK: graph.layer "b" on <memoryx>
// CHECK: graph.layer "a" on <wafer>
// CHECK: graph.layer "c" on <wafer>
func.func @between(%x: tensor<2x3xf32>, %y: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %a = graph.layer "a" on <wafer>(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32> {
  ^bb0(%v: tensor<2x3xf32>):
    %e = tensor.empty() : tensor<2x3xf32>
    %t = linalg.tanh ins(%v : tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) -> tensor<2x3xf32>
    graph.yield %t : tensor<2x3xf32>
  }
  %b = graph.layer "b" on <memoryx> reason "no instruction"(%y) : (tensor<2x3xf32>) -> tensor<2x3xf32> {
  ^bb0(%v: tensor<2x3xf32>):
    %e = tensor.empty() : tensor<2x3xf32>
    %t = linalg.round ins(%v : tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) -> tensor<2x3xf32>
    graph.yield %t : tensor<2x3xf32>
  }
  %c = graph.layer "c" on <wafer>(%a, %b) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> {
  ^bb0(%v: tensor<2x3xf32>, %w: tensor<2x3xf32>):
    %e = tensor.empty() : tensor<2x3xf32>
    %t = linalg.add ins(%v, %w : tensor<2x3xf32>, tensor<2x3xf32>) outs(%e : tensor<2x3xf32>) -> tensor<2x3xf32>
    graph.yield %t : tensor<2x3xf32>
  }
  return %c : tensor<2x3xf32>
}

// What needs the layer before stays behind it.
// CHECK-LABEL: func.func @chain
// CHECK: graph.layer "a" on <wafer>
// CHECK: graph.layer "b" on <memoryx>
// CHECK: graph.layer "c" on <wafer>
func.func @chain(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %a = graph.layer "a" on <wafer>(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32> {
  ^bb0(%v: tensor<2x3xf32>):
    graph.yield %v : tensor<2x3xf32>
  }
  %b = graph.layer "b" on <memoryx> reason "no instruction"(%a) : (tensor<2x3xf32>) -> tensor<2x3xf32> {
  ^bb0(%v: tensor<2x3xf32>):
    graph.yield %v : tensor<2x3xf32>
  }
  %c = graph.layer "c" on <wafer>(%b) : (tensor<2x3xf32>) -> tensor<2x3xf32> {
  ^bb0(%v: tensor<2x3xf32>):
    graph.yield %v : tensor<2x3xf32>
  }
  return %c : tensor<2x3xf32>
}
