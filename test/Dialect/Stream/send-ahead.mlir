// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-choose-wire-format,stream-assign-layout))" | FileCheck %s

// What a map reads beside a product comes while that is computed, and not before, where the link would be free too.
// CHECK-LABEL: stream.program @residual
// CHECK: %[[X:.*]] = stream.send @x
// CHECK: %[[H:.*]] = stream.contract %[[X]], @w
// CHECK: %[[Z:.*]] = stream.send ahead @z
// CHECK: %[[S:.*]] = stream.contract %[[H]], @v
// CHECK: stream.map %[[S]], %[[Z]]
stream.program @residual machine "small" {
  stream.tensor @x <input> : tensor<256x64xf32>
  stream.tensor @z <input> : tensor<256x64xf32>
  stream.tensor @w <weight> : tensor<64x64xf32>
  stream.tensor @v <weight> : tensor<64x64xf32>
  stream.tensor @y <output> : tensor<256x64xf32>
  stream.segment {
    %x = stream.send @x : tensor<256x64xf32>
    %h = stream.contract %x, @w {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<256x64xf32> -> tensor<256x64xf32>
    %s = stream.contract %h, @v {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<256x64xf32> -> tensor<256x64xf32>
    %z = stream.send @z : tensor<256x64xf32>
    %y = stream.map %s, %z : (tensor<256x64xf32>, tensor<256x64xf32>) -> tensor<256x64xf32> {
    ^bb0(%a: f32, %b: f32):
      %sum = arith.addf %a, %b : f32
      stream.yield %sum : f32
    }
    stream.receive %y, @y : tensor<256x64xf32>
  }
}

// One at a time: the second one comes beside kernels behind the first one's reader.
// CHECK-LABEL: stream.program @two
// CHECK: %[[X:.*]] = stream.send @x
// CHECK: %[[Z:.*]] = stream.send ahead @z
// CHECK: %[[H:.*]] = stream.contract %[[X]], @w
// CHECK: %[[A:.*]] = stream.map %[[H]], %[[Z]]
// CHECK: %[[T:.*]] = stream.send ahead @t
// CHECK: %[[S:.*]] = stream.contract %[[A]], @v
// CHECK: stream.map %[[S]], %[[T]]
stream.program @two machine "small" {
  stream.tensor @x <input> : tensor<256x64xf32>
  stream.tensor @z <input> : tensor<256x64xf32>
  stream.tensor @t <input> : tensor<256x64xf32>
  stream.tensor @w <weight> : tensor<64x64xf32>
  stream.tensor @v <weight> : tensor<64x64xf32>
  stream.tensor @y <output> : tensor<256x64xf32>
  stream.segment {
    %x = stream.send @x : tensor<256x64xf32>
    %h = stream.contract %x, @w {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<256x64xf32> -> tensor<256x64xf32>
    %z = stream.send @z : tensor<256x64xf32>
    %a = stream.map %h, %z : (tensor<256x64xf32>, tensor<256x64xf32>) -> tensor<256x64xf32> {
    ^bb0(%e: f32, %f: f32):
      %sum = arith.addf %e, %f : f32
      stream.yield %sum : f32
    }
    %s = stream.contract %a, @v {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<256x64xf32> -> tensor<256x64xf32>
    %t = stream.send @t : tensor<256x64xf32>
    %y = stream.map %s, %t : (tensor<256x64xf32>, tensor<256x64xf32>) -> tensor<256x64xf32> {
    ^bb0(%e: f32, %f: f32):
      %sum = arith.addf %e, %f : f32
      stream.yield %sum : f32
    }
    stream.receive %y, @y : tensor<256x64xf32>
  }
}

// There is nothing to come beside of.
// CHECK-LABEL: stream.program @nothing_before
// CHECK-NOT: ahead
// CHECK: stream.receive
stream.program @nothing_before machine "small" {
  stream.tensor @x <input> : tensor<256x64xf32>
  stream.tensor @z <input> : tensor<256x64xf32>
  stream.tensor @y <output> : tensor<256x64xf32>
  stream.segment {
    %x = stream.send @x : tensor<256x64xf32>
    %z = stream.send @z : tensor<256x64xf32>
    %y = stream.map %x, %z : (tensor<256x64xf32>, tensor<256x64xf32>) -> tensor<256x64xf32> {
    ^bb0(%a: f32, %b: f32):
      %sum = arith.addf %a, %b : f32
      stream.yield %sum : f32
    }
    stream.receive %y, @y : tensor<256x64xf32>
  }
}
