// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-choose-wire-format,stream-assign-layout,stream-mask-outputs))" | FileCheck %s
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-choose-wire-format,stream-assign-layout,stream-mask-outputs{zeros=1}))" | FileCheck %s --check-prefix=FEW
// RUN: not wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-mask-outputs{zeros=0}))" 2>&1 | FileCheck %s --check-prefix=BAD

// BAD: error: found 0 thousandths of results that are hidden, expected 1 to 1000

// The gradient of a relu: what decides is computed before the contraction, and is its mask.
// CHECK-LABEL: stream.program @relu
// CHECK: %[[H:.*]] = stream.send ahead @h
// CHECK: %[[MASK:.*]] = stream.map %[[H]] : (tensor<128x128xf32, #[[L:.*]]>) -> tensor<128x128xf16, #[[L]]> {
// CHECK: ^bb0(%[[A:.*]]: f32):
// CHECK: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[WANTED:.*]] = arith.cmpf ogt, %[[A]], %[[ZERO]] : f32
// CHECK: %[[ONE:.*]] = arith.uitofp %[[WANTED]] : i1 to f16
// CHECK: stream.yield %[[ONE]] : f16
// CHECK: %[[D:.*]] = stream.contract %{{.*}}, @w mask %[[MASK]] wire <dense32> {{.*}}output_zeros = 500 : i64
// CHECK: stream.map %[[H]], %[[D]]
// A mask that hides next to nothing costs more than it saves.
// FEW-LABEL: stream.program @relu
// FEW-NOT: mask
// FEW: stream.program @
stream.program @relu machine "tiny" {
  stream.tensor @x <input> : tensor<128x64xf32>
  stream.tensor @h <input> : tensor<128x128xf32>
  stream.tensor @w <weight> : tensor<128x64xf32>
  stream.tensor @y <output> : tensor<128x128xf32>
  stream.segment {
    %x = stream.send @x : tensor<128x64xf32>
    %d = stream.contract %x, @w {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<128x64xf32> -> tensor<128x128xf32>
    %h = stream.send @h : tensor<128x128xf32>
    %y = stream.map %h, %d : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32> {
    ^bb0(%a: f32, %b: f32):
      %zero = arith.constant 0.0 : f32
      %positive = arith.cmpf ogt, %a, %zero : f32
      %r = arith.select %positive, %b, %zero : f32
      stream.yield %r : f32
    }
    stream.receive %y, @y : tensor<128x128xf32>
  }
}

// A mask of minus infinity is added to scores, which are scaled before.
// CHECK-LABEL: stream.program @scores
// CHECK: %[[M:.*]] = stream.send ahead @mask
// CHECK: %[[MASK:.*]] = stream.map %[[M]]
// CHECK: %[[INFINITY:.*]] = arith.constant 0xFF800000 : f32
// CHECK: arith.cmpf une, %{{.*}}, %[[INFINITY]] : f32
// CHECK: stream.contract %{{.*}}, @k mask %[[MASK]]
stream.program @scores machine "tiny" {
  stream.tensor @q <input> : tensor<128x64xf32>
  stream.tensor @k <input> : tensor<128x64xf32>
  stream.tensor @seen <input> : tensor<128x128xi1>
  stream.tensor @mask <intermediate> : tensor<128x128xf32>
  stream.tensor @y <output> : tensor<128x128xf32>
  stream.call @infinities [@seen] -> [@mask] reason "by hand"
  stream.segment {
    %q = stream.send @q : tensor<128x64xf32>
    %s = stream.contract %q, @k {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<128x64xf32> -> tensor<128x128xf32>
    %m = stream.send @mask : tensor<128x128xf32>
    %y = stream.map %s, %m : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32> {
    ^bb0(%a: f32, %b: f32):
      %scale = arith.constant 0.125 : f32
      %scaled = arith.mulf %a, %scale : f32
      %r = arith.addf %scaled, %b : f32
      stream.yield %r : f32
    }
    stream.receive %y, @y : tensor<128x128xf32>
  }
  func.func @infinities(%seen: tensor<128x128xi1>) -> tensor<128x128xf32> {
    %zero = arith.constant 0.0 : f32
    %infinity = arith.constant 0xFF800000 : f32
    %empty = tensor.empty() : tensor<128x128xf32>
    %mask = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
        ins(%seen : tensor<128x128xi1>) outs(%empty : tensor<128x128xf32>) {
    ^bb0(%in: i1, %out: f32):
      %r = arith.select %in, %zero, %infinity : f32
      linalg.yield %r : f32
    } -> tensor<128x128xf32>
    return %mask : tensor<128x128xf32>
  }
}

// What is hidden by the result itself, by a number that is finite, by a value that counts, or from one of two readers, is computed.
// CHECK-LABEL: stream.program @counts
// CHECK-NOT: mask
// CHECK: stream.program @end
stream.program @counts machine "tiny" {
  stream.tensor @x <input> : tensor<128x64xf32>
  stream.tensor @h <input> : tensor<128x128xf32>
  stream.tensor @w <weight> : tensor<128x64xf32>
  stream.tensor @y <output> : tensor<128x128xf32>
  stream.tensor @z <output> : tensor<128x128xf32>
  stream.segment {
    %x = stream.send @x : tensor<128x64xf32>
    %h = stream.send @h : tensor<128x128xf32>
    %itself = stream.contract %x, @w {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<128x64xf32> -> tensor<128x128xf32>
    %relu = stream.map %itself : (tensor<128x128xf32>) -> tensor<128x128xf32> {
    ^bb0(%b: f32):
      %zero = arith.constant 0.0 : f32
      %positive = arith.cmpf ogt, %b, %zero : f32
      %r = arith.select %positive, %b, %zero : f32
      stream.yield %r : f32
    }
    %added = stream.contract %x, @w {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<128x64xf32> -> tensor<128x128xf32>
    %finite = stream.map %relu, %added : (tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32> {
    ^bb0(%a: f32, %b: f32):
      %zero = arith.constant 0.0 : f32
      %low = arith.constant -1.0e4 : f32
      %positive = arith.cmpf ogt, %a, %zero : f32
      %m = arith.select %positive, %zero, %low : f32
      %r = arith.addf %b, %m : f32
      stream.yield %r : f32
    }
    %chosen = stream.contract %x, @w {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<128x64xf32> -> tensor<128x128xf32>
    %either = stream.map %h, %chosen, %finite : (tensor<128x128xf32>, tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32> {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %zero = arith.constant 0.0 : f32
      %positive = arith.cmpf ogt, %a, %zero : f32
      %r = arith.select %positive, %b, %c : f32
      stream.yield %r : f32
    }
    %twice = stream.contract %x, @w {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<128x64xf32> -> tensor<128x128xf32>
    stream.receive %twice, @z : tensor<128x128xf32>
    %y = stream.map %h, %twice, %either : (tensor<128x128xf32>, tensor<128x128xf32>, tensor<128x128xf32>) -> tensor<128x128xf32> {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %zero = arith.constant 0.0 : f32
      %positive = arith.cmpf ogt, %a, %zero : f32
      %s = arith.select %positive, %b, %zero : f32
      %r = arith.addf %s, %c : f32
      stream.yield %r : f32
    }
    stream.receive %y, @y : tensor<128x128xf32>
  }
}
stream.program @end machine "tiny" {
}
