// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-set-precision{type=bf16}))" -split-input-file | FileCheck %s
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-set-precision{type=f32}))" -split-input-file | FileCheck %s --check-prefix=F32
// RUN: not wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-set-precision{type=f8}))" -split-input-file 2>&1 | FileCheck %s --check-prefix=BAD

// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-set-precision{type=f16,second=f32,blocks.*.attn=bf16}))" -split-input-file | FileCheck %s --check-prefix=BYNAME
// RUN: not wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-set-precision{type=f16,second=i4}))" -split-input-file 2>&1 | FileCheck %s --check-prefix=BADNAME

// BAD: error: found precision 'f8', expected f16, bf16 or f32
// BADNAME: error: found precision 'i4', expected f16, bf16 or f32

// Values are stored narrow, bodies compute in f32, MemoryX keeps f32.
// CHECK-LABEL: stream.program @narrow
// CHECK: stream.tensor @x <input> : tensor<3x5xf32>
// CHECK: stream.send @x : tensor<3x5xbf16>
// CHECK: stream.contract {{.*}} : tensor<3x5xbf16> -> tensor<3x7xbf16>
// CHECK: stream.map {{.*}} : (tensor<3x7xbf16>) -> tensor<3x7xbf16>
// CHECK-NEXT: ^bb0(%[[A:.*]]: bf16):
// CHECK-NEXT: %[[WIDE:.*]] = arith.extf %[[A]] : bf16 to f32
// CHECK-NEXT: %[[E:.*]] = math.exp %[[WIDE]] : f32
// CHECK-NEXT: %[[N:.*]] = arith.truncf %[[E]] : f32 to bf16
// CHECK-NEXT: stream.yield %[[N]] : bf16
// CHECK: stream.receive {{.*}} : tensor<3x7xbf16>
// F32-LABEL: stream.program @narrow
// F32-NOT: bf16
stream.program @narrow machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<7x5xf32>
  stream.tensor @y <output> : tensor<3x7xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %c = stream.contract %x, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf32> -> tensor<3x7xf32>
    %y = stream.map %c : (tensor<3x7xf32>) -> tensor<3x7xf32> {
    ^bb0(%a: f32):
      %b = math.exp %a : f32
      stream.yield %b : f32
    }
    stream.receive %y, @y : tensor<3x7xf32>
  }
}

// -----

// Squares that only a sum reads stay f32, and so do the sum and what is computed of it alone: a square of a small number would vanish in 16 bits.
// CHECK-LABEL: stream.program @wide_sums
// CHECK: %[[S:.*]] = stream.map {{.*}} : (tensor<3x5xbf16>) -> tensor<3x5xf32>
// CHECK: %[[V:.*]] = stream.reduce <add> %[[S]] : tensor<3x5xf32> -> tensor<3x1xf32>
// CHECK: %[[R:.*]] = stream.map %[[V]] : (tensor<3x1xf32>) -> tensor<3x1xf32>
// CHECK: stream.map %{{.*}}, %[[R]] : (tensor<3x5xbf16>, tensor<3x1xf32>) -> tensor<3x5xbf16>
stream.program @wide_sums machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %s = stream.map %x : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      %b = arith.mulf %a, %a : f32
      stream.yield %b : f32
    }
    %v = stream.reduce <add> %s : tensor<3x5xf32> -> tensor<3x1xf32>
    %r = stream.map %v : (tensor<3x1xf32>) -> tensor<3x1xf32> {
    ^bb0(%a: f32):
      %b = math.rsqrt %a : f32
      stream.yield %b : f32
    }
    %y = stream.map %x, %r : (tensor<3x5xf32>, tensor<3x1xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32, %b: f32):
      %c = arith.mulf %a, %b : f32
      stream.yield %c : f32
    }
    stream.receive %y, @y : tensor<3x5xf32>
  }
}

// -----

// A sum that weights multiply is narrowed first: weights and what they multiply have one type.
// CHECK-LABEL: stream.program @sum_is_contracted
// CHECK: %[[S:.*]] = stream.reduce <add> {{.*}} -> tensor<3x1xf32>
// CHECK: %[[N:.*]] = stream.map %[[S]] : (tensor<3x1xf32>) -> tensor<3x1xbf16>
// CHECK: stream.contract %[[N]], @w {{.*}} : tensor<3x1xbf16> -> tensor<3x7xbf16>
stream.program @sum_is_contracted machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<7x1xf32>
  stream.tensor @y <output> : tensor<3x7xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %s = stream.reduce <add> %x : tensor<3x5xf32> -> tensor<3x1xf32>
    %y = stream.contract %s, @w {row_stride = 1 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x1xf32> -> tensor<3x7xf32>
    stream.receive %y, @y : tensor<3x7xf32>
  }
}

// -----

// An operation that is named has a precision of its own; what it multiplies is converted before.
// BYNAME-LABEL: stream.program @by_name
// BYNAME: stream.contract %{{.*}}, @w {{.*}} : tensor<3x5xbf16> -> tensor<3x5xbf16>
// BYNAME: %[[WIDE:.*]] = stream.map {{.*}} : (tensor<3x5xbf16>) -> tensor<3x5xf32>
// BYNAME: stream.contract %[[WIDE]], @w {{.*}} : tensor<3x5xf32> -> tensor<3x5xf32>
stream.program @by_name machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<5x5xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %a = stream.contract %x, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf32> -> tensor<3x5xf32> loc("blocks.0.attn/linear")
    %b = stream.contract %a, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf32> -> tensor<3x5xf32> loc("second/linear_1")
    stream.receive %b, @y : tensor<3x5xf32>
  }
}
