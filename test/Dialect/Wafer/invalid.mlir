// RUN: wafer-opt %s -split-input-file -verify-diagnostics
// What the verifiers check, in this order: grid, rect and per_core attributes, tensor_c1, color_c1, color_c2, route_c1 (four sides and the name), buffer_c1, descriptor_c1 to
// descriptor_c4, task_c1, task_c3, task_c4, task_c6, override_c1, scale_c2. Everything else is proved when the executable is loaded.

// expected-error @+1 {{found micro_batches = 0, expected at least 1}}
#grid = #wafer.grid<x0 = 0, y0 = 0, columns = 1, rows = 1, groups = 1, token_block = 1, tokens = 1, micro_batches = 0>

// -----

// expected-error @+1 {{found x0 = -1, expected at least 0}}
#grid = #wafer.grid<x0 = -1, y0 = 0, columns = 1, rows = 1, groups = 1, token_block = 1, tokens = 1, micro_batches = 1>

// -----

// expected-error @+1 {{found bands = 2, expected a number that divides the 3 rows}}
#grid = #wafer.grid<x0 = 0, y0 = 0, columns = 1, rows = 3, groups = 1, token_block = 1, tokens = 1, micro_batches = 1, bands = 2>

// -----

// A rectangle without cores routes nothing.
// expected-error @+1 {{found height = 0, expected at least 1}}
#rect = #wafer.rect<0, 0 size 1, 0 step 1, 1>

// -----

// expected-error @+1 {{found x step = 0, expected at least 1}}
#rect = #wafer.rect<0, 0 size 1, 1 step 0, 1>

// -----

// expected-error @+1 {{found dimension = 4, expected 0 to 3}}
#per_core = #wafer.per_core<rows_after, dimension = 4>

// -----

// expected-error @+1 {{valid_features needs features of at least 1}}
#per_core = #wafer.per_core<valid_features, dimension = 0>

// -----

wafer.program @tensor_c1 machine "odd" {
  // expected-error @+1 {{has type 'tensor<?x5xf32>', expected a static shape without encoding (tensor_c1)}}
  wafer.tensor @x <input> : tensor<?x5xf32>
}

// -----

wafer.program @color_c1 machine "odd" {
  // expected-error @+1 {{has number -1, expected 0 or more (color_c1)}}
  wafer.color @a number -1
}

// -----

wafer.program @color_c2 machine "odd" {
  // expected-note @+1 {{by '@a' here}}
  wafer.color @a number 3
  // expected-error @+1 {{has number 3, which is taken (color_c2)}}
  wafer.color @b number 3
}

// -----

wafer.program @route_c1_no_direction machine "odd" {
  wafer.color @a
  // expected-error @+1 {{sends to no direction (route_c1)}}
  wafer.route @a at <0, 0 size 1, 1 step 1, 1> from <N> to []
}

// -----

wafer.program @route_c1_back machine "odd" {
  wafer.color @a
  // expected-error @+1 {{sends back to where it receives from, W (route_c1)}}
  wafer.route @a at <0, 0 size 1, 1 step 1, 1> from <W> to [#wafer.dir<ramp>, #wafer.dir<W>]
}

// -----

// Two entries are two senders into one color. The rectangles meet in column 4 only: 0, 2, 4, 6 and 1, 4, 7 (of row 2).
wafer.program @route_c1_two_entries machine "odd" {
  wafer.color @a
  // expected-note @+1 {{first entry here}}
  wafer.route @a at <0, 0 size 4, 5 step 2, 1> from <N> to [#wafer.dir<ramp>]
  // expected-error @+1 {{gives a router a second entry for color '@a' (route_c1)}}
  wafer.route @a at <1, 2 size 3, 1 step 3, 1> from <ramp> to [#wafer.dir<E>]
}

// -----

// Rectangles that interleave do not meet, nor do two colors.
wafer.program @route_c1_kept machine "odd" {
  wafer.color @a
  wafer.color @b
  wafer.route @a at <0, 0 size 4, 5 step 2, 1> from <N> to [#wafer.dir<ramp>]
  wafer.route @a at <1, 0 size 3, 5 step 2, 1> from <ramp> to [#wafer.dir<E>]
  wafer.route @b at <0, 0 size 4, 5 step 2, 1> from <N> to [#wafer.dir<ramp>]
}

// -----

wafer.program @route_without_color machine "odd" {
  // expected-error @+1 {{names '@a', expected a wafer.color of the program}}
  wafer.route @a at <0, 0 size 1, 1 step 1, 1> from <N> to [#wafer.dir<ramp>]
}

// -----

wafer.program @buffer_c1_empty machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{has 0 bytes, expected at least 1 (buffer_c1)}}
    wafer.buffer @a bytes 0 live 0, 3
  }
}

// -----

wafer.program @buffer_c1_negative machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{has -8 bytes, expected at least 1 (buffer_c1)}}
    wafer.buffer @a bytes -8 live 0, 3
  }
}

// -----

wafer.program @buffer_c1_backwards machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{is live from step 3 to 2 (buffer_c1)}}
    wafer.buffer @a bytes 8 live 3, 2
  }
}

// -----

wafer.program @descriptor_c1_no_strides machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @a bytes 8 live 0, 3
    // expected-error @+1 {{in memory needs a buffer, extents and strides, and no value (descriptor_c1)}}
    wafer.descriptor @d <mem> f32 on @a extents [1, 1, 1, 2]
  }
}

// -----

wafer.program @descriptor_c1_no_buffer machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{names '@a', expected a wafer.buffer of the image (descriptor_c1)}}
    wafer.descriptor @d <mem> f32 on @a extents [1, 1, 1, 2] strides [0, 0, 0, 1]
  }
}

// -----

wafer.program @descriptor_c1_other_memory machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @a bytes 8 live 0, 3 acc
    // expected-error @+1 {{and its buffer are not in the same memory (descriptor_c1)}}
    wafer.descriptor @d <mem> f32 on @a extents [1, 1, 1, 2] strides [0, 0, 0, 1]
  }
}

// -----

// 3 elements of 4 bytes, from byte 4 on.
wafer.program @descriptor_c1_too_long machine "odd" {
  wafer.image @core command @command {
    // expected-note @+1 {{buffer declared here}}
    wafer.buffer @a bytes 12 live 0, 3
    // expected-error @+1 {{reaches bytes 4 to 16 of a buffer of 12 bytes (descriptor_c1)}}
    wafer.descriptor @d <mem> f32 on @a offset 4 extents [1, 1, 1, 3] strides [0, 0, 0, 1]
  }
}

// -----

wafer.program @descriptor_c1_below machine "odd" {
  wafer.image @core command @command {
    // expected-note @+1 {{buffer declared here}}
    wafer.buffer @a bytes 12 live 0, 3
    // expected-error @+1 {{reaches bytes -8 to 4 of a buffer of 12 bytes (descriptor_c1)}}
    wafer.descriptor @d <mem> f32 on @a extents [1, 1, 1, 3] strides [0, 0, 0, -1]
  }
}

// -----

// A descriptor without elements touches nothing.
wafer.program @descriptor_c1_kept machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @a bytes 12 live 0, 3
    wafer.descriptor @d <mem> f32 on @a extents [100, 0, 1, 3] strides [100, 0, 0, 1]
  }
}

// -----

wafer.program @descriptor_c1_three_extents machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @a bytes 12 live 0, 3
    // expected-error @+1 {{has 3 extents or strides, expected 4 (descriptor_c1)}}
    wafer.descriptor @d <mem> f32 on @a extents [1, 1, 3] strides [0, 0, 1]
  }
}

// -----

wafer.program @descriptor_c2 machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{on the fabric needs a channel and extents, and no strides (descriptor_c2)}}
    wafer.descriptor @d <send> f32 on @east extents [1, 1, 1, 3] strides [0, 0, 0, 1]
  }
}

// -----

wafer.program @descriptor_c3 machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{of kind const needs a value and nothing else (descriptor_c3)}}
    wafer.descriptor @d <const> f32 extents [1, 1, 1, 3] value 0
  }
}

// -----

wafer.program @descriptor_c4_type machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @a bytes 12 live 0, 3
    // expected-error @+1 {{has elements of type 'index', expected f32, f16, bf16, i32, i16 or i8 (descriptor_c4)}}
    wafer.descriptor @d <mem> index on @a extents [1, 1, 1, 1] strides [0, 0, 0, 1]
  }
}

// -----

// 65537 would be 1 in sixteen bits.
wafer.program @descriptor_c4_extent machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{has extent 65537, expected 0 to 65535 (descriptor_c4)}}
    wafer.descriptor @d <receive> f32 on @east extents [1, 1, 1, 65537]
  }
}

// -----

wafer.program @descriptor_c4_stride machine "odd" {
  wafer.image @core command @command {
    wafer.buffer @a bytes 12 live 0, 3
    // expected-error @+1 {{has stride 32768, expected -32768 to 32767 (descriptor_c4)}}
    wafer.descriptor @d <mem> f32 on @a extents [1, 1, 1, 1] strides [32768, 0, 0, 1]
  }
}

// -----

wafer.program @task_c6_missing machine "odd" {
  // expected-error @+1 {{starts with '@begin', expected a control task of the image (task_c6)}}
  wafer.image @core command @command start @begin {
  }
}

// -----

wafer.program @task_c6_data machine "odd" {
  // expected-error @+1 {{starts with '@add', expected a control task of the image (task_c6)}}
  wafer.image @core command @command start @add {
    wafer.task @add data 0 {
      pe.addw f32 d1, d0
      pe.end
    }
  }
}

// -----

wafer.program @task_c1 machine "odd" {
  wafer.image @core command @command {
    // expected-note @+1 {{by '@a' here}}
    wafer.task @a control 1 {
      pe.end
    }
    // A data task is bound by name; its number is nobody's.
    wafer.task @weights data 1 {
      pe.fmacd f32 d1, d0
      pe.end
    }
    // expected-error @+1 {{has number 1, which is taken (task_c1)}}
    wafer.task @b control 1 {
      pe.end
    }
  }
}

// -----

wafer.program @task_c3_empty machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{does not end with pe.end (task_c3)}}
    wafer.task @a control 1 {
    }
  }
}

// -----

wafer.program @task_c3_two_ends machine "odd" {
  wafer.image @core command @command {
    wafer.task @a control 1 {
      // expected-error @+1 {{stands before the end of its task (task_c3)}}
      pe.end
      pe.end
    }
  }
}

// -----

wafer.program @task_c3_other_operation machine "odd" {
  wafer.image @core command @command {
    wafer.task @a control 1 {
      // expected-error @+1 {{is not a pe operation; a task holds nothing else (task_c3)}}
      %0 = arith.constant 0 : i32
      pe.end
    }
  }
}

// -----

wafer.program @task_c4_trigger_in_control machine "odd" {
  wafer.image @core command @command {
    wafer.task @a control 1 {
      // expected-error @+1 {{is a trigger, which only a data task may hold (task_c4)}}
      pe.fmacp f16 d1, d0
      pe.end
    }
  }
}

// -----

wafer.program @task_c4_other_in_data machine "odd" {
  wafer.image @core command @command {
    wafer.task @a data 0 {
      // expected-error @+1 {{stands in a data task, which holds one trigger (task_c4)}}
      pe.swapd d1, d2
      pe.end
    }
  }
}

// -----

wafer.program @task_c4_two_triggers machine "odd" {
  wafer.image @core command @command {
    // expected-error @+1 {{is a data task, which holds one trigger and pe.end (task_c4)}}
    wafer.task @a data 0 {
      pe.fmacp f16 d1, d0
      pe.fmacp f16 d1, d0
      pe.end
    }
  }
}

// -----

wafer.program @override_c1_field machine "odd" {
  wafer.image @core command @command {
  }
  wafer.region @all at <0, 0 size 1, 1 step 1, 1> image @core {
    // expected-error @+1 {{has field 'extent4', expected color, const or extent0 to extent3 (override_c1)}}
    wafer.override @d "extent4" base 3
  }
}

// -----

wafer.program @override_c1_no_color machine "odd" {
  wafer.image @core command @command {
  }
  wafer.region @all at <0, 0 size 1, 1 step 1, 1> image @core {
    // expected-error @+1 {{of a color names no color (override_c1)}}
    wafer.override @d "color" base 3
  }
}

// -----

wafer.program @override_c1_no_base machine "odd" {
  wafer.image @core command @command {
  }
  wafer.region @all at <0, 0 size 1, 1 step 1, 1> image @core {
    // expected-error @+1 {{of extent0 has no base (override_c1)}}
    wafer.override @d "extent0" dx 1
  }
}

// -----

wafer.program @scale_c2 machine "odd" {
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 1, rows = 1, groups = 1, token_block = 1, tokens = 1, micro_batches = 1> command @command {
      // expected-error @+1 {{has neither gamma nor beta (scale_c2)}}
      wafer.scale as f16 wire <packed16> rows 7 block 4 own @core::@own
    }
  }
}
