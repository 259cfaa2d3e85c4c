// RUN: wafer-opt %s | wafer-opt | FileCheck %s
// RUN: wafer-opt %s -mlir-print-op-generic | wafer-opt | FileCheck %s
// RUN: wafer-opt %s -canonicalize -cse | FileCheck %s

// Every form that the generated assembly formats have: registers, type, flags, offset, symbols.

// CHECK: pe.ldd d3, @x_rows
pe.ldd d3, @x_rows
// CHECK: pe.bind @weights
pe.bind @weights
// CHECK: pe.swapd d1, d2
pe.swapd d1, d2
// CHECK: pe.addd d7, -64
pe.addd d7, -64
// CHECK: pe.addd d7, -32768
pe.addd d7, -32768
// CHECK: pe.addd d7, 32767
pe.addd d7, 32767
// CHECK: pe.fmacp f16 d1, d0
pe.fmacp f16 d1, d0
// CHECK: pe.mov i8 d4, d3{{$}}
pe.mov i8 d4, d3
// CHECK: pe.add f32 d4, d3, d1 async clear1
pe.add f32 d4, d3, d1 async clear1
// CHECK: pe.select bf16 d4, d3, d1, d47
pe.select bf16 d4, d3, d1, d47

// An instruction works on descriptors that no pass sees: two that look the same are two.
// CHECK: pe.mul f32 d1, d2, d3
// CHECK-NEXT: pe.mul f32 d1, d2, d3
pe.mul f32 d1, d2, d3
pe.mul f32 d1, d2, d3
// CHECK: pe.end
pe.end
