// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-choose-wire-format))" | FileCheck %s
// RUN: wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-choose-wire-format{format=indexed16}))" | FileCheck %s --check-prefix=INDEXED
// RUN: not wafer-opt %s --pass-pipeline="builtin.module(stream.program(stream-choose-wire-format{format=zip}))" 2>&1 | FileCheck %s --check-prefix=BAD

// BAD: error: found wire format 'zip', expected dense32, packed16, indexed16, packed8 or indexed32

// The input's type decides; a format that is there stays, and one that does not go with the type is not forced on it.
// CHECK-LABEL: stream.program @by_type
// INDEXED-LABEL: stream.program @by_type
stream.program @by_type machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @w <weight> : tensor<5x5xf32>
  stream.tensor @g <weight> : tensor<5xf32>
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %h = stream.send @x : tensor<3x5xf16>
    // CHECK: stream.contract {{.*}} wire <dense32>
    // INDEXED: stream.contract {{.*}} wire <dense32>
    %a = stream.contract %x, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf32> -> tensor<3x5xf32>
    // CHECK: stream.contract {{.*}} wire <packed16>
    // INDEXED: stream.contract {{.*}} wire <indexed16>
    %b = stream.contract %h, @w {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf16> -> tensor<3x5xf16>
    // CHECK: stream.scale {{.*}} wire <packed16>
    // INDEXED: stream.scale {{.*}} wire <indexed16>
    %c = stream.scale %h gamma @g : tensor<3x5xf16> -> tensor<3x5xf16>
    // CHECK: stream.scale {{.*}} wire <indexed16>
    // INDEXED: stream.scale {{.*}} wire <indexed16>
    %d = stream.scale %h gamma @g wire <indexed16> : tensor<3x5xf16> -> tensor<3x5xf16>
  }
}

// Of a weight that is half zeros or more only what is not zero is sent, in f32 with an index of its own. With fewer zeros
// stream-assign-layout decides, which knows how many tokens a core has.
// CHECK-LABEL: stream.program @by_nonzeros
stream.program @by_nonzeros machine "odd" {
  stream.tensor @x <input> : tensor<3x5xf32>
  stream.tensor @few <weight> : tensor<5x5xf32> nonzeros 12
  stream.tensor @many <weight> : tensor<5x5xf32> nonzeros 13
  stream.segment {
    %x = stream.send @x : tensor<3x5xf32>
    %h = stream.send @x : tensor<3x5xf16>
    // CHECK: stream.contract {{.*}} @few wire <indexed16> {{[{]}}
    %a = stream.contract %h, @few {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf16> -> tensor<3x5xf16>
    // CHECK: stream.contract {{.*}} @many {column_stride
    %b = stream.contract %h, @many {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf16> -> tensor<3x5xf16>
    // CHECK: stream.contract {{.*}} @few wire <indexed32> link <bitmask>
    %c = stream.contract %x, @few {row_stride = 5 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x5xf32> -> tensor<3x5xf32>
  }
}

// What is shortest between MemoryX and the edge: a bit for each weight, values with their indices where few are kept, places in groups, or blocks. Groups and blocks are those
// of the dimension along which the weight is streamed; a step that does not go from group to group has no groups.
// CHECK-LABEL: stream.program @by_structure
stream.program @by_structure machine "odd" {
  stream.tensor @x <input> : tensor<3x256xf32>
  stream.tensor @rare <weight> : tensor<256x256xf32> nonzeros 1024
  stream.tensor @groups <weight> : tensor<256x256xf32> nonzeros 16384 encoding #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 : dense, d1 floordiv 4 : dense, d1 mod 4 : structured[1, 4]) }>
  stream.tensor @blocks <weight> : tensor<256x256xf32> nonzeros 16384 encoding #sparse_tensor.encoding<{ map = (d0, d1) -> (d0 floordiv 8 : dense, d1 floordiv 16 : compressed, d0 mod 8 : dense, d1 mod 16 : dense) }>
  stream.segment {
    %x = stream.send @x : tensor<3x256xf16>
    // CHECK: @rare wire <indexed16> {
    %a = stream.contract %x, @rare {row_stride = 256 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x256xf16> -> tensor<3x256xf16>
    // CHECK: @groups wire <indexed16> link <structured, kept = 1, size = 4>
    %b = stream.contract %x, @groups {row_stride = 256 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x256xf16> -> tensor<3x256xf16>
    // CHECK: @groups wire <indexed16> link <bitmask>
    %c = stream.contract %x, @groups {row_stride = 1 : i64, column_stride = 256 : i64, offset = 0 : i64} : tensor<3x256xf16> -> tensor<3x256xf16>
    // CHECK: @groups wire <indexed16> link <bitmask>
    %d = stream.contract %x, @groups {row_stride = 256 : i64, column_stride = 1 : i64, offset = 2 : i64} : tensor<3x256xf16> -> tensor<3x255xf16>
    // CHECK: @blocks wire <indexed16> link <blocks, size = 16>
    %e = stream.contract %x, @blocks {row_stride = 256 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<3x256xf16> -> tensor<3x256xf16>
    // CHECK: @blocks wire <indexed16> link <blocks, size = 8>
    %f = stream.contract %x, @blocks {row_stride = 1 : i64, column_stride = 256 : i64, offset = 0 : i64} : tensor<3x256xf16> -> tensor<3x256xf16>
  }
}
