// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-form-layers,graph-partition{machine=tiny element-bytes=2}))" | FileCheck %s
// RUN: wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-form-layers,graph-partition{machine=small}))" | FileCheck %s --check-prefix=SMALL
// RUN: not wafer-opt %s --pass-pipeline="builtin.module(func.func(graph-form-layers,graph-partition{machine=none}))" 2>&1 | FileCheck %s --check-prefix=NONE

// NONE: error: {{.*}}none

// A token that a row of cores has no room for is MemoryX's, whatever kernel there is.
// CHECK-LABEL: func.func @wide
// CHECK: on <memoryx> reason "'linalg.tanh' at {{.*}}: a token of 40000 features takes 40002 bytes of each of the 4 cores of a row of machine 'tiny', which have room for 32768"
// SMALL-LABEL: func.func @wide
// SMALL: on <wafer>
func.func @wide(%x: tensor<2x40000xf32>) -> tensor<2x40000xf32> {
  %e = tensor.empty() : tensor<2x40000xf32>
  %t = linalg.tanh ins(%x : tensor<2x40000xf32>) outs(%e : tensor<2x40000xf32>) -> tensor<2x40000xf32>
  return %t : tensor<2x40000xf32>
}
