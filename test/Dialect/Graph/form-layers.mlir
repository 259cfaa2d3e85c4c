// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-form-layers))" -split-input-file | FileCheck %s

#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#id = affine_map<(t, n) -> (t, n)>

// A contraction with a parameter starts a layer of the parameter's name, and elementwise operations join it. Constants are copied in.
// CHECK-LABEL: func.func @contraction_starts_layer(
// CHECK-SAME: %[[X:.*]]: tensor<3x5xf32>, %[[W:.*]]: tensor<7x5xf32>
// CHECK-NEXT: %[[HEAD:.*]] = graph.layer "elementwise"(%[[X]]) : (tensor<3x5xf32>) -> tensor<3x5xf32>
// CHECK: %[[FC:.*]] = graph.layer "block.fc1"(%[[HEAD]], %[[W]]) : (tensor<3x5xf32>, tensor<7x5xf32>) -> tensor<3x7xf32> {
// CHECK: linalg.fill
// CHECK: linalg.generic
// CHECK: linalg.tanh
// CHECK: graph.yield
// CHECK: return %[[FC]]
func.func @contraction_starts_layer(%x: tensor<3x5xf32>, %w: tensor<7x5xf32> {graph.name = "block.fc1.weight", graph.role = "parameter"}) -> tensor<3x7xf32> {
  %zero = arith.constant 0.0 : f32
  %e5 = tensor.empty() : tensor<3x5xf32>
  %abs = linalg.abs ins(%x : tensor<3x5xf32>) outs(%e5 : tensor<3x5xf32>) -> tensor<3x5xf32>
  %e7 = tensor.empty() : tensor<3x7xf32>
  %z7 = linalg.fill ins(%zero : f32) outs(%e7 : tensor<3x7xf32>) -> tensor<3x7xf32>
  %y = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%abs, %w : tensor<3x5xf32>, tensor<7x5xf32>) outs(%z7 : tensor<3x7xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<3x7xf32>
  %r = linalg.tanh ins(%y : tensor<3x7xf32>) outs(%e7 : tensor<3x7xf32>) -> tensor<3x7xf32>
  return %r : tensor<3x7xf32>
}

// -----

// A transposed parameter is read through its transpose, which is copied into the layer; layers of one name are told apart.
// CHECK-LABEL: func.func @transposed_twice(
// CHECK-SAME: %[[X:.*]]: tensor<3x5xf32>, %[[W:.*]]: tensor<5x5xf32>
// CHECK-NEXT: graph.layer "fc"(%[[X]], %[[W]])
// CHECK: linalg.transpose
// CHECK: linalg.matmul
// CHECK: graph.layer "fc_2"(%{{.*}}, %[[W]])
// CHECK: linalg.transpose
// CHECK: linalg.matmul
func.func @transposed_twice(%x: tensor<3x5xf32>, %w: tensor<5x5xf32> {graph.name = "fc.weight", graph.role = "parameter"}) -> tensor<3x5xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3x5xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<3x5xf32>) -> tensor<3x5xf32>
  %ew = tensor.empty() : tensor<5x5xf32>
  %t = linalg.transpose ins(%w : tensor<5x5xf32>) outs(%ew : tensor<5x5xf32>) permutation = [1, 0]
  %0 = linalg.matmul ins(%x, %t : tensor<3x5xf32>, tensor<5x5xf32>) outs(%z : tensor<3x5xf32>) -> tensor<3x5xf32>
  %1 = linalg.matmul ins(%0, %t : tensor<3x5xf32>, tensor<5x5xf32>) outs(%z : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %1 : tensor<3x5xf32>
}

// -----

// Operations that are neither form layers of their own; so does a constant that is returned. Scalars that nested bodies read come along.
// CHECK-LABEL: func.func @others
// CHECK: graph.layer "elementwise"
// CHECK: arith.constant 2.0
// CHECK: linalg.generic
// CHECK: graph.layer "other"
// CHECK: %[[PADDING:.*]] = arith.constant 2.0
// CHECK-NEXT: tensor.pad
// CHECK: tensor.yield %[[PADDING]]
// CHECK: graph.layer "constant"() : () -> tensor<2xf32>
func.func @others(%x: tensor<3x5xf32>) -> (tensor<3x6xf32>, tensor<2xf32>) {
  %two = arith.constant 2.0 : f32
  %e = tensor.empty() : tensor<3x5xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(t, n) -> (t, n)>, affine_map<(t, n) -> (t, n)>], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<3x5xf32>) outs(%e : tensor<3x5xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.mulf %a, %two : f32
    linalg.yield %s : f32
  } -> tensor<3x5xf32>
  %1 = tensor.pad %0 low[0, 0] high[0, 1] {
  ^bb0(%i: index, %j: index):
    tensor.yield %two : f32
  } : tensor<3x5xf32> to tensor<3x6xf32>
  %c = arith.constant dense<1.0> : tensor<2xf32>
  return %1, %c : tensor<3x6xf32>, tensor<2xf32>
}

// -----

// A barrier has done its work; what was computed twice stays so.
// CHECK-LABEL: func.func @again
// CHECK-NOT: graph.again
// CHECK: graph.layer
// CHECK-COUNT-2: math.tanh
func.func @again(%x: tensor<3x5xf32>) -> (tensor<3x5xf32>, tensor<3x5xf32>) {
  %a = math.tanh %x : tensor<3x5xf32>
  %y = graph.again %x : tensor<3x5xf32>
  %b = math.tanh %y : tensor<3x5xf32>
  return %a, %b : tensor<3x5xf32>, tensor<3x5xf32>
}
