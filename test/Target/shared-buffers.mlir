// Buffers that live at different times share addresses. A descriptor goes back to one that holds all of it, even when a smaller one begins at the same byte.
//
// RUN: wafer-objdump --assemble %S/Inputs/shared.ws -o %t.wexe
// RUN: wafer-translate --wexe-to-wafer %t.wexe | wafer-opt | FileCheck %s
//
// CHECK: wafer.descriptor @whole <mem> f32 on @large offset 0 extents [1, 1, 1, 4]
// CHECK: wafer.descriptor @middle <mem> f32 on @large offset 8 extents [1, 1, 1, 2]
// CHECK: wafer.descriptor @first <mem> f32 on @small offset 0 extents [1, 1, 1, 1]
// CHECK: wafer.descriptor @reversed <mem> f32 on @large offset 12 extents [1, 1, 1, 4] strides [0, 0, 0, -1]
