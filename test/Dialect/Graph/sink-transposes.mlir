// RUN: wafer-opt %s --graph-sink-transposes -split-input-file | FileCheck %s

#id = affine_map<(n, c, y) -> (n, c, y)>
#channel = affine_map<(n, c, y) -> (c)>

// Bias and activation come before the transpose, and the bias is along the last dimension there.
// CHECK: #[[$LAST:.*]] = affine_map<(d0, d1, d2) -> (d2)>
// CHECK-LABEL: func.func @bias_and_relu(
// CHECK-SAME: %[[CONV:[a-z0-9]+]]: {{.*}}, %[[BIAS:[a-z0-9]+]]:
// CHECK: %[[B:.*]] = linalg.generic {indexing_maps = [#{{.*}}, #[[$LAST]], {{.*}} ins(%[[CONV]], %[[BIAS]] : tensor<2x5x3xf32>, tensor<3xf32>)
// CHECK: %[[R:.*]] = linalg.generic {{.*}} ins(%[[B]] : tensor<2x5x3xf32>)
// CHECK: %[[T:.*]] = linalg.transpose ins(%[[R]] : {{.*}} permutation = [0, 2, 1]
// CHECK: return %[[T]]
func.func @bias_and_relu(%conv: tensor<2x5x3xf32>, %bias: tensor<3xf32>) -> tensor<2x3x5xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x3x5xf32>
  %t = linalg.transpose ins(%conv : tensor<2x5x3xf32>) outs(%e : tensor<2x3x5xf32>) permutation = [0, 2, 1]
  %b = linalg.generic {indexing_maps = [#id, #channel, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%t, %bias : tensor<2x3x5xf32>, tensor<3xf32>) outs(%e : tensor<2x3x5xf32>) {
  ^bb0(%x: f32, %c: f32, %o: f32):
    %s = arith.addf %x, %c : f32
    linalg.yield %s : f32
  } -> tensor<2x3x5xf32>
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel"]} ins(%b : tensor<2x3x5xf32>) outs(%e : tensor<2x3x5xf32>) {
  ^bb0(%x: f32, %o: f32):
    %s = arith.maximumf %x, %zero : f32
    linalg.yield %s : f32
  } -> tensor<2x3x5xf32>
  return %r : tensor<2x3x5xf32>
}

// -----

#id = affine_map<(n, c, y) -> (n, c, y)>

// A sum with a tensor that is not transposed stays where it is.
// CHECK-LABEL: func.func @residual(
// CHECK: linalg.transpose
// CHECK: linalg.generic
// CHECK-NOT: linalg.transpose
func.func @residual(%conv: tensor<2x5x3xf32>, %x: tensor<2x3x5xf32>) -> tensor<2x3x5xf32> {
  %e = tensor.empty() : tensor<2x3x5xf32>
  %t = linalg.transpose ins(%conv : tensor<2x5x3xf32>) outs(%e : tensor<2x3x5xf32>) permutation = [0, 2, 1]
  %b = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%t, %x : tensor<2x3x5xf32>, tensor<2x3x5xf32>) outs(%e : tensor<2x3x5xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<2x3x5xf32>
  return %b : tensor<2x3x5xf32>
}

// -----

// Two transposes that undo each other are nothing; a gather reads through one.
// CHECK: #[[$WINDOW:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2 + d3, d1)>
// CHECK-LABEL: func.func @back_and_gather(
// CHECK-SAME: %[[X:[a-z0-9]+]]:
// CHECK-NOT: linalg.transpose
// CHECK: %[[G:.*]] = linalg.generic {indexing_maps = [#[[$WINDOW]], {{.*}} ins(%[[X]] : tensor<2x5x3xf32>)
// CHECK: return %[[X]], %[[G]]
func.func @back_and_gather(%x: tensor<2x5x3xf32>) -> (tensor<2x5x3xf32>, tensor<2x3x4x2xf32>) {
  %e = tensor.empty() : tensor<2x3x5xf32>
  %t = linalg.transpose ins(%x : tensor<2x5x3xf32>) outs(%e : tensor<2x3x5xf32>) permutation = [0, 2, 1]
  %f = tensor.empty() : tensor<2x5x3xf32>
  %back = linalg.transpose ins(%t : tensor<2x3x5xf32>) outs(%f : tensor<2x5x3xf32>) permutation = [0, 2, 1]
  %w = tensor.empty() : tensor<2x3x4x2xf32>
  %g = linalg.generic {indexing_maps = [affine_map<(n, c, y, k) -> (n, c, y + k)>, affine_map<(n, c, y, k) -> (n, c, y, k)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%t : tensor<2x3x5xf32>) outs(%w : tensor<2x3x4x2xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<2x3x4x2xf32>
  return %back, %g : tensor<2x5x3xf32>, tensor<2x3x4x2xf32>
}
