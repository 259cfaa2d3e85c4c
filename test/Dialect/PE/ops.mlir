// RUN: wafer-opt %s | wafer-opt | FileCheck %s
// Every form that the generated assembly formats have: registers, type, flags, offset, symbols.

// CHECK: pe.ldd d3, @x_rows
pe.ldd d3, @x_rows
// CHECK: pe.bind @weights
pe.bind @weights
// CHECK: pe.swapd d1, d2
pe.swapd d1, d2
// CHECK: pe.addd d7, -64
pe.addd d7, -64
// CHECK: pe.fmacp f16 d1, d0
pe.fmacp f16 d1, d0
// CHECK: pe.add f32 d4, d3, d1 async clear1
pe.add f32 d4, d3, d1 async clear1
// CHECK: pe.select bf16 d4, d3, d1, d47
pe.select bf16 d4, d3, d1, d47
// CHECK: pe.end
pe.end
