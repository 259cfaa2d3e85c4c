//===- StreamToWafer.td - the conversion from kernels to machine code -------===//

#ifndef WAFER_CONVERSION_STREAMTOWAFER_TD
#define WAFER_CONVERSION_STREAMTOWAFER_TD

include "mlir/Pass/PassBase.td"

def ConvertStreamToWafer : Pass<"convert-stream-to-wafer", "::mlir::ModuleOp"> {
  let summary = "Turn the kernels of a laid-out program into tasks, descriptors, buffers and schedule steps";
  let description = [{
    Replaces each `stream.program` by a `wafer.program` of the same name with one image for all cores: a buffer per value, alive from the kernel that makes it
    to the last that reads it (a map writes over an operand that nobody else reads), the tasks and descriptors of each kernel (docs/spec/kernels.md), a
    `wafer.phase` per segment with the steps that MemoryX runs, a `wafer.call` per call, and the channels that the code uses. What differs from core to core
    is written as `per_core` and by the ends of channels, so the code does not depend on the size of the grid.

    Needs a grid on each segment and a layout on each value (stream-assign-layout) and wire formats (stream-choose-wire-format). Afterwards nothing has a
    place: grids begin at (0, 0), channels have no colors, buffers no addresses. Tensors and functions are untouched. A program without segments gets neither
    image nor channels.

    Before:   stream.segment grid <columns = 2, ...> { %0 = stream.send @x ...  %1 = stream.contract %0, @w ...  stream.receive %1, @y }
    After:    wafer.image @wafer.core command @wafer.command { wafer.task @own control 4 { pe.add ... } ... }
              wafer.phase <..., columns = 2, ...> command @wafer.command { wafer.send @x ...  wafer.contract @w ...  wafer.receive @y ... }

    Example: test/Conversion/stream-to-wafer.mlir
  }];
  let dependentDialects = ["::wafer::wfr::WaferDialect", "::wafer::pe::PEDialect"];
}

#endif // WAFER_CONVERSION_STREAMTOWAFER_TD
