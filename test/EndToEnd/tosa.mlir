// A model in the tosa dialect, by hand from the shell as linear-relu-linear.mlir: the convolution and the linear layer run on the wafer.
// They have 5*5*4*27 + 60*7 = 3120 products.
//
// RUN: rm -rf %t && mkdir %t
// RUN: %python %S/Inputs/models.py tosa %t
//
// DEFINE: %{machine} = tiny
// DEFINE: %{precision} = f16
// DEFINE: %{tolerance} = 2e-3
// DEFINE: %{d} = %t/%{machine}-%{precision}
// DEFINE: %{compile-and-run} = mkdir %{d} && \
// DEFINE:   wafer-opt %s --wafer-pipeline="machine=%{machine} precision=%{precision}" -mlir-print-debuginfo -o %{d}/model.wafer.mlir && \
// DEFINE:   wafer-translate --wafer-to-wexe %{d}/model.wafer.mlir -o %{d}/model.wexe && \
// DEFINE:   wafer-run %{d}/model.wexe --weights %t/weights.safetensors --input x=%t/x.npy --output-dir %{d}/functional --stats %{d}/functional.json && \
// DEFINE:   wafer-run %{d}/model.wexe --weights %t/weights.safetensors --input x=%t/x.npy --output-dir %{d}/cycle --engine cycle --stats %{d}/cycle.json && \
// DEFINE:   cmp %{d}/functional/y.npy %{d}/cycle/y.npy && %python %S/Inputs/compare.py %t/y.npy %{d} %{tolerance} 3120 | FileCheck %s
//
// RUN: %{compile-and-run}
// REDEFINE: %{machine} = small
// REDEFINE: %{precision} = f32
// REDEFINE: %{tolerance} = 1e-6
// RUN: %{compile-and-run}
//
// CHECK: relative error {{.*}} on both engines

func.func @forward(%x: tensor<1x6x5x3xf32> {graph.name = "x", graph.role = "input"},
                   %kernel: tensor<4x3x3x3xf32> {graph.name = "conv.weight", graph.role = "parameter"},
                   %bias: tensor<4xf32> {graph.name = "conv.bias", graph.role = "parameter"},
                   %w: tensor<1x60x7xf32> {graph.name = "fc.weight", graph.role = "parameter"})
    -> (tensor<1x7xf32> {graph.name = "y"}) {
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %conv = tosa.conv2d %x, %kernel, %bias, %zp, %zp {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 0, 1, 1>, stride = array<i64: 1, 1>}
      : (tensor<1x6x5x3xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x5x5x4xf32>
  %relu = tosa.clamp %conv {min_val = 0.0 : f32, max_val = 3.40282347E+38 : f32} : (tensor<1x5x5x4xf32>) -> tensor<1x5x5x4xf32>
  %pool = tosa.max_pool2d %relu {kernel = array<i64: 3, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x5x5x4xf32>) -> tensor<1x3x5x4xf32>
  %s = tosa.const_shape {values = dense<[1, 1, 60]> : tensor<3xindex>} : () -> !tosa.shape<3>
  %flat = tosa.reshape %pool, %s : (tensor<1x3x5x4xf32>, !tosa.shape<3>) -> tensor<1x1x60xf32>
  %fc = tosa.matmul %flat, %w, %zp, %zp : (tensor<1x1x60xf32>, tensor<1x60x7xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x1x7xf32>
  %max = tosa.reduce_max %fc {axis = 2 : i32} : (tensor<1x1x7xf32>) -> tensor<1x1x1xf32>
  %less = tosa.sub %fc, %max : (tensor<1x1x7xf32>, tensor<1x1x1xf32>) -> tensor<1x1x7xf32>
  %exp = tosa.exp %less : (tensor<1x1x7xf32>) -> tensor<1x1x7xf32>
  %sum = tosa.reduce_sum %exp {axis = 2 : i32} : (tensor<1x1x7xf32>) -> tensor<1x1x1xf32>
  %over = tosa.reciprocal %sum : (tensor<1x1x1xf32>) -> tensor<1x1x1xf32>
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %soft = tosa.mul %exp, %over, %shift : (tensor<1x1x7xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<1x1x7xf32>
  %s2 = tosa.const_shape {values = dense<[1, 7]> : tensor<2xindex>} : () -> !tosa.shape<2>
  %y = tosa.reshape %soft, %s2 : (tensor<1x1x7xf32>, !tosa.shape<2>) -> tensor<1x7xf32>
  return %y : tensor<1x7xf32>
}
