// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-sample-gradients))" -split-input-file | FileCheck %s

// A sum over the leading dimensions of both operands; rows of the result are the features of the first, and of the second when the result lies so.
// CHECK-LABEL: func.func @linear
// CHECK: %[[D:.*]] = tensor.collapse_shape %{{.*}} {{\[\[}}0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
// CHECK: %[[X:.*]] = tensor.collapse_shape %{{.*}} {{\[\[}}0, 1], [2]] : tensor<2x3x5xf32> into tensor<6x5xf32>
// CHECK: %[[G:.*]] = graph.sample %[[D]], %[[X]] where %arg2 : tensor<6x4xf32>, tensor<6x5xf32>, tensor<4x5xi8> -> tensor<4x5xf32>
// CHECK: %[[H:.*]] = graph.sample %{{.*}}, %{{.*}} where %arg3 : tensor<6x5xf32>, tensor<6x4xf32>, tensor<5x4xi8> -> tensor<5x4xf32>
// CHECK: return %[[G]], %[[H]]
#d = affine_map<(n, k, b, t) -> (b, t, n)>
#x = affine_map<(n, k, b, t) -> (b, t, k)>
#g = affine_map<(n, k, b, t) -> (n, k)>
#h = affine_map<(n, k, b, t) -> (k, n)>
func.func @linear(%d: tensor<2x3x4xf32>, %x: tensor<2x3x5xf32>, %kept: tensor<4x5xi8> {graph.name = "kept", graph.role = "parameter"},
                  %other: tensor<5x4xi8> {graph.name = "other", graph.role = "parameter"})
    -> (tensor<4x5xf32> {graph.name = "g", graph.kept = "kept"}, tensor<5x4xf32> {graph.name = "h", graph.kept = "other"}) {
  %zero = arith.constant 0.0 : f32
  %e0 = tensor.empty() : tensor<4x5xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<4x5xf32>) -> tensor<4x5xf32>
  %g = linalg.generic {indexing_maps = [#d, #x, #g], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%d, %x : tensor<2x3x4xf32>, tensor<2x3x5xf32>) outs(%f0 : tensor<4x5xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %sum, %p : f32
    linalg.yield %s : f32
  } -> tensor<4x5xf32>
  %e1 = tensor.empty() : tensor<5x4xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<5x4xf32>) -> tensor<5x4xf32>
  %h = linalg.generic {indexing_maps = [#d, #x, #h], iterator_types = ["parallel", "parallel", "reduction", "reduction"]}
      ins(%d, %x : tensor<2x3x4xf32>, tensor<2x3x5xf32>) outs(%f1 : tensor<5x4xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %sum, %p : f32
    linalg.yield %s : f32
  } -> tensor<5x4xf32>
  return %g, %h : tensor<4x5xf32>, tensor<5x4xf32>
}

// -----

// A forward product with a weight sums over the last dimension, and is no such gradient.
// CHECK-LABEL: func.func @product
// CHECK-NOT: graph.sample
// CHECK: linalg.generic
func.func @product(%d: tensor<4x6xf32>, %x: tensor<5x6xf32>, %kept: tensor<4x5xi8> {graph.name = "kept", graph.role = "parameter"})
    -> (tensor<4x5xf32> {graph.name = "g", graph.kept = "kept"}) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x5xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x5xf32>) -> tensor<4x5xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(n, k, t) -> (n, t)>, affine_map<(n, k, t) -> (k, t)>, affine_map<(n, k, t) -> (n, k)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%d, %x : tensor<4x6xf32>, tensor<5x6xf32>) outs(%f : tensor<4x5xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %sum, %p : f32
    linalg.yield %s : f32
  } -> tensor<4x5xf32>
  return %g : tensor<4x5xf32>
}
