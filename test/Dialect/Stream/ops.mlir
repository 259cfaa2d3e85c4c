// RUN: wafer-opt %s | wafer-opt | FileCheck %s
// Every operation and attribute of the dialect survives printing and parsing.

// CHECK-LABEL: stream.program @forward machine "odd"
stream.program @forward machine "odd" {
  // CHECK: stream.tensor @x <input> : tensor<2x3x5xf32>
  stream.tensor @x <input> : tensor<2x3x5xf32>
  // CHECK: stream.tensor @fc1.weight <weight> : tensor<7x5xf32>
  stream.tensor @fc1.weight <weight> : tensor<7x5xf32>
  stream.tensor @fc1.bias <weight> : tensor<7xf32>
  stream.tensor @ln.weight <weight> : tensor<7xf32>
  // CHECK: stream.tensor @t <intermediate> : tensor<6x7xf32>
  stream.tensor @t <intermediate> : tensor<6x7xf32>
  // CHECK: stream.tensor @output <output> : tensor<6x7xf32>
  stream.tensor @output <output> : tensor<6x7xf32>

  // CHECK: stream.segment {
  stream.segment {
    // CHECK: %[[X:.*]] = stream.send @x : tensor<6x5xf16>
    %x = stream.send @x : tensor<6x5xf16>
    // CHECK: %[[Y:.*]] = stream.contract %[[X]], @fc1.weight bias @fc1.bias wire <packed16> {{.*}} : tensor<6x5xf16> -> tensor<6x7xf16>
    %y = stream.contract %x, @fc1.weight bias @fc1.bias wire <packed16> {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64}
        : tensor<6x5xf16> -> tensor<6x7xf16>
    // CHECK: %[[M:.*]] = stream.reduce <max> %[[Y]] : tensor<6x7xf16> -> tensor<6x1xf32>
    %m = stream.reduce <max> %y : tensor<6x7xf16> -> tensor<6x1xf32>
    // CHECK: %[[Z:.*]] = stream.map %[[Y]], %[[M]] : (tensor<6x7xf16>, tensor<6x1xf32>) -> tensor<6x7xf16> {
    %z = stream.map %y, %m : (tensor<6x7xf16>, tensor<6x1xf32>) -> tensor<6x7xf16> {
    ^bb0(%a: f16, %b: f32):
      %wide = arith.extf %a : f16 to f32
      %d = arith.subf %wide, %b : f32
      %e = math.exp %d : f32
      %r = arith.truncf %e : f32 to f16
      // CHECK: stream.yield %{{.*}} : f16
      stream.yield %r : f16
    }
    // CHECK: %[[S:.*]] = stream.scale %[[Z]] gamma @ln.weight beta @fc1.bias wire <indexed16> : tensor<6x7xf16> -> tensor<6x7xf16>
    %s = stream.scale %z gamma @ln.weight beta @fc1.bias wire <indexed16> : tensor<6x7xf16> -> tensor<6x7xf16>
    // CHECK: stream.receive %[[S]], @t : tensor<6x7xf16>
    stream.receive %s, @t : tensor<6x7xf16>
  }

  // CHECK: stream.segment grid <columns = 3, rows = 1, groups = 1, token_block = 2, micro_batches = 3> {
  stream.segment grid <columns = 3, rows = 1, groups = 1, token_block = 2, micro_batches = 3> {
    // CHECK: stream.send @x : tensor<6x5xf32, #stream.layout<feature_block = 2>>
    %x = stream.send @x : tensor<6x5xf32, #stream.layout<feature_block = 2>>
    // CHECK: stream.reduce <add> {{.*}} -> tensor<6x1xf32, #stream.layout<feature_block = 0>>
    %sum = stream.reduce <add> %x : tensor<6x5xf32, #stream.layout<feature_block = 2>> -> tensor<6x1xf32, #stream.layout<feature_block = 0>>
  }

  // CHECK: stream.call @sort [@t] -> [@output] reason "no wafer kernel for sorting"
  stream.call @sort [@t] -> [@output] reason "no wafer kernel for sorting"
  func.func @sort(%t: tensor<6x7xf32>) -> tensor<6x7xf32> {
    return %t : tensor<6x7xf32>
  }
}

// CHECK-LABEL: stream.program @attention machine "odd"
stream.program @attention machine "odd" {
  stream.tensor @qkv <input> : tensor<6x24xf32>
  stream.tensor @table <input> : tensor<3x16xf32>
  stream.tensor @g <output> : tensor<6x24xf32>
  stream.segment batches 2 {
    %x = stream.send @qkv : tensor<6x24xf16>
    %t = stream.send @table : tensor<6x16xf16>
    // CHECK: stream.attend %{{.*}} rotated %{{.*}} : tensor<6x16xf16> heads 2 scale 5.000000e-01 causal : tensor<6x24xf16> -> tensor<6x8xf16>
    %o = stream.attend %x rotated %t : tensor<6x16xf16> heads 2 scale 5.000000e-01 causal : tensor<6x24xf16> -> tensor<6x8xf16>
    // CHECK: stream.attend %{{.*}} gradient %{{.*}} : tensor<6x8xf16> heads 2 scale 5.000000e-01 : tensor<6x24xf16> -> tensor<6x24xf16>
    %g = stream.attend %x gradient %o : tensor<6x8xf16> heads 2 scale 5.000000e-01 : tensor<6x24xf16> -> tensor<6x24xf16>
    // CHECK: stream.attend %{{.*}} heads 2 across 2 scale 5.000000e-01 : tensor<6x24xf16> -> tensor<6x8xf16>
    %s = stream.attend %x heads 2 across 2 scale 5.000000e-01 : tensor<6x24xf16> -> tensor<6x8xf16>
    stream.receive %g, @g : tensor<6x24xf16>
  }
}
