//===- Passes.td - passes on the stream dialect ----------------------------===//

#ifndef WAFER_DIALECT_STREAM_TRANSFORMS_PASSES_TD
#define WAFER_DIALECT_STREAM_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def FuseMaps : Pass<"stream-fuse-maps", "::wafer::stream::ProgramOp"> {
  let summary = "Merge chains of maps into one map";
  let description = [{
    Merges a `stream.map` into the map that reads it when nobody else does, and removes maps that pass their operand through. The value between them is then
    never stored: that saves SRAM, a command, and with 16-bit precision a rounding.

    Works on any segment without a layout. Afterwards nothing is computed twice: a map with several readers, and a map of one feature per token that is
    repeated over features, stay. A body stays below `max-operations`, because a core has few descriptor registers and the map's code lies in its SRAM.

    Before:   %1 = stream.map %0 { negf }   %2 = stream.map %1 { exp }
    After:    %2 = stream.map %0 { negf, exp }

    Example: test/Dialect/Stream/fuse-maps.mlir
  }];
  let options = [Option<"maxOperations", "max-operations", "unsigned", "24", "Largest number of operations and operands of a merged map">];
  let statistics = [Statistic<"fused", "maps fused", "Maps merged into their reader">];
}

def SetPrecision : Pass<"stream-set-precision", "::wafer::stream::ProgramOp"> {
  let summary = "Store values on the wafer in 16 bits";
  let description = [{
    Changes the element type of f32 values in segments to `type`. The wafer multiplies 16-bit numbers eight times as fast as f32, and they take half the SRAM
    and half the links.

    Needs segments without wire formats. Afterwards the inputs of contractions and scales, and with them the streamed weights, are of the type, sums stay in
    f32 (docs/spec/machine.md), bodies of maps compute in f32 between extf and truncf, and so a number is rounded once per stored value. Results of reductions,
    maps of one feature per token, and values that only reductions read stay f32: they are small or cancel. MemoryX keeps f32: tensors of the program and
    functions are left alone, conversion happens at send and receive. Values that are not f32 stay as they are. "f32" changes nothing.

    `type` may go on with others for operations by name, as in "f16,fc1=f32,layers.*.attn=bf16": a pattern fits the name of an operation in reports, or the path
    of a module that it is in; the last one that fits counts. An operation's result, and what it multiplies, are of its type; a value that comes from an
    operation of another type is converted by a map before it is multiplied.

    Before:   %0 = stream.send @x : tensor<8x64xf32>
    After:    %0 = stream.send @x : tensor<8x64xf16>

    Example: test/Dialect/Stream/set-precision.mlir
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let options = [Option<"type", "type", "std::string", "\"f16\"", "Type of stored values: f16, bf16 or f32; then perhaps ,PATTERN=TYPE for operations by name">];
}

def FindZeros : Pass<"stream-find-zeros", "::wafer::stream::ProgramOp"> {
  let summary = "Find activations that have zeros, and pass over them";
  let description = [{
    Zeros arise where a maximum or a select has the constant 0, where a comparison is a factor, and where the exponential of something masked by minus infinity is taken;
    products, conversions and functions that are 0 at 0 pass them on, also through MemoryX where it keeps a value between segments, works element by element or only moves elements. A contraction whose input
    may have zeros gets `input_zeros`: its weights are then multiplied by what is not 0. An intermediate tensor that is streamed and may have zeros gets
    `nonzeros`, by which stream-choose-wire-format decides.

    Where zeros are those of whole tokens, and certain wherever a tensor that MemoryX has is 0 (the share of an expert), that tensor becomes the contraction's
    `guard`: its weights are not streamed while no token needs them.

    How many zeros there will be is not known here: `zeros` thousandths are expected. A contraction that has `input_zeros`, and a tensor that has `nonzeros`, stay as
    they are.

    Before:   %r = stream.map %h { maximumf %a, 0 }   %y = stream.contract %r, @w {...}
    After:    %y = stream.contract %r, @w {input_zeros = 500, ...}

    Example: test/Dialect/Stream/find-zeros.mlir
  }];
  let options = [Option<"zeros", "zeros", "unsigned", "500", "Thousandths of such activations that are expected to be 0, at least 1 and at most 1000">];
  let statistics = [Statistic<"skipping", "contractions that skip", "Contractions whose input may have zeros">,
                    Statistic<"guarded", "contractions with a guard", "Contractions whose weights are not streamed while no token needs them">,
                    Statistic<"sparse", "sparse tensors", "Streamed activations that may have zeros">];
}

def ChooseWireFormat : Pass<"stream-choose-wire-format", "::wafer::stream::ProgramOp"> {
  let summary = "Decide how weights travel";
  let description = [{
    Gives each `stream.contract` and `stream.scale` without a wire format one: dense32 for f32 input, packed16 for f16 and bf16 input, which puts two weights
    into a wavelet, packed8 for i8 input, which puts four, or indexed16 and indexed32 when at most half of a contraction's weights (of i8 a quarter) are not zero: then only those are sent, each with its index, and each one
    triggers one FMAC. With `format` another format is taken wherever it goes with the input's type (contract_c4).

    Works on any program. Afterwards every contract and scale has a wire format, but for contractions whose weight has some zeros and fewer than half: what is best
    for those depends on the tokens of a core, and stream-assign-layout decides. Formats that are there stay.

    Before:   %1 = stream.contract %0, @w {...} : tensor<8x64xf16> -> ...
    After:    %1 = stream.contract %0, @w wire <packed16> {...} : tensor<8x64xf16> -> ...

    Example: test/Dialect/Stream/choose-wire-format.mlir
  }];
  let options = [Option<"format", "format", "std::string", "\"\"", "dense32, packed16 or indexed16 where it fits; empty: by type and nonzeros">];
}

def AssignLayout : Pass<"stream-assign-layout", "::wafer::stream::ProgramOp"> {
  let summary = "Choose the shape of cores and how values lie on it";
  let description = [{
    Gives each segment a grid and each value a `#stream.layout`. Compares grids by the cycles that lib/Analysis/ContractionCost.h estimates for them: columns
    per group, groups, rows, tokens per core and micro-batches. Equal costs are decided by fewer padded tokens, then fewer cores. A segment
    that adds over tokens (stream.sample) has none that are padded.

    Needs wire formats (stream-choose-wire-format), and the program's machine must be known. Each segment has a grid of its own. Two accumulators of a core's tokens fit the accumulator cache, live
    values and an estimate of the code fit the SRAM. A value of one feature per token is a copy in every column (feature_block = 0) when it comes from a
    reduction; where the other kind is needed a kernel that spreads or narrows it is inserted. Element types and the order of kernels are untouched, but for sends: where values have
    room, one goes `ahead` of contractions, attention and sums in front of the kernel that reads it, which leave the link free. A segment whose
    values do not fit even with one token per core is cut in two, and what crosses goes by way of MemoryX; fails, with the numbers, when that happens to a single
    kernel. Where a faster grid fits once some values are computed or sent again, shortly before they are needed, instead of kept, they are, if the cycles that this takes
    leave a gain.

    Before:   stream.segment { %0 = stream.send @x : tensor<8x64xf16> ... }
    After:    stream.segment grid <columns = 16, ...> { %0 = stream.send @x : tensor<8x64xf16, #stream.layout<feature_block = 4>> ... }

    Example: test/Dialect/Stream/assign-layout.mlir
  }];
  let options = [Option<"decisionTrace", "decision-trace", "std::string", "\"\"", "File to which every candidate is appended, one JSON object a line">,
                 Option<"choicesOnly", "choices-only", "bool", "false", "Append the chosen candidate of each segment alone">,
                 Option<"traceWithin", "trace-within", "double", "0", "Append candidates that fit and take at most so many times the cycles of the best one; 0: all">];
  let statistics = [Statistic<"candidates", "grids compared", "Grids whose cost was estimated">,
                    Statistic<"segmentsSplit", "segments split", "Segments that were cut because their values did not fit">,
                    Statistic<"segmentsShortened", "segments that compute again", "Segments in which values are made again instead of kept">];
}

def MaskOutputs : Pass<"stream-mask-outputs", "::wafer::stream::ProgramOp"> {
  let summary = "Find results that are dropped, and do not compute them";
  let description = [{
    Where the only reader of a contraction's result is a map that puts a number in the place of some results (a select with a constant, such as the gradient of a ReLU), or
    adds minus infinity to them (a causal mask), what decides becomes a map of its own before the contraction: 1 where the result counts. The contraction gets it as its
    mask, with `output_zeros`. What the map gives for the others is the same for any finite result.

    Runs after stream-assign-layout, whose grid stays. A contraction gets a mask where that takes fewer cycles by the estimate of lib/Analysis/ContractionCost.h, the making of the
    mask included, and where there is SRAM for it. How many results are hidden is counted where the mask is a constant; elsewhere `zeros` thousandths are expected. Contractions that have a mask stay as they are.

    Before:   %y = stream.contract %x, @w {...}   %z = stream.map %m, %y { select(%m != 0, %y, 0) }
    After:    %k = stream.map %m { %m != 0 }   %y = stream.contract %x, @w mask %k {output_zeros = 500, ...}   %z = ...

    Example: test/Dialect/Stream/mask-outputs.mlir
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let options = [Option<"zeros", "zeros", "unsigned", "500", "Thousandths of such results that are expected to be dropped, at least 1 and at most 1000">];
  let statistics = [Statistic<"masked", "contractions with a mask", "Contractions of which some results are not computed">];
}

#endif // WAFER_DIALECT_STREAM_TRANSFORMS_PASSES_TD
