// RUN: rm -f %t.jsonl
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-assign-layout{decision-trace=%t.jsonl}))" -split-input-file | FileCheck %s
// RUN: FileCheck %s --check-prefix=TRACE --input-file=%t.jsonl
// RUN: %python %S/Inputs/check_trace.py %t.jsonl
// RUN: rm -f %t.choices.jsonl
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-assign-layout{decision-trace=%t.choices.jsonl choices-only}))" -split-input-file -o %t.mlir
// RUN: FileCheck %s --check-prefix=CHOICES --input-file=%t.choices.jsonl --implicit-check-not='"chosen":false'
// CHOICES: "chosen":true
// RUN: rm -f %t.near.jsonl
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-assign-layout{decision-trace=%t.near.jsonl trace-within=1.2}))" -split-input-file -o %t.mlir
// RUN: FileCheck %s --check-prefix=NEAR --input-file=%t.near.jsonl --implicit-check-not='"fits":false'
// NEAR: "chosen":false
// NEAR: "chosen":true

// Every candidate is in the trace, and one for each segment is chosen; check_trace.py checks that it is the cheapest that fits.
// TRACE: {"bands":1,"batches_at_once":1,"bound_by":"","chosen":false,"columns":1,{{.*}}"fits":true,"groups":1,"loads":1,"machine":"odd",{{.*}}"segment":0
// TRACE: "chosen":true

// 7 features on 7 columns or fewer, 3 tokens on 5 rows: the grid covers both (segment_c2, segment_c3), which the verifier checks.
// CHECK-LABEL: stream.program @few_tokens
// CHECK: stream.segment grid <columns = {{[1-7]}}, rows = {{[1-5]}}, groups = {{[1-7]}}, token_block = {{[1-3]}}, micro_batches = 1>
// CHECK: stream.send @x : tensor<3x7xf16, #stream.layout<feature_block = {{[1-9]}}>>
stream.program @few_tokens machine "odd" {
  stream.tensor @x <input> : tensor<3x7xf32>
  stream.tensor @w <weight> : tensor<4x7xf32>
  stream.tensor @y <output> : tensor<3x4xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x7xf16>
    %y = stream.contract %x, @w wire <packed16> {row_stride = 7 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x7xf16> -> tensor<3x4xf16>
    stream.receive %y, @y : tensor<3x4xf16>
  }
}

// -----

// More tokens than fit at once run in micro-batches; the accumulators of `odd` hold 64 tokens.
// CHECK-LABEL: stream.program @many_tokens
// CHECK: micro_batches = {{[1-9][0-9]+}}>
stream.program @many_tokens machine "odd" {
  stream.tensor @x <input> : tensor<100000x7xf32>
  stream.tensor @w <weight> : tensor<4x7xf32>
  stream.tensor @y <output> : tensor<100000x4xf32>
  stream.segment {
    %x = stream.send @x : tensor<100000x7xf32>
    %y = stream.contract %x, @w wire <dense32> {row_stride = 7 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<100000x7xf32> -> tensor<100000x4xf32>
    stream.receive %y, @y : tensor<100000x4xf32>
  }
}

// -----

// What a reduction makes, and what is computed of it alone, is a copy in every column; a tensor of one feature that is sent lies in the first column.
// CHECK-LABEL: stream.program @copies
// CHECK: %[[X:.*]] = stream.send @x : tensor<3x5xf32, #stream.layout<feature_block = {{[1-9]}}>>
// CHECK: %[[M:.*]] = stream.send @m : tensor<3x1xf32, #stream.layout<feature_block = 1>>
// CHECK: %[[S:.*]] = stream.reduce <add> %[[X]] {{.*}} -> tensor<3x1xf32, #stream.layout<feature_block = 0>>
// CHECK: %[[N:.*]] = stream.map %[[S]] {{.*}} -> tensor<3x1xf32, #stream.layout<feature_block = 0>>
// The sent one is spread before it is repeated over features.
// CHECK: %[[SPREAD:.*]] = stream.reduce <max> %[[M]] {{.*}} -> tensor<3x1xf32, #stream.layout<feature_block = 0>>
// CHECK: stream.map %[[X]], %[[N]], %[[SPREAD]]
// The copy that weights multiply becomes a value of the first column.
// CHECK: %[[LONE:.*]] = stream.map %[[S]] {{.*}} -> tensor<3x1xf32, #stream.layout<feature_block = 1>>
// CHECK: stream.contract %[[LONE]], @w
stream.program @copies machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @m <input> : tensor<3x1xf32>
  stream.tensor @w <weight> : tensor<4x1xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.tensor @z <output> : tensor<3x4xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %m = stream.send @m : tensor<3x1xf32>
    %s = stream.reduce <add> %x : tensor<3x5xf32> -> tensor<3x1xf32>
    %n = stream.map %s : (tensor<3x1xf32>) -> tensor<3x1xf32> {
    ^bb0(%a: f32):
      %b = arith.negf %a : f32
      stream.yield %b : f32
    }
    %y = stream.map %x, %n, %m : (tensor<3x5xf32>, tensor<3x1xf32>, tensor<3x1xf32>) -> tensor<3x5xf32> {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %d = math.fma %a, %b, %c : f32
      stream.yield %d : f32
    }
    %z = stream.contract %s, @w wire <dense32> {row_stride = 1 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x1xf32> -> tensor<3x4xf32>
    stream.receive %y, @y : tensor<3x5xf32>
    stream.receive %z, @z : tensor<3x4xf32>
  }
}

// -----

// Each segment has the shape that suits it.
// CHECK-LABEL: stream.program @own_shapes
// CHECK: stream.segment grid <columns = 1, rows = 1, groups = 4,
// CHECK: stream.segment grid <columns = 3, rows = 1, groups = 2,
stream.program @own_shapes machine "odd" {
  stream.tensor @x <input> : tensor<70x5xf32>
  stream.tensor @v <input> : tensor<2x3xf32>
  stream.tensor @y <output> : tensor<70x5xf32>
  stream.tensor @u <output> : tensor<2x3xf32>
  stream.segment {
    %x = stream.send @x : tensor<70x5xf32>
    stream.receive %x, @y : tensor<70x5xf32>
  }
  stream.segment {
    %v = stream.send @v : tensor<2x3xf32>
    stream.receive %v, @u : tensor<2x3xf32>
  }
}

// -----

// Three values of 20 KB at a time do not fit into 48 KB: what MemoryX has comes once more.
// CHECK-LABEL: stream.program @again
// CHECK: stream.segment
// CHECK: stream.send @x
// CHECK: stream.scale
// CHECK: stream.scale
// CHECK: stream.map
// CHECK: stream.send @x
// CHECK: stream.map
// CHECK-NOT: stream.segment
// CHECK: stream.receive %{{.*}}, @y
stream.program @again machine "tiny" {
  stream.tensor @x <input> : tensor<1x20000xf32>
  stream.tensor @w <weight> : tensor<20000xf32>
  stream.tensor @y <output> : tensor<1x20000xf32>
  stream.segment {
    %x = stream.send @x : tensor<1x20000xf32>
    %a = stream.scale %x gamma @w wire <dense32> : tensor<1x20000xf32> -> tensor<1x20000xf32>
    %b = stream.scale %a gamma @w wire <dense32> : tensor<1x20000xf32> -> tensor<1x20000xf32>
    %c = stream.map %b, %a : (tensor<1x20000xf32>, tensor<1x20000xf32>) -> tensor<1x20000xf32> {
    ^bb0(%p: f32, %q: f32):
      %s = arith.addf %p, %q : f32
      stream.yield %s : f32
    }
    %d = stream.map %c, %x : (tensor<1x20000xf32>, tensor<1x20000xf32>) -> tensor<1x20000xf32> {
    ^bb0(%p: f32, %q: f32):
      %s = arith.mulf %p, %q : f32
      stream.yield %s : f32
    }
    stream.receive %d, @y : tensor<1x20000xf32>
  }
}

// -----

// What leaves has to stay until it does, with two values beside it: the segment is cut, and what the later kernels read comes from MemoryX.
// CHECK-LABEL: stream.program @cut
// CHECK: stream.tensor @[[B:spilled_[0-9]+]] <intermediate>
// CHECK: stream.tensor @[[A:spilled_[0-9]+]] <intermediate>
// CHECK: stream.segment
// CHECK: stream.scale
// CHECK: stream.receive %{{.*}}, @[[A]]
// CHECK: stream.segment
// CHECK: stream.send @[[A]]
// CHECK: stream.scale
// CHECK: stream.receive %{{.*}}, @[[B]]
// CHECK: stream.segment
// CHECK-DAG: stream.send @[[B]]
// CHECK-DAG: stream.send @x
// CHECK: stream.map
// CHECK: stream.receive %{{.*}}, @y
// CHECK: stream.send @[[A]]
// CHECK: stream.receive %{{.*}}, @z
stream.program @cut machine "tiny" {
  stream.tensor @x <input> : tensor<1x20000xf32>
  stream.tensor @w <weight> : tensor<20000xf32>
  stream.tensor @y <output> : tensor<1x20000xf32>
  stream.tensor @z <output> : tensor<1x20000xf32>
  stream.segment {
    %x = stream.send @x : tensor<1x20000xf32>
    %a = stream.scale %x gamma @w wire <dense32> : tensor<1x20000xf32> -> tensor<1x20000xf32>
    %b = stream.scale %a gamma @w wire <dense32> : tensor<1x20000xf32> -> tensor<1x20000xf32>
    %c = stream.map %b, %x : (tensor<1x20000xf32>, tensor<1x20000xf32>) -> tensor<1x20000xf32> {
    ^bb0(%p: f32, %q: f32):
      %s = arith.mulf %p, %q : f32
      stream.yield %s : f32
    }
    stream.receive %c, @y : tensor<1x20000xf32>
    stream.receive %a, @z : tensor<1x20000xf32>
  }
}

// -----

// Heads with keys of their own divide the column groups among them: a head has 16 tokens here, a tenth of what the wafer would hold.
// CHECK-LABEL: stream.program @heads
// CHECK: stream.segment batches 8 grid <columns = {{[0-9]+}}, rows = {{[0-9]+}}, groups = [[GROUPS:[248]]], token_block = {{[0-9]+}}, micro_batches = {{[124]}}, batches_at_once = [[GROUPS]]>
stream.program @heads machine "small" {
  stream.tensor @q <input> : tensor<8x16x8xf16>
  stream.tensor @k <input> : tensor<8x16x8xf16>
  stream.tensor @s <output> : tensor<8x16x16xf16>
  stream.segment batches 8 {
    %q = stream.send @q : tensor<128x8xf16>
    %s = stream.contract %q, @k wire <packed16> {row_stride = 8 : i64, column_stride = 1 : i64, offset = 0 : i64, batch_sizes = array<i64: 8>, batch_strides = array<i64: 128>} : tensor<128x8xf16> -> tensor<128x16xf16>
    stream.receive %s, @s : tensor<128x16xf16>
  }
}

// Entries that attend have a band each of the rows of a group of columns: 8 groups of 2 columns, of which each holds entries one above the other.
// CHECK-LABEL: stream.program @bands
// CHECK: stream.segment batches 32 grid <columns = 2, rows = 8, groups = 8, token_block = 8, micro_batches = 1, batches_at_once = 32, bands = 4>
// TRACE: "bands":4,{{.*}}"chosen":true{{.*}}"program":"bands"
stream.program @bands machine "small" {
  stream.tensor @x <input> : tensor<32x16x24xf16>
  stream.tensor @y <output> : tensor<32x16x8xf16>
  stream.segment batches 32 {
    %x = stream.send @x : tensor<512x24xf16>
    %y = stream.attend %x heads 2 scale 1.000000e+00 causal : tensor<512x24xf16> -> tensor<512x8xf16>
    stream.receive %y, @y : tensor<512x8xf16>
  }
}

// Not where entries have weights of their own (segment_c6).
// CHECK-LABEL: stream.program @no_bands
// CHECK: stream.segment batches 32 grid
// CHECK-NOT: bands
// CHECK: stream.send
stream.program @no_bands machine "small" {
  stream.tensor @x <input> : tensor<32x16x24xf16>
  stream.tensor @k <input> : tensor<32x8x8xf16>
  stream.tensor @y <output> : tensor<32x16x8xf16>
  stream.segment batches 32 {
    %x = stream.send @x : tensor<512x24xf16>
    %a = stream.attend %x heads 2 scale 1.000000e+00 causal : tensor<512x24xf16> -> tensor<512x8xf16>
    %y = stream.contract %a, @k wire <packed16> {row_stride = 8 : i64, column_stride = 1 : i64, offset = 0 : i64, batch_sizes = array<i64: 32>, batch_strides = array<i64: 64>} : tensor<512x8xf16> -> tensor<512x8xf16>
    stream.receive %y, @y : tensor<512x8xf16>
  }
}

// Temporaries of a map take a quarter where 4 KB of each would leave no room for the values.
// CHECK-LABEL: stream.program @small_chunks
// CHECK: stream.segment grid <columns = 4, rows = 4, groups = 1, token_block = 1, micro_batches = 16> chunks 1024
stream.program @small_chunks machine "tiny" {
  stream.tensor @x <input> : tensor<64x36000xf32>
  stream.tensor @y <output> : tensor<64x36000xf32>
  stream.segment {
    %x = stream.send @x : tensor<64x36000xf32>
    %y = stream.map %x : (tensor<64x36000xf32>) -> tensor<64x36000xf32> {
    ^bb0(%a: f32):
      %1 = math.exp %a : f32
      %2 = math.tanh %a : f32
      %3 = arith.mulf %a, %1 : f32
      %4 = arith.addf %2, %3 : f32
      %5 = arith.mulf %4, %1 : f32
      stream.yield %5 : f32
    }
    stream.receive %y, @y : tensor<64x36000xf32>
  }
}

// -----

// Sums of four groups leave once: they are added in as many rows below the grid as a group has columns. Groups that hold batch entries with sums of their own keep them apart.
// CHECK-LABEL: stream.program @groups
// CHECK: stream.segment grid <columns = 16, rows = 128, groups = 4, token_block = 8, micro_batches = 1>
// CHECK: into @g groups_added
// CHECK: stream.segment batches 8 grid <{{.*}} batches_at_once = {{[2-9]}}>
// CHECK: into @e {batch
stream.program @groups machine "die" {
  stream.tensor @d <input> : tensor<4096x256xf16>
  stream.tensor @x <input> : tensor<4096x256xf16>
  stream.tensor @g <output> : tensor<256x256xf32>
  stream.tensor @e <output> : tensor<8x256x256xf32>
  stream.segment {
    %d = stream.send @d : tensor<4096x256xf16>
    %x = stream.send @x : tensor<4096x256xf16>
    stream.sample %d, %x into @g {row_stride = 256 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4096x256xf16>, tensor<4096x256xf16>
  }
  stream.segment batches 8 {
    %d = stream.send @d : tensor<4096x256xf16>
    %x = stream.send @x : tensor<4096x256xf16>
    stream.sample %d, %x into @e {batch_sizes = array<i64: 8>, batch_strides = array<i64: 65536>, row_stride = 256 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<4096x256xf16>, tensor<4096x256xf16>
  }
}
