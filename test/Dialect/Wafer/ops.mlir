// RUN: wafer-opt %s | wafer-opt | FileCheck %s
// RUN: wafer-opt %s -mlir-print-op-generic | wafer-opt | FileCheck %s
// Every operation and attribute of the dialect survives printing and parsing: first a program with channels, as convert-stream-to-wafer leaves it.

// CHECK-LABEL: wafer.program @abstract machine "odd"
wafer.program @abstract machine "odd" {
  // CHECK: wafer.tensor @x <input> : tensor<2x3x5xf32>
  wafer.tensor @x <input> : tensor<2x3x5xf32>
  wafer.tensor @fc1.weight <weight> : tensor<7x5xf32>
  wafer.tensor @fc1.bias <weight> : tensor<7xf32>
  // CHECK: wafer.tensor @t <intermediate> : tensor<6x7xf32>
  wafer.tensor @t <intermediate> : tensor<6x7xf32>
  // CHECK: wafer.tensor @output <output> : tensor<6x7xf32>
  wafer.tensor @output <output> : tensor<6x7xf32>

  // CHECK: wafer.channel @command <column_multicast> weight
  wafer.channel @command <column_multicast> weight
  // CHECK: wafer.channel @in <relay_in>
  wafer.channel @in <relay_in>
  // CHECK: wafer.channel @out <relay_out>
  wafer.channel @out <relay_out>
  // CHECK: wafer.channel @east <chain_east>
  wafer.channel @east <chain_east>
  // CHECK: wafer.channel @west <chain_west>
  wafer.channel @west <chain_west>
  // CHECK: wafer.channel @cast <multicast_west>
  wafer.channel @cast <multicast_west>

  // CHECK: func.func @sort
  func.func @sort(%t: tensor<6x7xf32>) -> tensor<6x7xf32> {
    return %t : tensor<6x7xf32>
  }

  // CHECK: wafer.image @core command @command {
  wafer.image @core command @command {
    // CHECK: wafer.buffer @x_block bytes 24 live 0, 3
    wafer.buffer @x_block bytes 24 live 0, 3
    // CHECK: wafer.buffer @y_block bytes 16 live 1, 3 at 1024
    wafer.buffer @y_block bytes 16 live 1, 3 at 1024
    // CHECK: wafer.buffer @sum bytes 8 live 0, 3 acc
    wafer.buffer @sum bytes 8 live 0, 3 acc

    // CHECK: wafer.descriptor @x_rows <mem> f16 on @x_block offset 4 extents [4, 1, 1, 2] strides [2, 0, 0, 1] per_core <valid_features, dimension = 0, features = 5>
    wafer.descriptor @x_rows <mem> f16 on @x_block offset 4 extents [4, 1, 1, 2] strides [2, 0, 0, 1]
      per_core <valid_features, dimension = 0, features = 5>
    // CHECK: wafer.descriptor @acc0 <acc> f32 on @sum extents [1, 1, 1, 2] strides [0, 0, 0, 1]
    wafer.descriptor @acc0 <acc> f32 on @sum extents [1, 1, 1, 2] strides [0, 0, 0, 1]
    // CHECK: wafer.descriptor @from_west <receive> f32 on @east extents [1, 1, 1, 2] value 7
    wafer.descriptor @from_west <receive> f32 on @east extents [1, 1, 1, 2] value 7
    // CHECK: wafer.descriptor @relayed <receive> i32 on @in extents [1, 1, 3, 4] per_core <rows_after, dimension = 2>
    wafer.descriptor @relayed <receive> i32 on @in extents [1, 1, 3, 4] per_core <rows_after, dimension = 2>
    // CHECK: wafer.descriptor @passed <send> i32 on @out extents [1, 1, 3, 4] per_core <rows_before, dimension = 2>
    wafer.descriptor @passed <send> i32 on @out extents [1, 1, 3, 4] per_core <rows_before, dimension = 2>
    // CHECK: wafer.descriptor @last <send> f32 on @cast extents [1, 1, 1, 2] per_core <last_column, dimension = 3>
    wafer.descriptor @last <send> f32 on @cast extents [1, 1, 1, 2] per_core <last_column, dimension = 3>
    // CHECK: wafer.descriptor @others <receive> bf16 on @cast extents [1, 1, 1, 2] per_core <not_last_column, dimension = 3>
    wafer.descriptor @others <receive> bf16 on @cast extents [1, 1, 1, 2] per_core <not_last_column, dimension = 3>
    // CHECK: wafer.descriptor @one <const> f32 value 1065353216
    wafer.descriptor @one <const> f32 value 1065353216

    // CHECK: wafer.task @weights data 0 {
    wafer.task @weights data 0 {
      // CHECK-NEXT: pe.fmacp f16 d1, d0
      pe.fmacp f16 d1, d0
      // CHECK-NEXT: pe.end
      pe.end
    }
    // CHECK: wafer.task @begin control 3 {
    wafer.task @begin control 3 {
      // CHECK-NEXT: pe.ldd d0, @x_rows
      pe.ldd d0, @x_rows
      // CHECK-NEXT: pe.bind @weights
      pe.bind @weights
      pe.end
    }
  }

  // CHECK: wafer.entry @forward [@x] -> [@output] {
  wafer.entry @forward [@x] -> [@output] {
    // CHECK: wafer.phase <x0 = 0, y0 = 0, columns = 2, rows = 3, groups = 1, token_block = 2, tokens = 6, micro_batches = 1> command @command {
    wafer.phase <x0 = 0, y0 = 0, columns = 2, rows = 3, groups = 1, token_block = 2, tokens = 6, micro_batches = 1> command @command {
      // CHECK: wafer.send @x as f16 block 4 task @core::@begin on @in
      wafer.send @x as f16 block 4 task @core::@begin on @in
      // CHECK: wafer.command @core::@begin
      wafer.command @core::@begin
      // CHECK: wafer.contract @fc1.weight bias @fc1.bias as f16 wire <packed16> rows 7 columns 5 strides 5, 1 offset 0 blocks 4, 4 east @core::@begin west @core::@begin own @core::@begin bias_task @core::@begin
      wafer.contract @fc1.weight bias @fc1.bias as f16 wire <packed16> rows 7 columns 5 strides 5, 1 offset 0 blocks 4, 4
        east @core::@begin west @core::@begin own @core::@begin bias_task @core::@begin
      // CHECK: wafer.contract @fc1.weight as f32 wire <dense32> rows 7 columns 5 strides -5, 1 offset 30 {{.*}} own @core::@begin{{$}}
      wafer.contract @fc1.weight as f32 wire <dense32> rows 7 columns 5 strides -5, 1 offset 30 blocks 4, 4 east @core::@begin west @core::@begin own @core::@begin
      // CHECK: wafer.scale gamma @fc1.bias beta @fc1.bias as f16 wire <indexed16> rows 7 block 4 own @core::@begin bias_task @core::@begin
      wafer.scale gamma @fc1.bias beta @fc1.bias as f16 wire <indexed16> rows 7 block 4 own @core::@begin bias_task @core::@begin
      // CHECK: wafer.scale beta @fc1.bias as f16
      wafer.scale beta @fc1.bias as f16 wire <packed16> rows 7 block 4 own @core::@begin bias_task @core::@begin
      // CHECK: wafer.receive @t as f16 block 4 task @core::@begin on @out
      wafer.receive @t as f16 block 4 task @core::@begin on @out
    }
    // CHECK: wafer.call @sort [@t] -> [@output] reason "no wafer kernel for sorting"
    wafer.call @sort [@t] -> [@output] reason "no wafer kernel for sorting"
  }
}

// Then one with colors, routes and regions, as the passes of this dialect leave it.
// CHECK-LABEL: wafer.program @placed machine "odd"
wafer.program @placed machine "odd" {
  // CHECK: wafer.color @command number 0 weight
  wafer.color @command number 0 weight
  // CHECK: wafer.color @east
  wafer.color @east
  wafer.image @core command @command {
    wafer.descriptor @from_west <receive> f32 on @east extents [1, 1, 1, 2]
  }
  // CHECK: wafer.region @middle at <1, 0 size 3, 5 step 2, 1> image @core {
  wafer.region @middle at <1, 0 size 3, 5 step 2, 1> image @core {
    // CHECK: wafer.override @from_west "extent2" base 15 dx 1 dy -1
    wafer.override @from_west "extent2" base 15 dx 1 dy -1
    // CHECK: wafer.override @from_west "color" color @east
    wafer.override @from_west "color" color @east
    // CHECK: wafer.override @from_west "const" base 0
    wafer.override @from_west "const" base 0
  }
  // CHECK: wafer.route @command at <0, 0 size 7, 4 step 1, 1> from <N> to [#wafer.dir<S>, #wafer.dir<ramp>]
  wafer.route @command at <0, 0 size 7, 4 step 1, 1> from <N> to [#wafer.dir<S>, #wafer.dir<ramp>]
  // CHECK: wafer.route @east at <0, 0 size 1, 5 step 1, 1> from <ramp> to [#wafer.dir<E>, #wafer.dir<W>]
  wafer.route @east at <0, 0 size 1, 5 step 1, 1> from <ramp> to [#wafer.dir<E>, #wafer.dir<W>]
}
