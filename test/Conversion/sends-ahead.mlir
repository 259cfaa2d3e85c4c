// RUN: wafer-opt %s --convert-stream-to-wafer | FileCheck %s

// Steps of the kernels that a send comes beside: those in front of its reader, of another send, and of the next load.
// CHECK-LABEL: wafer.program @reader
// CHECK: wafer.send @z {{.*}} on @wafer.input beside 2
// CHECK-NEXT: wafer.command @wafer.core::@begin_w
// CHECK-NEXT: wafer.contract
// CHECK-NEXT: wafer.command @wafer.core::@map
#layout = #stream.layout<feature_block = 2>
stream.program @reader machine "odd" {
  stream.tensor @x <input> : tensor<6x4xf32>
  stream.tensor @z <input> : tensor<6x4xf32>
  stream.tensor @w <weight> : tensor<4x4xf32>
  stream.tensor @y <output> : tensor<6x4xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 1, micro_batches = 2> {
    %x = stream.send @x : tensor<6x4xf32, #layout>
    %z = stream.send ahead @z : tensor<6x4xf32, #layout>
    %s = stream.contract %x, @w wire <dense32> {row_stride = 4 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<6x4xf32, #layout> -> tensor<6x4xf32, #layout>
    %y = stream.map %s, %z : (tensor<6x4xf32, #layout>, tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      stream.yield %r : f32
    }
    stream.receive %y, @y : tensor<6x4xf32, #layout>
  }
}

// CHECK-LABEL: wafer.program @other_send
// CHECK: wafer.send @z {{.*}} on @wafer.input beside 1
// CHECK-NEXT: wafer.command @wafer.core::@map
// CHECK-NEXT: wafer.send @t {{.*}} on @wafer.input{{$}}
stream.program @other_send machine "odd" {
  stream.tensor @x <input> : tensor<6x4xf32>
  stream.tensor @z <input> : tensor<6x4xf32>
  stream.tensor @t <input> : tensor<6x4xf32>
  stream.tensor @y <output> : tensor<6x4xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<6x4xf32, #layout>
    %z = stream.send ahead @z : tensor<6x4xf32, #layout>
    %a = stream.map %x : (tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32):
      %r = math.exp %e : f32
      stream.yield %r : f32
    }
    %t = stream.send @t : tensor<6x4xf32, #layout>
    %y = stream.map %a, %z, %t : (tensor<6x4xf32, #layout>, tensor<6x4xf32, #layout>, tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32, %f: f32, %g: f32):
      %r = arith.addf %e, %f : f32
      %q = arith.addf %r, %g : f32
      stream.yield %q : f32
    }
    stream.receive %y, @y : tensor<6x4xf32, #layout>
  }
}

// CHECK-LABEL: wafer.program @next_load
// CHECK: wafer.phase
// CHECK: wafer.send @z {{.*}} on @wafer.input beside 1
// CHECK-NEXT: wafer.command @wafer.core::@map
// CHECK: wafer.phase {{.*}} continues
stream.program @next_load machine "odd" {
  stream.tensor @x <input> : tensor<6x4xf32>
  stream.tensor @z <input> : tensor<6x4xf32>
  stream.tensor @y <output> : tensor<6x4xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 2, micro_batches = 1> loads 2 {
    %x = stream.send @x : tensor<6x4xf32, #layout>
    %z = stream.send ahead @z : tensor<6x4xf32, #layout>
    %a = stream.map %x : (tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32):
      %r = math.exp %e : f32
      stream.yield %r : f32
    }
    %b = stream.map %a : (tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32):
      %r = math.tanh %e : f32
      stream.yield %r : f32
    }
    %y = stream.map %b, %z : (tensor<6x4xf32, #layout>, tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      stream.yield %r : f32
    }
    stream.receive %y, @y : tensor<6x4xf32, #layout>
  }
}

// What is left when the load ends comes beside the first kernels of the next one, behind what is there.
// CHECK-LABEL: wafer.program @goes_on
// CHECK: wafer.phase
// CHECK: wafer.send @z as f32 block 1 task @wafer.core::@[[FIRST:.*]] on @wafer.input beside 1
// CHECK-NEXT: wafer.command @wafer.core::@map
// CHECK: wafer.phase {{.*}} continues
// CHECK-NEXT: wafer.send @z as f32 block 1 from 1 task {{.*}} on @wafer.input beside 1
// CHECK-NEXT: wafer.command
stream.program @goes_on machine "odd" {
  stream.tensor @x <input> : tensor<6x4xf32>
  stream.tensor @z <input> : tensor<6x4xf32>
  stream.tensor @y <output> : tensor<6x4xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 2, micro_batches = 1> loads 2 {
    %x = stream.send @x : tensor<6x4xf32, #layout>
    %z = stream.send ahead parts [1] @z : tensor<6x4xf32, #layout>
    %a = stream.map %x : (tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32):
      %r = math.exp %e : f32
      stream.yield %r : f32
    }
    %b = stream.map %a : (tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32):
      %r = math.tanh %e : f32
      stream.yield %r : f32
    }
    %y = stream.map %b, %z : (tensor<6x4xf32, #layout>, tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      stream.yield %r : f32
    }
    stream.receive %y, @y : tensor<6x4xf32, #layout>
  }
}

// Where no load is behind it that begins with other kernels, all of it comes at once.
// CHECK-LABEL: wafer.program @in_one_load
// CHECK: wafer.send @z as f32 block 2 task {{.*}} on @wafer.input beside 2
// CHECK-NOT: from 1
stream.program @in_one_load machine "odd" {
  stream.tensor @x <input> : tensor<6x4xf32>
  stream.tensor @z <input> : tensor<6x4xf32>
  stream.tensor @y <output> : tensor<6x4xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 2, micro_batches = 1> {
    %x = stream.send @x : tensor<6x4xf32, #layout>
    %z = stream.send ahead parts [1] @z : tensor<6x4xf32, #layout>
    %a = stream.map %x : (tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32):
      %r = math.exp %e : f32
      stream.yield %r : f32
    }
    %b = stream.map %a : (tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32):
      %r = math.tanh %e : f32
      stream.yield %r : f32
    }
    %y = stream.map %b, %z : (tensor<6x4xf32, #layout>, tensor<6x4xf32, #layout>) -> tensor<6x4xf32, #layout> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      stream.yield %r : f32
    }
    stream.receive %y, @y : tensor<6x4xf32, #layout>
  }
}
