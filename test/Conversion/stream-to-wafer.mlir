// RUN: wafer-opt %s --convert-stream-to-wafer -split-input-file | FileCheck %s

// A contraction: the code of docs/spec/kernels.md, a buffer for each value and two accumulators, the steps that MemoryX runs. Nothing has a place yet.
// CHECK-LABEL: wafer.program @linear machine "odd"
// CHECK-DAG: wafer.channel @[[COMMAND:.*command]] <column_multicast> weight
// CHECK-DAG: wafer.channel @[[IN:.*]] <relay_in>{{$}}
// CHECK-DAG: wafer.channel @[[OUT:.*]] <relay_out>{{$}}
// CHECK-DAG: wafer.channel @[[EAST:.*]] <chain_east>{{$}}
// CHECK-DAG: wafer.channel @[[WEST:.*]] <chain_west>{{$}}
// CHECK-NOT: <multicast_west>
// CHECK: wafer.tensor @w <weight> : tensor<7x10xf32>
// CHECK: wafer.image @[[CORE:.*]] command @[[COMMAND]] {
// Ten features in blocks of 4, two tokens a core: 16 bytes; the value of seven features in blocks of 3 takes 12. Accumulators hold two tokens in f32.
// CHECK-DAG: wafer.buffer @[[X:.*]] bytes 16 live 0, 1{{$}}
// CHECK-DAG: wafer.buffer @[[Y:.*]] bytes 12 live 1, 2{{$}}
// CHECK-DAG: wafer.buffer @{{.*}} bytes 8 live 0, 2 acc
// CHECK-DAG: wafer.descriptor @[[ROWS:.*]] <mem> f16 on @[[X]] {{.*}}extents [4, 1, 1, 2] strides [2, 0, 0, 1] per_core <valid_features, dimension = 0, features = 10>
// The arriving weight multiplies; columns beside the owner pass their sum on; the owner adds both sides and moves on by one row of two f16.
// CHECK: pe.bind @[[WEIGHTS:.*]]
// CHECK: wafer.task @[[WEIGHTS]] data 0 {
// CHECK-NEXT: pe.fmacp f16 d1, d0
// CHECK-NEXT: pe.end
// CHECK: wafer.task @[[OWN:own[^ ]*]] control
// CHECK: pe.addd d7, 4
// CHECK: wafer.task @[[PASS_EAST:pass_east[^ ]*]] control {{[0-9]+}} {
// CHECK-NEXT: pe.add f32 d4, d3, d1 async clear1
// CHECK-NEXT: pe.swapd d1, d2
// CHECK-NEXT: pe.end
// CHECK: wafer.entry @linear [@x] -> [@y] {
// CHECK: wafer.phase <x0 = 0, y0 = 0, columns = 3, rows = 2, groups = 1, token_block = 2, tokens = 3, micro_batches = 1> command @[[COMMAND]] {
// CHECK: wafer.send @x as f16 block 4 task @[[CORE]]::@{{.*}} on @[[IN]]
// CHECK: wafer.command @[[CORE]]::@
// CHECK: wafer.contract @w bias @b as f16 wire <packed16> rows 7 columns 10 strides 10, 1 offset 0 blocks 4, 3 east @[[CORE]]::@[[PASS_EAST]] west @[[CORE]]::@{{.*}} own @[[CORE]]::@[[OWN]] bias_task @[[CORE]]::@
// CHECK: wafer.receive @y as f16 block 3 task @[[CORE]]::@{{.*}} on @[[OUT]]
// CHECK-NOT: stream.
stream.program @linear machine "odd" {
  stream.tensor @x <input> : tensor<3x10xf32>
  stream.tensor @w <weight> : tensor<7x10xf32>
  stream.tensor @b <weight> : tensor<7xf32>
  stream.tensor @y <output> : tensor<3x7xf32>
  stream.segment grid <columns = 3, rows = 2, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<3x10xf16, #stream.layout<feature_block = 4>>
    %y = stream.contract %x, @w bias @b wire <packed16> {row_stride = 10 : i64, column_stride = 1 : i64, offset = 0 : i64}
        : tensor<3x10xf16, #stream.layout<feature_block = 4>> -> tensor<3x7xf16, #stream.layout<feature_block = 3>>
    stream.receive %y, @y : tensor<3x7xf16, #stream.layout<feature_block = 3>>
  }
}

// -----

// Sums of two rows go together: an index says which of them a weight adds to, and of three rows of a column the last has room for another one behind it.
// CHECK-LABEL: wafer.program @rows_together
// CHECK-DAG: wafer.buffer @[[Y:.*]] bytes 16 live 1, 2{{$}}
// CHECK-DAG: wafer.buffer @[[SUM:.*]] bytes 16 live 0, 2 acc
// CHECK-DAG: wafer.descriptor @{{.*}} <acc> f32 on @[[SUM]] {{.*}}extents [2, 1, 1, 2] strides [2, 0, 0, 1]
// CHECK-DAG: wafer.descriptor @{{.*}} <mem> f16 on @[[Y]] {{.*}}extents [2, 1, 1, 2] strides [2, 0, 0, 1]
// CHECK-DAG: wafer.descriptor @{{.*}} <receive> f32 {{.*}}extents [2, 1, 1, 2]
// CHECK: pe.addd d7, 8
// CHECK: wafer.contract @w as f16 {{.*}} together 2
stream.program @rows_together machine "odd" {
  stream.tensor @x <input> : tensor<3x10xf32>
  stream.tensor @w <weight> : tensor<7x10xf32>
  stream.tensor @y <output> : tensor<3x7xf32>
  stream.segment grid <columns = 3, rows = 2, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<3x10xf16, #stream.layout<feature_block = 4>>
    %y = stream.contract %x, @w wire <indexed16> {row_stride = 10 : i64, column_stride = 1 : i64, offset = 0 : i64, rows_together = 2 : i64}
        : tensor<3x10xf16, #stream.layout<feature_block = 4>> -> tensor<3x7xf16, #stream.layout<feature_block = 3>>
    stream.receive %y, @y : tensor<3x7xf16, #stream.layout<feature_block = 3>>
  }
}

// -----

// The wire format decides which instruction an arriving weight runs.
// CHECK-LABEL: wafer.program @wire_formats
// CHECK-DAG: pe.fmacd f32 d1, d0
// CHECK-DAG: pe.fmacw bf16 d1, d0
stream.program @wire_formats machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<5x5xf32>
  stream.segment grid <columns = 2, rows = 2, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<3x5xf32, #stream.layout<feature_block = 3>>
    %h = stream.send @x : tensor<3x5xbf16, #stream.layout<feature_block = 3>>
    %0 = stream.contract %x, @w wire <dense32> {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64}
        : tensor<3x5xf32, #stream.layout<feature_block = 3>> -> tensor<3x5xf32, #stream.layout<feature_block = 3>>
    %1 = stream.contract %h, @w wire <indexed16> {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64}
        : tensor<3x5xbf16, #stream.layout<feature_block = 3>> -> tensor<3x5xbf16, #stream.layout<feature_block = 3>>
  }
}

// -----

// A map writes over the operand that only it reads, and not over one that is read again: three values, two buffers of 12 bytes.
// CHECK-LABEL: wafer.program @in_place
// CHECK: wafer.buffer @{{.*}} bytes 12 live 0, 3{{$}}
// CHECK: wafer.buffer @{{.*}} bytes 12 live 1, 3{{$}}
// CHECK-NOT: bytes 12
stream.program @in_place machine "odd" {
  stream.tensor @x <input> : tensor<2x5xf32>
  stream.segment grid <columns = 2, rows = 2, groups = 1, token_block = 1, micro_batches = 1> {
    %x = stream.send @x : tensor<2x5xf32, #stream.layout<feature_block = 3>>
    %y = stream.map %x : (tensor<2x5xf32, #stream.layout<feature_block = 3>>) -> tensor<2x5xf32, #stream.layout<feature_block = 3>> {
    ^bb0(%a: f32):
      %r = math.exp %a : f32
      stream.yield %r : f32
    }
    %z = stream.map %y : (tensor<2x5xf32, #stream.layout<feature_block = 3>>) -> tensor<2x5xf32, #stream.layout<feature_block = 3>> {
    ^bb0(%a: f32):
      %r = math.tanh %a : f32
      stream.yield %r : f32
    }
    %s = stream.map %x, %z : (tensor<2x5xf32, #stream.layout<feature_block = 3>>, tensor<2x5xf32, #stream.layout<feature_block = 3>>)
        -> tensor<2x5xf32, #stream.layout<feature_block = 3>> {
    ^bb0(%a: f32, %b: f32):
      %r = arith.addf %a, %b : f32
      stream.yield %r : f32
    }
  }
}

// -----

// A reduction: rows in order, then the chain from the west, then back from the last column. What a column does not do has no elements there; a group of one
// column has nobody to send to.
// CHECK-LABEL: wafer.program @reduction
// CHECK-DAG: wafer.channel @{{.*}} <chain_east>
// CHECK-DAG: wafer.channel @[[CAST:.*]] <multicast_west>
// CHECK-DAG: wafer.descriptor @{{.*}} <send> f32 on @[[CAST]] extents [1, 1, 1, 2] per_core <last_of_several, dimension = 3>
// CHECK-DAG: wafer.descriptor @{{.*}} <receive> f32 on @[[CAST]] extents [1, 1, 1, 2] {{.*}}per_core <not_last_column, dimension = 3>
// CHECK: pe.max f32
stream.program @reduction machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.segment grid <columns = 2, rows = 2, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<3x5xf32, #stream.layout<feature_block = 3>>
    %m = stream.reduce <max> %x : tensor<3x5xf32, #stream.layout<feature_block = 3>> -> tensor<3x1xf32, #stream.layout<feature_block = 0>>
  }
}

// -----

// Layers of one shape differ in what they load, and share the rest: two contractions have two tasks that begin and one that owns.
// CHECK-LABEL: wafer.program @shared_tasks
// CHECK-COUNT-2: wafer.task @begin{{.*}} control
// CHECK-NOT: wafer.task @begin
// CHECK: wafer.contract @w {{.*}} own @{{.*}}::@[[OWN:.*]] bias_task @{{.*}}::@[[BIAS:.*]]
// CHECK: wafer.contract @v {{.*}} own @{{.*}}::@[[OWN]] bias_task @{{.*}}::@[[BIAS]]
stream.program @shared_tasks machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<5x5xf32>
  stream.tensor @v <weight> : tensor<5x5xf32>
  stream.tensor @b <weight> : tensor<5xf32>
  stream.segment grid <columns = 2, rows = 2, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<3x5xf16, #stream.layout<feature_block = 3>>
    %0 = stream.contract %x, @w bias @b wire <packed16> {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64}
        : tensor<3x5xf16, #stream.layout<feature_block = 3>> -> tensor<3x5xf16, #stream.layout<feature_block = 3>>
    %1 = stream.contract %0, @v bias @b wire <packed16> {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64}
        : tensor<3x5xf16, #stream.layout<feature_block = 3>> -> tensor<3x5xf16, #stream.layout<feature_block = 3>>
  }
}

// -----

// Segments become phases and calls become calls, in order; a program that runs in MemoryX alone has neither image nor channels.
// CHECK-LABEL: wafer.program @memoryx_alone
// CHECK-NOT: wafer.channel
// CHECK-NOT: wafer.image
// CHECK: func.func @sort
// CHECK: wafer.entry @memoryx_alone [@x] -> [@y] {
// CHECK-NEXT: wafer.call @sort [@x] -> [@y] reason "no wafer kernel"
// CHECK-NEXT: }
stream.program @memoryx_alone machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @y <output> : tensor<3x5xf32>
  stream.call @sort [@x] -> [@y] reason "no wafer kernel"
  func.func @sort(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
    return %x : tensor<3x5xf32>
  }
}

// -----

// A mask that is the same for every batch entry is sent once, first, and stays: nothing is written over it.
// CHECK-LABEL: wafer.program @sent_once
// CHECK: wafer.phase {{.*}} prologue 1
// CHECK-NEXT: wafer.send @mask
// CHECK-NEXT: wafer.send @x
stream.program @sent_once machine "tiny" {
  stream.tensor @x <input> : tensor<3x2x4xf32>
  stream.tensor @mask <input> : tensor<2x4xf32>
  stream.tensor @y <output> : tensor<3x2x4xf32>
  stream.segment batches 3 grid <columns = 4, rows = 2, groups = 1, token_block = 1, micro_batches = 3> {
    %x = stream.send @x : tensor<6x4xf32, #stream.layout<feature_block = 1>>
    %m = stream.send @mask : tensor<6x4xf32, #stream.layout<feature_block = 1>>
    %s = stream.map %x, %m : (tensor<6x4xf32, #stream.layout<feature_block = 1>>, tensor<6x4xf32, #stream.layout<feature_block = 1>>) -> tensor<6x4xf32, #stream.layout<feature_block = 1>> {
    ^bb0(%a: f32, %b: f32):
      %sum = arith.addf %a, %b : f32
      stream.yield %sum : f32
    }
    stream.receive %s, @y : tensor<6x4xf32, #stream.layout<feature_block = 1>>
  }
}

// -----

// Two heads in one column of each group. As many steps as a group has rows; blocks pass while others are at work.
// CHECK-LABEL: wafer.program @attention
// CHECK: wafer.channel @wafer.ring <column_ring>
// CHECK: wafer.task @attend  control
// CHECK-NEXT: pe.mov f16 d6, d0 async
// CHECK-NEXT: pe.mov f16 d1, d7 async
// CHECK: pe.fmac f32
// CHECK: wafer.command @wafer.core::@begin_attend{{$}}
// CHECK-NEXT: wafer.command @wafer.core::@attend times 3 macs 1152
// CHECK-NEXT: wafer.command @wafer.core::@end_attend{{$}}
// CHECK-NEXT: wafer.receive
stream.program @attention machine "odd" {
  stream.tensor @qkv <input> : tensor<12x24xf32>
  stream.tensor @o <output> : tensor<12x8xf32>
  stream.segment batches 2 grid <columns = 1, rows = 3, groups = 2, token_block = 2, micro_batches = 1, batches_at_once = 2> {
    %x = stream.send @qkv : tensor<12x24xf16, #stream.layout<feature_block = 24>>
    %o = stream.attend %x heads 2 scale 1.0 : tensor<12x24xf16, #stream.layout<feature_block = 24>> -> tensor<12x8xf16, #stream.layout<feature_block = 8>>
    stream.receive %o, @o : tensor<12x8xf16, #stream.layout<feature_block = 8>>
  }
}

// -----

// Two columns share the only head: the scores of a block are what the one makes and what the other one has sent.
// CHECK-LABEL: wafer.program @shared_head
// CHECK: wafer.channel @wafer.pairs <column_pairs>
// CHECK: wafer.task @attend  control
// CHECK: pe.fmac f32
// CHECK-NEXT: pe.mul f32 [[SOME:d[0-9]+]], {{.*}} clear1
// CHECK: pe.mov f32 [[OUT:d[0-9]+]], [[PART:d[0-9]+]] async
// CHECK-NEXT: pe.add f32 [[SCORES:d[0-9]+]], [[PART]], [[IN:d[0-9]+]]
// CHECK: pe.max f32 {{d[0-9]+}}, {{d[0-9]+}}, [[SCORES]]
// CHECK: wafer.command @wafer.core::@attend times 3 macs 1152
stream.program @shared_head machine "odd" {
  stream.tensor @qkv <input> : tensor<12x24xf32>
  stream.tensor @o <output> : tensor<12x8xf32>
  stream.segment batches 2 grid <columns = 2, rows = 3, groups = 2, token_block = 2, micro_batches = 1, batches_at_once = 2> {
    %x = stream.send @qkv : tensor<12x24xf16, #stream.layout<feature_block = 12>>
    %o = stream.attend %x heads 1 across 2 scale 1.0 : tensor<12x24xf16, #stream.layout<feature_block = 12>> -> tensor<12x8xf16, #stream.layout<feature_block = 4>>
    stream.receive %o, @o : tensor<12x8xf16, #stream.layout<feature_block = 4>>
  }
}

// -----

// Two loads: the second goes on with what the first left in SRAM. What both have has one name, what only one has is its own.
// CHECK-LABEL: wafer.program @two_loads
// CHECK: wafer.image @wafer.core command
// CHECK-DAG: wafer.buffer @send_value_0 bytes {{[0-9]+}} live 0, 4 kept
// CHECK-DAG: wafer.buffer @map_value_1 bytes {{[0-9]+}} live 1, 3 kept
// CHECK: wafer.image @wafer.core_1 command @wafer.command load 1
// CHECK-DAG: wafer.buffer @send_value_0 bytes {{[0-9]+}} live 0, 4 kept
// CHECK-DAG: wafer.buffer @map_value_1 bytes {{[0-9]+}} live 1, 3 kept
// CHECK: wafer.phase {{.*}} command @wafer.command {
// CHECK-NEXT: wafer.send @x
// CHECK-NEXT: wafer.command @wafer.core::@map
// CHECK: wafer.phase {{.*}} command @wafer.command load 1 continues {
// CHECK-NEXT: wafer.command @wafer.core_1::@map
stream.program @two_loads machine "odd" {
  stream.tensor @x <input> : tensor<6x4xf32>
  stream.tensor @y <output> : tensor<6x4xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 2, micro_batches = 1> loads 2 {
    %x = stream.send @x : tensor<6x4xf32, #stream.layout<feature_block = 2>>
    %a = stream.map %x : (tensor<6x4xf32, #stream.layout<feature_block = 2>>) -> tensor<6x4xf32, #stream.layout<feature_block = 2>> {
    ^bb0(%e: f32):
      %r = math.exp %e : f32
      stream.yield %r : f32
    }
    %b = stream.map %a : (tensor<6x4xf32, #stream.layout<feature_block = 2>>) -> tensor<6x4xf32, #stream.layout<feature_block = 2>> {
    ^bb0(%e: f32):
      %r = math.tanh %e : f32
      stream.yield %r : f32
    }
    %c = stream.map %b, %x : (tensor<6x4xf32, #stream.layout<feature_block = 2>>, tensor<6x4xf32, #stream.layout<feature_block = 2>>) -> tensor<6x4xf32, #stream.layout<feature_block = 2>> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.mulf %e, %f : f32
      stream.yield %r : f32
    }
    stream.receive %c, @y : tensor<6x4xf32, #stream.layout<feature_block = 2>>
  }
}
