//===- Passes.td - passes of the wafer dialect -------------------------------===//

#ifndef WAFER_DIALECT_WAFER_TRANSFORMS_PASSES_TD
#define WAFER_DIALECT_WAFER_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def MergeLoads : Pass<"wafer-merge-loads", "::wafer::wfr::ProgramOp"> {
  let summary = "Give phases whose code is the same one load";
  let description = [{
    Layers that repeat have the same code, whatever weights they stream; only MemoryX's schedule tells them apart. Phases whose images differ in names and source lines alone, on grids of one shape, get one load: the first
    image stays, steps name its tasks, the others are erased. So neither the executable nor its verification grows with the number of equal layers. Requires one image per load and no routes yet; other programs are left alone.
    Source lines of the merged code are those of the first layer.

    Before:   wafer.image @core { fc1 }  wafer.image @core_1 load 1 { fc2, the same }  wafer.phase ... load 0  wafer.phase ... load 1
    After:    wafer.image @core { fc1 }  wafer.phase ... load 0  wafer.phase ... load 0

    Example: test/Dialect/Wafer/merge-loads.mlir
  }];
  let statistics = [Statistic<"loadsMerged", "loads merged", "Loads that an earlier one stands for">];
}

def PlaceWafer : Pass<"wafer-place", "::wafer::wfr::ProgramOp"> {
  let summary = "Give the program's grid a place on the machine";
  let description = [{
    Sets the origin of every phase's grid, so that routes can be laid. Weights and inputs enter at the north edge, so the grid begins in row 0; of the columns
    the first ones are taken. Requires the phases of a load to have one shape: its images and
    routes serve them all. Afterwards columns * groups and rows lie inside the
    machine. Leaves everything else alone. Fails with both shapes when phases differ, and with the numbers when the grid is larger than the machine or an
    image has more control tasks than a core has room for.

    Before:   wafer.phase <x0 = 3, y0 = 1, columns = 2, rows = 3, ...>
    After:    wafer.phase <x0 = 0, y0 = 0, columns = 2, rows = 3, ...>

    Example: test/Dialect/Wafer/place.mlir
  }];
  let statistics = [Statistic<"coresUsed", "cores used", "Cores of the grid">];
}

def RouteWafer : Pass<"wafer-route", "::wafer::wfr::ProgramOp"> {
  let summary = "Turn channels into colors, routes and regions";
  let description = [{
    Replaces each `wafer.channel` by one color, or by two that alternate by the parity of the column in its group (chains) or of the row (relays), writes the
    routing entries as strided rectangles, and makes a `wafer.region` for every class of cores whose descriptors differ: first and last column, parity,
    columns with fewer valid features. The number of classes does not depend on the size of the machine. Requires placed grids. Afterwards no channel is left;
    descriptors, images and steps name colors. Leaves code, buffers and the schedule's order alone, and a program without channels.

    Before:   wafer.channel @psum <chain_east>
    After:    wafer.color @psum_0   wafer.color @psum_1
              wafer.route @psum_1 at <0, 0 size 4, 5 step 2, 1> from <ramp> to [#wafer.dir<E>] ...
              wafer.region @wafer.columns_0_even_rows at <0, 0 size 1, 3 step 7, 2> image @core { wafer.override @from_west "const" base 0 ... }

    Example: test/Dialect/Wafer/route.mlir
  }];
  let statistics = [Statistic<"regionsMade", "regions", "Classes of cores">, Statistic<"routesMade", "routes", "Routing rectangles">];
}

def AssignColors : Pass<"wafer-assign-colors", "::wafer::wfr::ProgramOp"> {
  let summary = "Number the colors";
  let description = [{
    Gives each `wafer.color` without a number the lowest free one, so that routers can tell channels apart. Requires routes. Afterwards numbers are unique and
    below the machine's colors. Leaves numbers that are there alone. Fails, naming how many colors the program and the machine have. Two colors never share a
    number, even if their routes are apart: a program needs about ten.

    Before:   wafer.color @psum_0   wafer.color @psum_1 number 0
    After:    wafer.color @psum_0 number 1   wafer.color @psum_1 number 0

    Example: test/Dialect/Wafer/assign-colors.mlir
  }];
  let statistics = [Statistic<"colorsUsed", "colors used", "Colors of the program">];
}

def AllocateSram : Pass<"wafer-allocate-sram", "::wafer::wfr::ProgramOp"> {
  let summary = "Give the buffers addresses";
  let description = [{
    Places the buffers of each image behind its code and descriptor templates, accumulators in the accumulator cache, largest first at the lowest address
    where no buffer that lives at the same time lies. Requires the image's code and descriptors to be complete. Afterwards every buffer has an 8-byte aligned
    address inside the core's memory. Leaves addresses that are there alone. Fails with what is needed, what the machine has and the largest buffers.

    Before:   wafer.buffer @x bytes 64 live 0, 2   wafer.buffer @y bytes 32 live 3, 5
    After:    wafer.buffer @x bytes 64 live 0, 2 at 512   wafer.buffer @y bytes 32 live 3, 5 at 512

    Example: test/Dialect/Wafer/allocate-sram.mlir
  }];
  let statistics = [Statistic<"sramBytes", "SRAM bytes", "Highest byte used on a core">];
}

#endif
