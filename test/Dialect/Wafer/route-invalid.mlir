// RUN: wafer-opt %s --pass-pipeline="builtin.module(wafer.program(wafer-route))" -split-input-file -verify-diagnostics

wafer.program @step_without_channel machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.tensor @x <input> : tensor<8x5xf32>
  wafer.entry @forward [@x] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 3, rows = 4, groups = 2, token_block = 1, tokens = 8, micro_batches = 1> command @command {
      // expected-error @+1 {{names '@in', expected a wafer.channel of the program}}
      wafer.send @x as f16 block 2 task @core::@take on @in
    }
  }
}

// -----

wafer.program @descriptor_without_channel machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.image @core command @command {
    // expected-error @+1 {{names '@east', expected a wafer.channel of the program}}
    wafer.descriptor @from_west <receive> f32 on @east extents [1, 1, 1, 2]
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 3, rows = 4, groups = 2, token_block = 1, tokens = 8, micro_batches = 1> command @command {
    }
  }
}

// -----

wafer.program @not_placed machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.entry @forward [] -> [] {
    // expected-error @+1 {{lies outside of machine 'odd', which has 7 x 5 cores; run wafer-place first}}
    wafer.phase <x0 = 0, y0 = 2, columns = 3, rows = 4, groups = 2, token_block = 1, tokens = 8, micro_batches = 1> command @command {
    }
  }
}

// -----

wafer.program @no_room_for_group_sums machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @sums <group_sums>
  wafer.image @core command @command {
    wafer.descriptor @sum_out <send> f32 on @sums extents [1, 1, 1, 1]
  }
  wafer.entry @forward [] -> [] {
    // expected-error @+1 {{adds sums of groups below its grid, expected several groups and as many rows as a group has columns, but there are 2 groups of 3 columns, and 2 rows below}}
    wafer.phase <x0 = 0, y0 = 0, columns = 3, rows = 3, groups = 2, token_block = 1, tokens = 6, micro_batches = 1> command @command {
    }
  }
}
