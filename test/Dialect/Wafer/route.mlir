// RUN: wafer-opt %s --pass-pipeline="builtin.module(wafer.program(wafer-route))" -split-input-file | FileCheck %s
// RUN: wafer-opt %s --pass-pipeline="builtin.module(wafer.program(wafer-route,wafer-route))" -split-input-file | FileCheck %s

// Two groups of three columns and four of the five rows of `odd`. Chains and relays get two colors that alternate, so that no router has two senders of one;
// the last column of a group does not reach the first of the next; below the grid the output of its last row goes on to the south edge.
// CHECK-LABEL: wafer.program @two_groups
// CHECK-NOT: wafer.channel
// CHECK: wafer.color @command weight
// CHECK: wafer.color @in_0{{$}}
// CHECK: wafer.color @in_1{{$}}
// CHECK: wafer.color @out_0{{$}}
// CHECK: wafer.color @out_1{{$}}
// CHECK: wafer.color @east_0{{$}}
// CHECK: wafer.color @east_1{{$}}
// CHECK: wafer.color @cast{{$}}
// CHECK: wafer.descriptor @from_north <receive> i32 on @in_0 extents [1, 1, 3, 4]{{$}}
// CHECK: wafer.descriptor @from_west <receive> f32 on @east_0 extents [1, 1, 1, 2]{{$}}
// The last row is row 3, which sends on the odd color.
// CHECK: wafer.send @x as f16 block 2 task @core::@take on @in_0
// CHECK: wafer.receive @x as f16 block 2 task @core::@take on @out_1
// CHECK-DAG: wafer.route @command at <0, 0 size 6, 3 step 1, 1> from <N> to [#wafer.dir<S>, #wafer.dir<ramp>]
// CHECK-DAG: wafer.route @command at <0, 3 size 6, 1 step 1, 1> from <N> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @in_0 at <0, 0 size 6, 2 step 1, 2> from <N> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @in_0 at <0, 1 size 6, 1 step 1, 2> from <ramp> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @in_1 at <0, 0 size 6, 2 step 1, 2> from <ramp> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @out_1 at <0, 4 size 6, 1 step 1, 1> from <N> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @east_0 at <2, 0 size 2, 4 step 3, 1> from <W> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @east_0 at <1, 0 size 2, 4 step 3, 1> from <ramp> to [#wafer.dir<E>]
// CHECK-DAG: wafer.route @east_1 at <0, 0 size 2, 4 step 3, 1> from <ramp> to [#wafer.dir<E>]
// CHECK-DAG: wafer.route @cast at <2, 0 size 2, 4 step 3, 1> from <ramp> to [#wafer.dir<W>]
// CHECK-DAG: wafer.route @cast at <1, 0 size 2, 4 step 3, 1> from <E> to [#wafer.dir<W>, #wafer.dir<ramp>]
// CHECK-DAG: wafer.route @cast at <0, 0 size 2, 4 step 3, 1> from <E> to [#wafer.dir<ramp>]
//
// The first column has nobody in the west and reads its value, the last one sends to nobody. Row y has 3 - y rows after and y before it.
// CHECK: wafer.region @{{.*}}columns_0_even_rows at <0, 0 size 2, 2 step 3, 2> image @core {
// CHECK-NEXT: wafer.override @from_north "extent2" base 3 dy -2
// CHECK-NEXT: wafer.override @to_south "extent2" base 0 dy 2
// CHECK-NEXT: wafer.override @from_west "const" base 7
// CHECK-NEXT: wafer.override @to_east "color" color @east_1
// CHECK-NEXT: }
// CHECK: wafer.region @{{.*}}columns_2_odd_rows at <2, 1 size 2, 2 step 3, 2> image @core {
// CHECK-NEXT: wafer.override @from_north "color" color @in_1
// CHECK-NEXT: wafer.override @from_north "extent2" base 2 dy -2
// CHECK-NEXT: wafer.override @to_south "color" color @out_1
// CHECK-NEXT: wafer.override @to_south "extent2" base 1 dy 2
// CHECK-NEXT: wafer.override @to_east "extent3" base 0
// CHECK-NEXT: wafer.override @others "const" base 0
// CHECK-NEXT: }
wafer.program @two_groups machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @in <relay_in>
  wafer.channel @out <relay_out>
  wafer.channel @east <chain_east>
  wafer.channel @cast <multicast_west>
  wafer.tensor @x <input> : tensor<8x5xf32>
  wafer.image @core command @command {
    wafer.descriptor @from_north <receive> i32 on @in extents [1, 1, 3, 4] per_core <rows_after, dimension = 2>
    wafer.descriptor @to_south <send> i32 on @out extents [1, 1, 3, 4] per_core <rows_before, dimension = 2>
    wafer.descriptor @from_west <receive> f32 on @east extents [1, 1, 1, 2] value 7
    wafer.descriptor @to_east <send> f32 on @east extents [1, 1, 1, 2]
    wafer.descriptor @others <receive> f32 on @cast extents [1, 1, 1, 2] per_core <not_last_column, dimension = 3>
    wafer.task @take control 0 {
      pe.end
    }
  }
  wafer.entry @forward [@x] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 3, rows = 4, groups = 2, token_block = 1, tokens = 8, micro_batches = 1> command @command {
      wafer.send @x as f16 block 2 task @core::@take on @in
      wafer.receive @x as f16 block 2 task @core::@take on @out
    }
  }
}

// -----

// All of `odd`: of 10 features three of the seven columns have 2 and the others 1. Columns of one class are a progression: 3 and 5.
// CHECK-LABEL: wafer.program @whole_machine
// CHECK-DAG: wafer.route @west_0 at <0, 0 size 3, 5 step 2, 1> from <E> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @west_0 at <1, 0 size 3, 5 step 2, 1> from <ramp> to [#wafer.dir<W>]
// CHECK-DAG: wafer.route @west_1 at <1, 0 size 3, 5 step 2, 1> from <E> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @west_1 at <2, 0 size 3, 5 step 2, 1> from <ramp> to [#wafer.dir<W>]
// CHECK: wafer.region @{{.*}} at <0, 0 size 1, 3 step 7, 2> image @core {
// CHECK-NEXT: wafer.override @rows "extent0" base 2
// CHECK-NEXT: wafer.override @to_west "extent3" base 0
// CHECK: wafer.region @{{.*}} at <2, 0 size 1, 3 step 7, 2> image @core {
// CHECK-NEXT: wafer.override @rows "extent0" base 2
// CHECK-NEXT: wafer.override @to_west "color" color @west_1
// CHECK: wafer.region @{{.*}} at <3, 1 size 2, 2 step 2, 2> image @core {
// CHECK-NEXT: wafer.override @rows "extent0" base 1
// CHECK-NEXT: }
wafer.program @whole_machine machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @west <chain_west>
  wafer.image @core command @command {
    wafer.buffer @x bytes 8 live 0, 1
    wafer.descriptor @rows <mem> f16 on @x extents [2, 1, 1, 2] strides [2, 0, 0, 1] per_core <valid_features, dimension = 0, features = 10>
    wafer.descriptor @to_west <send> f32 on @west extents [1, 1, 1, 2]
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 7, rows = 5, groups = 1, token_block = 2, tokens = 9, micro_batches = 1> command @command {
    }
  }
}

// -----

// One row: nothing is passed on, and no second region is made.
// CHECK-LABEL: wafer.program @one_row
// CHECK: wafer.receive @x as f16 block 2 task @core::@take on @out_0
// CHECK: wafer.route @command at <0, 0 size 2, 1 step 1, 1> from <N> to [#wafer.dir<ramp>]
// CHECK-NEXT: wafer.route @in_0 at <0, 0 size 2, 1 step 1, 2> from <N> to [#wafer.dir<ramp>]
// CHECK-NEXT: wafer.route @out_0 at <0, 0 size 2, 1 step 1, 2> from <ramp> to [#wafer.dir<S>]
// CHECK-NEXT: wafer.route @out_0 at <0, 1 size 2, 4 step 1, 1> from <N> to [#wafer.dir<S>]
// CHECK-NOT: wafer.route
// CHECK: wafer.region @{{.*}} at <0, 0 size 1, 1 step 2, 2> image @core {
// CHECK: wafer.override @from_north "extent2" base 0 dy -2
// CHECK: wafer.region @{{.*}} at <1, 0 size 1, 1 step 2, 2> image @core {
// CHECK-NOT: wafer.region
wafer.program @one_row machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @in <relay_in>
  wafer.channel @out <relay_out>
  wafer.tensor @x <input> : tensor<2x4xf32>
  wafer.image @core command @command {
    wafer.descriptor @from_north <receive> i32 on @in extents [1, 1, 0, 4] per_core <rows_after, dimension = 2>
    wafer.task @take control 0 {
      pe.end
    }
  }
  wafer.entry @forward [@x] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 2, rows = 1, groups = 1, token_block = 2, tokens = 2, micro_batches = 1> command @command {
      wafer.receive @x as f16 block 2 task @core::@take on @out
    }
  }
}

// -----

// One column per group has neighbours that are none of its business: no chain, no multicast.
// CHECK-LABEL: wafer.program @one_column
// CHECK: wafer.route @command at <0, 0 size 7, 4 step 1, 1>
// CHECK: wafer.route @command at <0, 4 size 7, 1 step 1, 1>
// CHECK-NOT: wafer.route
// CHECK: wafer.region @{{.*}} at <0, 0 size 7, 3 step 1, 2> image @core {
// CHECK-NEXT: wafer.override @from_west "const" base 0
// CHECK-NEXT: wafer.override @others "const" base 0
// CHECK-NEXT: wafer.override @to_east "extent3" base 0
// CHECK-NEXT: wafer.override @to_others "extent3" base 0
wafer.program @one_column machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @east <chain_east>
  wafer.channel @cast <multicast_west>
  wafer.image @core command @command {
    wafer.descriptor @from_west <receive> f32 on @east extents [1, 1, 1, 2]
    wafer.descriptor @others <receive> f32 on @cast extents [1, 1, 1, 2]
    wafer.descriptor @to_east <send> f32 on @east extents [1, 1, 1, 2]
    wafer.descriptor @to_others <send> f32 on @cast extents [1, 1, 1, 2]
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 1, rows = 5, groups = 7, token_block = 2, tokens = 70, micro_batches = 1> command @command {
    }
  }
}

// -----

// The second load has no chain: a route that nobody sends on would be refused when the program is loaded.
// CHECK-LABEL: wafer.program @chain_in_first_load_only
// CHECK-DAG: wafer.route @east_0 at
// CHECK-DAG: wafer.route @east_1 at
// CHECK-DAG: wafer.route @command load 1 at
// CHECK-NOT: wafer.route @east_{{.}} load 1
wafer.program @chain_in_first_load_only machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @east <chain_east>
  wafer.image @core command @command {
    wafer.descriptor @from_west <receive> f32 on @east extents [1, 1, 1, 2]
    wafer.descriptor @to_east <send> f32 on @east extents [1, 1, 1, 2]
  }
  wafer.image @core_1 command @command load 1 {
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 3, rows = 2, groups = 1, token_block = 2, tokens = 4, micro_batches = 1> command @command {
    }
    wafer.phase <x0 = 0, y0 = 0, columns = 3, rows = 2, groups = 1, token_block = 2, tokens = 4, micro_batches = 1> command @command load 1 {
    }
  }
}

// -----

// A ring closes within its band: here two bands of five rows, whose rows are numbered anew, while blocks pass all ten.
// CHECK-LABEL: wafer.program @ring_in_bands
// CHECK: wafer.route @ring_2 at <0, 4 size 2, 1 step 1, 1> from <ramp> to [#wafer.dir<N>]
// CHECK-NEXT: wafer.route @ring_2 at <0, 0 size 2, 1 step 1, 1> from <S> to [#wafer.dir<ramp>]
// CHECK-NEXT: wafer.route @ring_0 at <0, 5 size 2, 1 step 1, 4> from <ramp> to [#wafer.dir<S>]
// CHECK: wafer.route @ring_2 at <0, 9 size 2, 1 step 1, 1> from <ramp> to [#wafer.dir<N>]
// CHECK-NEXT: wafer.route @ring_2 at <0, 5 size 2, 1 step 1, 1> from <S> to [#wafer.dir<ramp>]
// CHECK-NOT: wafer.route @ring
// CHECK: wafer.region @wafer.columns_0_last_row at <0, 4 size 1, 1 step 2, 1> image @core {
// CHECK-NEXT: wafer.override @from_north "extent2" base 5 dy -1
// CHECK-NEXT: wafer.override @row "const" base 4 dy 1
// CHECK-NEXT: wafer.override @ring_in "color" color @ring_1
// CHECK-NEXT: wafer.override @ring_out "color" color @ring_2
// CHECK: wafer.region @wafer.columns_0_first_row_of_band_1 at <0, 5 size 1, 1 step 2, 1> image @core {
// CHECK-NEXT: wafer.override @from_north "color" color @in_1
// CHECK-NEXT: wafer.override @from_north "extent2" base 4 dy -1
// CHECK-NEXT: wafer.override @row "const" base 0 dy 1
// CHECK-NEXT: wafer.override @ring_in "color" color @ring_2
// CHECK-NEXT: }
// CHECK: wafer.region @wafer.columns_0_rows_3_of_band_1 at <0, 8 size 1, 1 step 2, 4> image @core {
// CHECK-NEXT: wafer.override @from_north "extent2" base 1 dy -4
// CHECK-NEXT: wafer.override @row "const" base 3 dy 4
wafer.program @ring_in_bands machine "small" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @in <relay_in>
  wafer.channel @ring <column_ring>
  wafer.image @core command @command {
    wafer.descriptor @from_north <receive> i32 on @in extents [1, 1, 0, 4] per_core <rows_after, dimension = 2>
    wafer.descriptor @row <const> i32 value 0 per_core <row_number, dimension = 0>
    wafer.descriptor @ring_in <receive> f32 on @ring extents [1, 1, 1, 2]
    wafer.descriptor @ring_out <send> f32 on @ring extents [1, 1, 1, 2]
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 2, rows = 10, groups = 1, token_block = 2, tokens = 20, micro_batches = 1, batches = 2, batches_at_once = 2, bands = 2> command @command {
    }
  }
}

// -----

// Bands of one row pass nothing on: each row is the first of its band.
// CHECK-LABEL: wafer.program @bands_of_one_row
// CHECK-NOT: wafer.route @ring
// CHECK: wafer.region @wafer.columns_0_even_rows at <0, 0 size 1, 2 step 1, 2> image @core {
// CHECK-NEXT: wafer.override @row "const" base 0{{$}}
// CHECK: wafer.region @wafer.columns_0_odd_rows at <0, 1 size 1, 2 step 1, 2> image @core {
// CHECK-NEXT: wafer.override @row "const" base 0{{$}}
wafer.program @bands_of_one_row machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @ring <column_ring>
  wafer.image @core command @command {
    wafer.descriptor @row <const> i32 value 0 per_core <row_number, dimension = 0>
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 1, rows = 4, groups = 1, token_block = 2, tokens = 8, micro_batches = 1, batches = 4, batches_at_once = 4, bands = 4> command @command {
    }
  }
}

// -----

// Columns in pairs: an even one sends east and hears from there, an odd one west.
// CHECK-LABEL: wafer.program @pairs
// CHECK-DAG: wafer.route @pairs_0 at <0, 0 size 2, 2 step 2, 1> from <ramp> to [#wafer.dir<E>]
// CHECK-DAG: wafer.route @pairs_0 at <1, 0 size 2, 2 step 2, 1> from <W> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @pairs_1 at <1, 0 size 2, 2 step 2, 1> from <ramp> to [#wafer.dir<W>]
// CHECK-DAG: wafer.route @pairs_1 at <0, 0 size 2, 2 step 2, 1> from <E> to [#wafer.dir<ramp>]
// CHECK: wafer.region @wafer.columns_0_even_rows
// CHECK-NEXT: wafer.override @pair_in "color" color @pairs_1
// CHECK-NEXT: }
// CHECK: wafer.region @wafer.columns_1_even_rows
// CHECK-NEXT: wafer.override @pair_out "color" color @pairs_1
// CHECK-NEXT: }
wafer.program @pairs machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @pairs <column_pairs>
  wafer.image @core command @command {
    wafer.descriptor @pair_in <receive> f32 on @pairs extents [1, 1, 1, 2]
    wafer.descriptor @pair_out <send> f32 on @pairs extents [1, 1, 1, 2]
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 4, rows = 2, groups = 1, token_block = 2, tokens = 4, micro_batches = 1, batches = 1> command @command {
    }
  }
}

// -----

// A program that runs in MemoryX alone has nothing to route.
// CHECK-LABEL: wafer.program @no_phase
// CHECK-NEXT: wafer.entry
wafer.program @no_phase machine "odd" {
  wafer.entry @forward [] -> [] {
  }
}

// -----

// A ring of five rows: 0, 2 and 4 southwards, 3 and 1 back. Routers between pass on, the last two rows and the first two are neighbours. Each row has its number.
// CHECK-LABEL: wafer.program @ring
// CHECK-DAG: wafer.route @ring_0 at <0, 0 size 2, 1 step 1, 4> from <ramp> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @ring_0 at <0, 1 size 2, 1 step 1, 4> from <N> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @ring_0 at <0, 2 size 2, 1 step 1, 4> from <N> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @ring_1 at <0, 2 size 2, 1 step 1, 4> from <ramp> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @ring_1 at <0, 3 size 2, 1 step 1, 4> from <N> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @ring_1 at <0, 4 size 2, 1 step 1, 4> from <N> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @ring_2 at <0, 4 size 2, 1 step 1, 1> from <ramp> to [#wafer.dir<N>]
// CHECK-DAG: wafer.route @ring_2 at <0, 3 size 2, 1 step 1, 4> from <S> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @ring_3 at <0, 3 size 2, 1 step 1, 4> from <ramp> to [#wafer.dir<N>]
// CHECK-DAG: wafer.route @ring_3 at <0, 2 size 2, 1 step 1, 4> from <S> to [#wafer.dir<N>]
// CHECK-DAG: wafer.route @ring_3 at <0, 1 size 2, 1 step 1, 4> from <S> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @ring_2 at <0, 1 size 2, 1 step 1, 4> from <ramp> to [#wafer.dir<N>]
// CHECK-DAG: wafer.route @ring_2 at <0, 0 size 2, 1 step 1, 1> from <S> to [#wafer.dir<ramp>]
// CHECK: wafer.region @{{.*}}_last_row at <0, 4
// CHECK-NEXT: wafer.override @from_ring "color" color @ring_1
// CHECK-NEXT: wafer.override @to_ring "color" color @ring_2
// CHECK-NEXT: wafer.override @row "const" base 4
wafer.program @ring machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @ring <column_ring>
  wafer.image @core command @command {
    wafer.descriptor @from_ring <receive> f32 on @ring extents [1, 1, 1, 2]
    wafer.descriptor @to_ring <send> f32 on @ring extents [1, 1, 1, 2]
    wafer.descriptor @row <const> i32 value 0 per_core <row_number, dimension = 0>
    wafer.task @take control 0 {
      pe.end
    }
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 2, rows = 5, groups = 1, token_block = 1, tokens = 5, micro_batches = 1> command @command {
      wafer.command @core::@take times 5
    }
  }
}

// -----

// Three groups of two columns, whose sums are added in the two rows of `odd` below their three. Column c sends its sums to row 3 + c, past those of the columns before it;
// there they go east from group to group on colors that take turns, and south behind the last one, on the color that no sums to the east have there.
// CHECK-LABEL: wafer.program @group_sums
// CHECK: wafer.sample @g {{.*}} on @sums_2 groups_added
// The last row is row 2, which sends on the even color.
// CHECK-DAG: wafer.route @sums_0 at <0, 0 size 6, 2 step 1, 2> from <ramp> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @sums_0 at <0, 3 size 3, 1 step 2, 1> from <N> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @sums_0 at <1, 3 size 3, 1 step 2, 1> from <N> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @sums_0 at <1, 4 size 3, 1 step 2, 1> from <N> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @sums_2 at <0, 3 size 1, 1 step 4, 1> from <ramp> to [#wafer.dir<E>]
// CHECK-DAG: wafer.route @sums_2 at <1, 3 size 1, 1 step 4, 1> from <W> to [#wafer.dir<E>]
// CHECK-DAG: wafer.route @sums_2 at <2, 3 size 1, 1 step 4, 1> from <W> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @sums_1 at <2, 3 size 1, 1 step 4, 1> from <ramp> to [#wafer.dir<E>]
// CHECK-DAG: wafer.route @sums_1 at <3, 3 size 1, 1 step 4, 1> from <W> to [#wafer.dir<E>]
// CHECK-DAG: wafer.route @sums_1 at <4, 3 size 1, 1 step 4, 1> from <W> to [#wafer.dir<ramp>]
// CHECK-DAG: wafer.route @sums_2 at <4, 3 size 1, 1 step 2, 1> from <ramp> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @sums_2 at <4, 4 size 1, 1 step 2, 1> from <N> to [#wafer.dir<S>]
// CHECK-DAG: wafer.route @sums_1 at <4, 4 size 1, 1 step 4, 1> from <W> to [#wafer.dir<E>]
// CHECK: wafer.image @wafer.group_sums_core command @sums_0 start @begin_group_sums {
// CHECK: pe.addw f32 d1, d0
// CHECK: wafer.region @wafer.group_sums_core_column_1_first_group at <1, 4 size 1, 1 step 2, 1> image @wafer.group_sums_core {
// CHECK-NEXT: wafer.override @sum_in "const" base 0
// CHECK-NEXT: wafer.override @sum_out "color" color @sums_2
// CHECK-NEXT: }
// CHECK-NEXT: wafer.region @wafer.group_sums_core_column_1_odd_groups at <3, 4 size 1, 1 step 4, 1> image @wafer.group_sums_core {
// CHECK-NEXT: }
// CHECK-NEXT: wafer.region @wafer.group_sums_core_column_1_even_groups at <5, 4 size 1, 1 step 4, 1> image @wafer.group_sums_core {
// CHECK-NEXT: wafer.override @sum_in "color" color @sums_1
// CHECK-NEXT: wafer.override @sum_out "color" color @sums_2
wafer.program @group_sums machine "odd" {
  wafer.channel @command <column_multicast> weight
  wafer.channel @sums <group_sums>
  wafer.tensor @g <output> : tensor<2x2xf32>
  wafer.image @core command @command {
    wafer.descriptor @sum_in <receive> f32 on @sums extents [1, 1, 1, 1] value 0
    wafer.descriptor @sum_out <send> f32 on @sums extents [1, 1, 1, 1]
    wafer.task @row control 0 {
      pe.end
    }
  }
  wafer.entry @gradient [] -> [@g] {
    wafer.phase <x0 = 0, y0 = 0, columns = 2, rows = 3, groups = 3, token_block = 1, tokens = 9, micro_batches = 1> command @command {
      wafer.sample @g as f32 rows 2 columns 2 strides 2, 1 offset 0 blocks 1, 1 east @core::@row west @core::@row own @core::@row last @core::@row on @sums groups_added
    }
  }
}
