// What cannot be written as an executable is an error at its operation, and no file is left.
//
// RUN: rm -rf %t && split-file %s %t
// RUN: not wafer-translate --wafer-to-wexe %t/none.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: found no wafer.program, expected one for each entry; run --wafer-pipeline first
// RUN: not wafer-translate --wafer-to-wexe %t/machine.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=MACHINE
// MACHINE: machine.mlir:1:1: error: {{.*}}cannot load its machine: {{.*}}'huge'
// RUN: not wafer-translate --wafer-to-wexe %t/channel.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=CHANNEL
// CHANNEL: channel.mlir:2:3: error: {{.*}}is not routed; run wafer-route first
// RUN: not wafer-translate --wafer-to-wexe %t/color.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=COLOR
// COLOR: color.mlir:2:3: error: {{.*}}has no number; run wafer-assign-colors first
// RUN: not wafer-translate --wafer-to-wexe %t/address.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=ADDRESS
// ADDRESS: address.mlir:4:5: error: {{.*}}has no address; run wafer-allocate-sram first
// RUN: not wafer-translate --wafer-to-wexe %t/names.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=NAMES
// NAMES: names.mlir:6:7: error: {{.*}}names {{.*}}x_rows{{.*}}, expected a descriptor of the image
// RUN: not wafer-translate --wafer-to-wexe %t/type.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=TYPE
// TYPE: type.mlir:2:3: error: {{.*}}has elements of type 'i1', expected f32, f16, bf16, i32, i16 or i8
//
// Numbers that would wrap: 256 would be color 0, 65537 columns one, 4294967298 rows two.
// RUN: not wafer-translate --wafer-to-wexe %t/wide-color.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=WIDE-COLOR
// WIDE-COLOR: wide-color.mlir:2:3: error: {{.*}}has number 256, expected 0 to 255, which the executable has room for
// RUN: not wafer-translate --wafer-to-wexe %t/wide-rect.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=WIDE-RECT
// WIDE-RECT: wide-rect.mlir:3:3: error: {{.*}}has width 65537, expected 0 to 65535
// RUN: not wafer-translate --wafer-to-wexe %t/wide-step.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=WIDE-STEP
// WIDE-STEP: wide-step.mlir:8:7: error: {{.*}}has rows 4294967298, expected 0 to 4294967295
// RUN: not wafer-translate --wafer-to-wexe %t/wide-buffer.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=WIDE-BUFFER
// WIDE-BUFFER: wide-buffer.mlir:4:5: error: {{.*}}has end 65540, expected 0 to 65535
//
// A program that would not load is not written: the core has no route for its command color.
// RUN: not wafer-translate --wafer-to-wexe %t/refused.mlir -o %t/out.wexe 2>&1 | FileCheck %s --check-prefix=REFUSED
// REFUSED: error: {{.*}}refused.mlir: section 'regions' {{.*}}reaches core (7, 0), but machine 'odd' has 7x5 cores (exe_c7)
//
// RUN: not ls %t/out.wexe

//--- none.mlir
module {
}

//--- machine.mlir
wafer.program @forward machine "huge" {
}

//--- channel.mlir
wafer.program @forward machine "odd" {
  wafer.channel @east <chain_east>
}

//--- color.mlir
wafer.program @forward machine "odd" {
  wafer.color @east
}

//--- address.mlir
wafer.program @forward machine "odd" {
  wafer.color @command number 0
  wafer.image @core command @command {
    wafer.buffer @x bytes 8 live 0, 1
  }
}

//--- names.mlir
wafer.program @forward machine "odd" {
  wafer.color @command number 0
  wafer.image @core command @command {
    wafer.buffer @x bytes 8 live 0, 1 at 1024
    wafer.task @begin control 0 {
      pe.ldd d0, @x_rows
      pe.end
    }
  }
}

//--- type.mlir
wafer.program @forward machine "odd" {
  wafer.tensor @x <input> : tensor<3xi1>
}

//--- wide-color.mlir
wafer.program @forward machine "odd" {
  wafer.color @command number 256
}

//--- wide-rect.mlir
wafer.program @forward machine "odd" {
  wafer.color @command number 0
  wafer.route @command at <0, 0 size 65537, 1 step 1, 1> from <N> to [#wafer.dir<ramp>]
}

//--- wide-step.mlir
wafer.program @forward machine "odd" {
  wafer.tensor @w <weight> : tensor<3x5xf32>
  wafer.color @command number 0
  wafer.image @core command @command {
  }
  wafer.entry @forward [] -> [] {
    wafer.phase <x0 = 0, y0 = 0, columns = 1, rows = 1, groups = 1, token_block = 1, tokens = 1, micro_batches = 1> command @command {
      wafer.contract @w as f16 wire <packed16> rows 4294967298 columns 5 strides 5, 1 offset 0 blocks 5, 3 east @core::@a west @core::@a own @core::@a
    }
  }
}

//--- wide-buffer.mlir
wafer.program @forward machine "odd" {
  wafer.color @command number 0
  wafer.image @core command @command {
    wafer.buffer @x bytes 8 live 0, 1 at 65532
  }
}

//--- refused.mlir
wafer.program @forward machine "odd" {
  wafer.color @command number 0
  wafer.image @core command @command {
    wafer.task @begin control 0 {
      pe.end
    }
  }
  wafer.region @all at <0, 0 size 8, 1 step 1, 1> image @core {
  }
}
