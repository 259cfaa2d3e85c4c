// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-fuse-maps))" -split-input-file | FileCheck %s
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-fuse-maps{max-operations=3}))" -split-input-file | FileCheck %s --check-prefix=SMALL

// A chain becomes one map, so what is between is never stored.
// CHECK-LABEL: stream.program @chain
// CHECK: %[[X:.*]] = stream.send @x
// CHECK-NEXT: %[[Y:.*]] = stream.map %[[X]] : (tensor<3x5xf32>) -> tensor<3x5xf32>
// CHECK: arith.negf
// CHECK-NEXT: math.exp
// CHECK-NEXT: stream.yield
// CHECK: stream.receive %[[Y]], @y
// A limit of three operations and operands leaves them apart.
// SMALL-LABEL: stream.program @chain
// SMALL-COUNT-2: stream.map
stream.program @chain machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %n = stream.map %x : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      %b = arith.negf %a : f32
      stream.yield %b : f32
    }
    %y = stream.map %n : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      %b = math.exp %a : f32
      stream.yield %b : f32
    }
    stream.receive %y, @y : tensor<3x5xf32>
  }
}

// -----

// Nothing is computed twice: a map with two readers stays.
// CHECK-LABEL: stream.program @two_readers
// CHECK-COUNT-3: stream.map
stream.program @two_readers machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.tensor @z <output> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %e = stream.map %x : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      %b = math.exp %a : f32
      stream.yield %b : f32
    }
    %y = stream.map %e : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      %b = arith.negf %a : f32
      stream.yield %b : f32
    }
    %z = stream.map %e : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      %b = math.absf %a : f32
      stream.yield %b : f32
    }
    stream.receive %y, @y : tensor<3x5xf32>
    stream.receive %z, @z : tensor<3x5xf32>
  }
}

// -----

// One reciprocal per token, not one per feature.
// CHECK-LABEL: stream.program @per_token
// CHECK: stream.map {{.*}} : (tensor<3x1xf32>) -> tensor<3x1xf32>
// CHECK: stream.map {{.*}} : (tensor<3x5xf32>, tensor<3x1xf32>) -> tensor<3x5xf32>
stream.program @per_token machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %m = stream.reduce <add> %x : tensor<3x5xf32> -> tensor<3x1xf32>
    %r = stream.map %m : (tensor<3x1xf32>) -> tensor<3x1xf32> {
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

// A map that passes its operand through is nothing; an operand that is there twice is read once.
// CHECK-LABEL: stream.program @identity
// CHECK: %[[X:.*]] = stream.send @x
// CHECK-NEXT: %[[Y:.*]] = stream.map %[[X]] : (tensor<3x5xf32>) -> tensor<3x5xf32>
// CHECK-NEXT: ^bb0(%[[A:.*]]: f32):
// CHECK-NEXT: arith.addf %[[A]], %[[A]] : f32
stream.program @identity machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %same = stream.map %x : (tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32):
      stream.yield %a : f32
    }
    %y = stream.map %x, %same : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32, %b: f32):
      %c = arith.addf %a, %b : f32
      stream.yield %c : f32
    }
    stream.receive %y, @y : tensor<3x5xf32>
  }
}
