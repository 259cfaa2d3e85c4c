// RUN: wafer-opt %s --graph-normalize-contractions -split-input-file | FileCheck %s

#q = affine_map<(b, h, s, t, d) -> (b, s, h, d)>
#k = affine_map<(b, h, s, t, d) -> (b, t, h, d)>
#scores = affine_map<(b, h, s, t, d) -> (b, h, s, t)>

// Of two activations, the one whose dimensions come last in the result is streamed as it lies; the other is brought into batch, tokens, features.
// CHECK-DAG: #[[$TOKENS:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
// CHECK-DAG: #[[$STREAMED:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, d1, d4)>
// CHECK-LABEL: func.func @attention_scores(
// CHECK-SAME: %[[Q:[a-z0-9]+]]: {{.*}}, %[[K:[a-z0-9]+]]:
// CHECK: %[[HEADS:.*]] = linalg.transpose ins(%[[Q]] : tensor<2x5x3x4xf32>) {{.*}} permutation = [0, 2, 1, 3]
// CHECK: %[[R:.*]] = linalg.generic {indexing_maps = [#[[$TOKENS]], #[[$STREAMED]],
// CHECK-SAME: ins(%[[HEADS]], %[[K]] :
// CHECK: return %[[R]]
func.func @attention_scores(%q: tensor<2x5x3x4xf32>, %k: tensor<2x7x3x4xf32>) -> tensor<2x3x5x7xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x3x5x7xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<2x3x5x7xf32>) -> tensor<2x3x5x7xf32>
  %0 = linalg.generic {indexing_maps = [#q, #k, #scores], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%q, %k : tensor<2x5x3x4xf32>, tensor<2x7x3x4xf32>) outs(%init : tensor<2x3x5x7xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %p = arith.mulf %a, %b : f32
    %t = arith.addf %s, %p : f32
    linalg.yield %t : f32
  } -> tensor<2x3x5x7xf32>
  return %0 : tensor<2x3x5x7xf32>
}

// -----

// The windows of a convolution are gathered with one summed dimension; the weight's three are one; the result goes back to channels first.
// CHECK: #[[$WINDOW:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d3, d1 * 2 + d4, d2 + d5)>
// CHECK-LABEL: func.func @convolution(
// CHECK-SAME: %[[IMAGE:[a-z0-9]+]]: {{.*}}, %[[W:[a-z0-9]+]]:
// CHECK: %[[WINDOWS:.*]] = linalg.generic {indexing_maps = [#[[$WINDOW]], {{.*}} ins(%[[IMAGE]] : tensor<1x2x7x6xf32>) outs({{.*}} : tensor<1x3x4x2x3x3xf32>)
// CHECK: %[[A:.*]] = tensor.collapse_shape %[[WINDOWS]] {{.*}} into tensor<1x3x4x18xf32>
// CHECK: %[[B:.*]] = tensor.collapse_shape %[[W]] {{.*}} into tensor<5x18xf32>
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[A]], %[[B]] : {{.*}} outs({{.*}} : tensor<1x3x4x5xf32>)
// CHECK: linalg.transpose ins(%[[R]] : {{.*}} permutation = [0, 3, 1, 2]
func.func @convolution(%image: tensor<1x2x7x6xf32>, %w: tensor<5x2x3x3xf32> {graph.role = "parameter", graph.name = "w"}) -> tensor<1x5x3x4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x5x3x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<1x5x3x4xf32>) -> tensor<1x5x3x4xf32>
  %0 = linalg.conv_2d_nchw_fchw {strides = dense<[2, 1]> : tensor<2xi64>} ins(%image, %w : tensor<1x2x7x6xf32>, tensor<5x2x3x3xf32>)
      outs(%init : tensor<1x5x3x4xf32>) -> tensor<1x5x3x4xf32>
  return %0 : tensor<1x5x3x4xf32>
}

// -----

// What is in order already, and a sum that does not begin with zeros, are left alone.
// CHECK-LABEL: func.func @untouched(
// CHECK: linalg.fill
// CHECK-NEXT: linalg.matmul
// CHECK-NEXT: linalg.matmul
// CHECK-NOT: linalg
func.func @untouched(%x: tensor<3x4xf32>, %w: tensor<4x5xf32> {graph.role = "parameter", graph.name = "w"}, %v: tensor<5x3xf32>, %bias: tensor<3x3xf32>)
    -> tensor<3x3xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x5xf32>
  %init = linalg.fill ins(%zero : f32) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  %0 = linalg.matmul ins(%x, %w : tensor<3x4xf32>, tensor<4x5xf32>) outs(%init : tensor<3x5xf32>) -> tensor<3x5xf32>
  %1 = linalg.matmul ins(%0, %v : tensor<3x5xf32>, tensor<5x3xf32>) outs(%bias : tensor<3x3xf32>) -> tensor<3x3xf32>
  return %1 : tensor<3x3xf32>
}
