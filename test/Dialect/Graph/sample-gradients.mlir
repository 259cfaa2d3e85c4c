// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-sample-gradients))" -split-input-file | FileCheck %s
// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-sample-gradients{machine=wse3}))" -split-input-file | FileCheck %s --check-prefix=WAFER
// RUN: not wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-sample-gradients{machine=nowhere}))" -split-input-file 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: error: {{.*}}nowhere

// A sum over the leading dimensions of both operands; rows of the result are the features of the first, and of the second when the result lies so.
// CHECK-LABEL: func.func @linear
// CHECK: %[[D:.*]] = tensor.collapse_shape %{{.*}} {{\[\[}}0, 1], [2]] : tensor<2x3x4xf32> into tensor<6x4xf32>
// CHECK: %[[X:.*]] = tensor.collapse_shape %{{.*}} {{\[\[}}0, 1], [2]] : tensor<2x3x5xf32> into tensor<6x5xf32>
// CHECK: %[[G:.*]] = graph.sample %[[D]], %[[X]] where %arg2 : tensor<6x4xf32>, tensor<6x5xf32> where tensor<4x5xi8> -> tensor<4x5xf32>
// CHECK: %[[H:.*]] = graph.sample %{{.*}}, %{{.*}} where %arg3 : tensor<6x5xf32>, tensor<6x4xf32> where tensor<5x4xi8> -> tensor<5x4xf32>
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

// -----

// Of many tokens, on a machine of many cores, all gradients: of a weight, and sums over tokens, also when they are returned in another shape. A sum over features is none.
// CHECK-LABEL: func.func @dense
// CHECK-NOT: graph.sample
// WAFER-LABEL: func.func @dense
// WAFER: %[[G:.*]] = graph.sample %arg0, %arg1 : tensor<16384x64xf32>, tensor<16384x32xf32> -> tensor<64x32xf32>
// WAFER: %[[S:.*]] = graph.sample %arg0 : tensor<16384x64xf32> -> tensor<64xf32>
// WAFER: %[[E:.*]] = tensor.expand_shape %[[S]]
// WAFER: %[[R:.*]] = linalg.generic
// WAFER: return %[[G]], %[[E]], %[[R]]
func.func @dense(%d: tensor<16384x64xf32>, %x: tensor<16384x32xf32>) -> (tensor<64x32xf32>, tensor<1x64xf32>, tensor<16384xf32>) {
  %zero = arith.constant 0.0 : f32
  %e0 = tensor.empty() : tensor<64x32xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<64x32xf32>) -> tensor<64x32xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(n, k, t) -> (t, n)>, affine_map<(n, k, t) -> (t, k)>, affine_map<(n, k, t) -> (n, k)>],
      iterator_types = ["parallel", "parallel", "reduction"]} ins(%d, %x : tensor<16384x64xf32>, tensor<16384x32xf32>) outs(%f0 : tensor<64x32xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %sum, %p : f32
    linalg.yield %s : f32
  } -> tensor<64x32xf32>
  %e1 = tensor.empty() : tensor<64xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<64xf32>) -> tensor<64xf32>
  %h = linalg.generic {indexing_maps = [affine_map<(n, t) -> (t, n)>, affine_map<(n, t) -> (n)>], iterator_types = ["parallel", "reduction"]}
      ins(%d : tensor<16384x64xf32>) outs(%f1 : tensor<64xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %s = arith.addf %a, %sum : f32
    linalg.yield %s : f32
  } -> tensor<64xf32>
  %row = tensor.expand_shape %h [[0, 1]] output_shape [1, 64] : tensor<64xf32> into tensor<1x64xf32>
  %e2 = tensor.empty() : tensor<16384xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<16384xf32>) -> tensor<16384xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(t, n) -> (t, n)>, affine_map<(t, n) -> (t)>], iterator_types = ["parallel", "reduction"]}
      ins(%d : tensor<16384x64xf32>) outs(%f2 : tensor<16384xf32>) {
  ^bb0(%a: f32, %sum: f32):
    %s = arith.addf %a, %sum : f32
    linalg.yield %s : f32
  } -> tensor<16384xf32>
  return %g, %row, %r : tensor<64x32xf32>, tensor<1x64xf32>, tensor<16384xf32>
}
