// RUN: wafer-opt %s --graph-lower-tosa -split-input-file -verify-diagnostics | FileCheck %s

// Sums begin with zero, and the bias of each channel is added afterwards: elementwise work, as the wafer has it.
// CHECK: #[[$CHANNEL:.*]] = affine_map<(d0, d1, d2, d3) -> (d3)>
// CHECK-LABEL: func.func @convolution_with_bias(
// CHECK-SAME: %[[X:[a-z0-9]+]]: {{.*}}, %[[KERNEL:[a-z0-9]+]]: {{.*}}, %[[BIAS:[a-z0-9]+]]:
// CHECK: %[[ZERO:.*]] = arith.constant 0.0
// CHECK: %[[ZEROS:.*]] = linalg.fill ins(%[[ZERO]] : f32)
// CHECK: %[[SUM:.*]] = linalg.conv_2d_nhwc_fhwc {{.*}} ins(%[[X]], %[[KERNEL]] : {{.*}}) outs(%[[ZEROS]] :
// CHECK: linalg.generic {indexing_maps = [#{{.*}}, #[[$CHANNEL]], {{.*}} ins(%[[SUM]], %[[BIAS]] :
func.func @convolution_with_bias(%x: tensor<1x5x4x3xf32>, %kernel: tensor<2x1x1x3xf32>, %bias: tensor<2xf32>) -> tensor<1x5x4x2xf32> {
  %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %y = tosa.conv2d %x, %kernel, %bias, %zero, %zero {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>}
      : (tensor<1x5x4x3xf32>, tensor<2x1x1x3xf32>, tensor<2xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x4x2xf32>
  return %y : tensor<1x5x4x2xf32>
}

// -----

// A maximum begins with minus infinity, not with the lowest finite number.
// CHECK-LABEL: func.func @maximum(
// CHECK: %[[LEAST:.*]] = arith.constant 0xFF800000 : f32
// CHECK: linalg.fill ins(%[[LEAST]] : f32)
func.func @maximum(%x: tensor<3x7xf32>) -> tensor<3x1xf32> {
  %y = tosa.reduce_max %x {axis = 1 : i32} : (tensor<3x7xf32>) -> tensor<3x1xf32>
  return %y : tensor<3x1xf32>
}

// -----

// Without tosa operations nothing is touched, not even what could be folded.
// CHECK-LABEL: func.func @not_tosa(
// CHECK-COUNT-2: arith.addf
func.func @not_tosa(%x: tensor<3xf32>) -> tensor<3xf32> {
  %unread = arith.addf %x, %x : tensor<3xf32>
  %y = arith.addf %x, %x : tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

// expected-error @+1 {{found tosa operations without a lowering to linalg, expected operations that compute, on tensors of static shape}}
func.func @not_lowered(%x: tensor<1x4x8xf32>) -> tensor<1x4x8xf32> {
  // expected-error @+1 {{failed to legalize operation 'tosa.custom'}}
  %y = tosa.custom %x {operator_name = "mine", domain_name = "d", implementation_attrs = ""} : (tensor<1x4x8xf32>) -> tensor<1x4x8xf32>
  return %y : tensor<1x4x8xf32>
}
