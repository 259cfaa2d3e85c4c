// A block that comes in three parts, beside kernels of three loads: its features lie as if it came at once, on both engines, and the executable says what the IR did. One that leaves out a part is refused.
//
// RUN: rm -rf %t && mkdir %t
// RUN: wafer-opt %s --pass-pipeline="builtin.module(convert-stream-to-wafer,wafer.program(wafer-place,wafer-route,wafer-assign-colors,wafer-allocate-sram))" -o %t/m.mlir
// RUN: FileCheck %s --check-prefix=CODE --input-file %t/m.mlir
// RUN: wafer-translate --wafer-to-wexe %t/m.mlir -o %t/m.wexe
// RUN: wafer-objdump %t/m.wexe -o %t/m.ws && wafer-objdump --assemble %t/m.ws -o %t/again.wexe && cmp %t/m.wexe %t/again.wexe
// RUN: wafer-translate --wexe-to-wafer %t/m.wexe -o %t/back.mlir && wafer-translate --wafer-to-wexe %t/back.mlir -o %t/back.wexe && cmp %t/m.wexe %t/back.wexe
// RUN: %python -c "import numpy; r = numpy.random.default_rng(0); [numpy.save(f'%t/{n}.npy', r.integers(-9, 10, (6, 6)).astype('f4')) for n in 'xz']"
// RUN: wafer-run %t/m.wexe --input x=%t/x.npy --input z=%t/z.npy --output-dir %t/functional
// RUN: wafer-run %t/m.wexe --input x=%t/x.npy --input z=%t/z.npy --output-dir %t/cycle --engine cycle
// RUN: %python -c "import numpy; x, z = (numpy.load(f'%t/{n}.npy') for n in 'xz'); print([bool((numpy.load(f'%t/{e}/y.npy') == z - x).all()) for e in ('functional', 'cycle')])" | FileCheck %s
// RUN: grep -v "offset=1 " %t/m.ws > %t/without.ws
// RUN: not wafer-objdump --assemble %t/without.ws -o %t/without.wexe 2>&1 | FileCheck %s --check-prefix=BAD
//
// CHECK: [True, True]
// CODE: wafer.send @z as f32 block 1 task {{.*}} beside 1
// CODE: wafer.phase {{.*}} continues
// CODE-NEXT: wafer.send @z as f32 block 1 from 1 task {{.*}} beside 1
// CODE: wafer.phase {{.*}} continues
// CODE-NEXT: wafer.send @z as f32 block 1 from 2 task {{.*}} beside 1
// BAD: error: {{.*}}layout_c1

#layout = #stream.layout<feature_block = 3>
stream.program @parts machine "odd" {
  stream.tensor @x <input> : tensor<6x6xf32>
  stream.tensor @z <input> : tensor<6x6xf32>
  stream.tensor @y <output> : tensor<6x6xf32>
  stream.segment grid <columns = 2, rows = 3, groups = 1, token_block = 2, micro_batches = 1> loads 3 {
    %x = stream.send @x : tensor<6x6xf32, #layout>
    %z = stream.send ahead parts [1, 1] @z : tensor<6x6xf32, #layout>
    %a = stream.map %x : (tensor<6x6xf32, #layout>) -> tensor<6x6xf32, #layout> {
    ^bb0(%e: f32):
      %n = arith.negf %e : f32
      %o = arith.negf %n : f32
      %p = arith.negf %o : f32
      %q = arith.negf %p : f32
      %r = arith.negf %q : f32
      stream.yield %r : f32
    }
    %b = stream.map %a : (tensor<6x6xf32, #layout>) -> tensor<6x6xf32, #layout> {
    ^bb0(%e: f32):
      %p = arith.negf %e : f32
      %q = arith.negf %p : f32
      %r = arith.negf %q : f32
      stream.yield %r : f32
    }
    %c = stream.map %b : (tensor<6x6xf32, #layout>) -> tensor<6x6xf32, #layout> {
    ^bb0(%e: f32):
      %p = arith.negf %e : f32
      %q = arith.negf %p : f32
      %r = arith.negf %q : f32
      stream.yield %r : f32
    }
    %y = stream.map %c, %z : (tensor<6x6xf32, #layout>, tensor<6x6xf32, #layout>) -> tensor<6x6xf32, #layout> {
    ^bb0(%e: f32, %f: f32):
      %r = arith.addf %e, %f : f32
      stream.yield %r : f32
    }
    stream.receive %y, @y : tensor<6x6xf32, #layout>
  }
}
