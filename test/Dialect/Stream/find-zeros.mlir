// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-find-zeros))" | FileCheck %s
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-find-zeros{zeros=950},stream-choose-wire-format))" | FileCheck %s --check-prefix=MANY
// RUN: not wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-find-zeros{zeros=1001}))" 2>&1 | FileCheck %s --check-prefix=BAD

// BAD: error: found 1001 thousandths of zeros, expected 1 to 1000

// What a relu makes has zeros, here and in the next segment; what a sum makes has none that anybody knows of.
// CHECK-LABEL: stream.program @relu
// CHECK: stream.tensor @h <intermediate> : tensor<4x6xf32> nonzeros 12
// MANY-LABEL: stream.program @relu
// MANY: stream.tensor @h <intermediate> : tensor<4x6xf32> nonzeros 1
stream.program @relu machine "odd" {
  stream.tensor @x <input> : tensor<4x6xf32>
  stream.tensor @w <weight> : tensor<6x6xf32>
  stream.tensor @h <intermediate> : tensor<4x6xf32>
  stream.segment {
    %x = stream.send @x : tensor<4x6xf16>
    // CHECK: stream.contract %{{.*}}, @w {column_stride = 1 : i64, offset
    %u = stream.contract %x, @w {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf16> -> tensor<4x6xf16>
    %h = stream.map %u : (tensor<4x6xf16>) -> tensor<4x6xf16> {
    ^bb0(%a: f16):
      %zero = arith.constant 0.0 : f32
      %wide = arith.extf %a : f16 to f32
      %r = arith.maximumf %wide, %zero : f32
      %n = arith.truncf %r : f32 to f16
      stream.yield %n : f16
    }
    // CHECK: stream.contract %{{.*}}, @w {column_stride = 1 : i64, input_zeros = 500 : i64
    %d = stream.contract %h, @w {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf16> -> tensor<4x6xf16>
    // CHECK: stream.contract %{{.*}}, @w {column_stride = 1 : i64, offset
    %e = stream.contract %d, @w {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf16> -> tensor<4x6xf16>
    stream.receive %h, @h : tensor<4x6xf16>
  }
  stream.segment {
    %h = stream.send @h : tensor<4x6xf16>
    // CHECK: stream.contract %{{.*}}, @w {{.*}}input_zeros = 500
    %a = stream.contract %h, @w {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf16> -> tensor<4x6xf16>
    %x = stream.send @x : tensor<4x6xf16>
    // MANY: stream.contract %{{.*}}, @h wire <indexed16>
    %g = stream.contract %x, @h {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf16> -> tensor<4x4xf16>
  }
}

// Tokens that an expert does not take are zeros of all features, and so are sums of them.
// CHECK-LABEL: stream.program @tokens
stream.program @tokens machine "odd" {
  stream.tensor @x <input> : tensor<4x6xf32>
  stream.tensor @share <input> : tensor<4x1xf32>
  stream.tensor @w <weight> : tensor<6x6xf32>
  stream.tensor @b <weight> : tensor<6xf32>
  stream.segment {
    %x = stream.send @x : tensor<4x6xf32>
    %s = stream.send @share : tensor<4x1xf32>
    %m = stream.map %x, %s : (tensor<4x6xf32>, tensor<4x1xf32>) -> tensor<4x6xf32> {
    ^bb0(%a: f32, %b: f32):
      %zero = arith.constant 0.0 : f32
      %takes = arith.cmpf une, %b, %zero : f32
      %r = arith.select %takes, %a, %zero : f32
      stream.yield %r : f32
    }
    // CHECK-COUNT-3: guard = @share, input_zeros
    %h = stream.contract %m, @w {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf32> -> tensor<4x6xf32>
    %i = stream.contract %h, @w {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf32> -> tensor<4x6xf32>
    %j = stream.contract %i, @w bias @b {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf32> -> tensor<4x6xf32>
    // CHECK: stream.contract %{{.*}}, @w {column_stride = 1 : i64, offset
    %k = stream.contract %j, @w {row_stride = 6 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4x6xf32> -> tensor<4x6xf32>
  }
}

// A mask that MemoryX has, and the exponential of what it hides.
// CHECK-LABEL: stream.program @causal
// CHECK-NOT: guard
stream.program @causal machine "odd" {
  stream.tensor @scores <input> : tensor<2x2xf32>
  stream.tensor @mask <intermediate> : tensor<2x2xf32>
  stream.tensor @v <input> : tensor<2x2xf32>
  stream.call @constant [] -> [@mask] reason "a constant"
  stream.segment {
    %s = stream.send @scores : tensor<2x2xf32>
    %m = stream.send @mask : tensor<2x2xf32>
    %p = stream.map %s, %m : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32> {
    ^bb0(%a: f32, %b: f32):
      %hidden = arith.addf %a, %b : f32
      %e = math.exp %hidden : f32
      stream.yield %e : f32
    }
    // CHECK: stream.contract %{{.*}}, @v {{.*}}input_zeros
    %y = stream.contract %p, @v {row_stride = 1 : i64, column_stride = 2 : i64, offset = 0 : i64} : tensor<2x2xf32> -> tensor<2x2xf32>
  }
  func.func private @constant() -> tensor<2x2xf32> {
    %c = arith.constant dense<[[0.0, 0xFF800000], [0.0, 0.0]]> : tensor<2x2xf32>
    return %c : tensor<2x2xf32>
  }
}
