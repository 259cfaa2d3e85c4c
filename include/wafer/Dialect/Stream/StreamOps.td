//===- StreamOps.td - programs, segments and kernels -----------------------===//

#ifndef WAFER_DIALECT_STREAM_STREAMOPS_TD
#define WAFER_DIALECT_STREAM_STREAMOPS_TD

include "wafer/Dialect/Stream/StreamDialect.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Stream_Op<string mnemonic, list<Trait> traits = []> : Op<Stream_Dialect, mnemonic, traits>;

/// Tokens x features, static shape; the encoding is a #stream.layout once the layout is assigned.
def Stream_Block : ConfinedType<AnyRankedTensor, [CPred<"::llvm::cast<::mlir::RankedTensorType>($_self).getRank() == 2">,
    CPred<"::llvm::cast<::mlir::RankedTensorType>($_self).hasStaticShape()">], "two-dimensional tensor of static shape, tokens x features">;

def Stream_ProgramOp : Stream_Op<"program", [Symbol, SymbolTable, IsolatedFromAbove, NoTerminator, SingleBlock, NoRegionArguments]> {
  let summary = "what runs where, in order";
  let description = [{
    (program_c1) The body holds `stream.tensor`, `stream.segment`, `stream.call` and the `func.func` that calls name, nothing else.

    ```mlir
    stream.program @forward machine "small" { ... }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$machine);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `machine` $machine attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Stream_TensorOp : Stream_Op<"tensor", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "a tensor that MemoryX holds";
  let description = [{
    `stream.tensor @fc1.weight <weight> : tensor<64x64xf32>`. Type and shape are those of the outside (safetensors, the caller's arrays).
    `nonzeros` says how many elements are not zero, when that is known, and `encoding`, a `#sparse_tensor.encoding`, where they lie.
    A state keeps its value from run to run; `updates` names the state that has the tensor's value after the run.
    (tensor_c1) The type is a ranked tensor with static shape and no encoding. (tensor_c2) There are no more nonzeros than elements.
    (tensor_c3) What `updates` names is a state of the same type, and the tensor is an output or intermediate.
    (tensor_c4) `encoding` is one of sparse_tensor, for as many dimensions as the tensor has, and goes with `nonzeros`.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Stream_RoleAttr:$role, TypeAttrOf<AnyRankedTensor>:$type, OptionalAttr<I64Attr>:$nonzeros,
    OptionalAttr<AnyAttr>:$encoding, OptionalAttr<FlatSymbolRefAttr>:$updates);
  let assemblyFormat = "$sym_name $role `:` $type (`nonzeros` $nonzeros^)? (`encoding` $encoding^)? (`updates` $updates^)? attr-dict";
  let builders = [OpBuilder<(ins "::mlir::StringAttr":$name, "RoleAttr":$role, "::mlir::TypeAttr":$type), [{
    build($_builder, $_state, name, role, type, ::mlir::IntegerAttr(), ::mlir::Attribute(), ::mlir::FlatSymbolRefAttr());
  }]>];
  let hasVerifier = 1;
}

def Stream_SegmentOp : Stream_Op<"segment", [HasParent<"ProgramOp">, NoTerminator, SingleBlock, NoRegionArguments]> {
  let summary = "kernels that run on the wafer, one after another, over one grid of cores";
  let description = [{
    The tokens may be `batches` entries of equally many tokens; a micro-batch then holds tokens of one entry, so that each entry can have weights of its own.
    A map's temporaries hold some rows of a block at a time, `chunks` bytes of each or a little more.
    Where SRAM has room, what leaves for MemoryX keeps its place until the next value leaves, so that kernels go on meanwhile; in a `compact` segment it gives it up at once.

    Where the code of its kernels does not fit into a core, or they have too many tasks, it is spread over `loads`, which follow one another while values stay where they are.

    (segment_c1) Every value in a segment has the same number of tokens.
    (segment_c2) With a grid, every value has a layout and columns * feature_block covers its features.
    (segment_c3) With a grid, groups * rows * token_block * micro_batches covers the tokens, each entry with its own micro-batches.
    (segment_c4) The body holds kernels, nothing else.
    (segment_c5) `batches` divides the tokens; the grid's `batches_at_once` divides `batches` and groups * bands, and `batches` / `batches_at_once` the micro-batches.
    (segment_c6) With more than one band, no contraction and no sample has batch sizes: all rows of a column are streamed the same.
    (segment_c7) A grid of several loads has one micro-batch.
  }];
  let arguments = (ins OptionalAttr<Stream_GridAttr>:$grid, DefaultValuedAttr<I64Attr, "1">:$batches, DefaultValuedAttr<I64Attr, "4096">:$chunk_bytes,
    UnitAttr:$compact, DefaultValuedAttr<I64Attr, "1">:$loads);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "(`batches` $batches^)? (`grid` $grid^)? (`chunks` $chunk_bytes^)? (`compact` $compact^)? (`loads` $loads^)? attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
}

def Stream_CallOp : Stream_Op<"call", [HasParent<"ProgramOp">]> {
  let summary = "run a function in MemoryX";
  let description = [{
    `stream.call @topk [@scores] -> [@values] reason "no wafer kernel for linalg.index"`. (call_c1) The callee is a `func.func` of the program whose types are those of the tensors.
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, FlatSymbolRefArrayAttr:$inputs, FlatSymbolRefArrayAttr:$outputs, StrAttr:$reason);
  let assemblyFormat = "$callee $inputs `->` $outputs `reason` $reason attr-dict";
  let hasVerifier = 1;
}

class Stream_Kernel<string mnemonic, list<Trait> traits = []> : Stream_Op<mnemonic, !listconcat([HasParent<"SegmentOp">], traits)>;

def Stream_SendOp : Stream_Kernel<"send"> {
  let summary = "MemoryX sends a tensor to the wafer";
  let description = [{
    `%x = stream.send @x : tensor<360x64xf16>`. The MemoryX tensor's elements in row-major order are tokens x features; elements are converted. A tensor of fewer
    tokens is repeated: a mask of queries x keys goes to every batch entry and head. With `ahead` its words come beside the kernels behind it, with what those leave of the link, up to the
    first that reads the value, another send, or the end of its load. With `parts [3, 2]` three features of each core do, two more beside all kernels of the next load, and the others beside those that the one behind it begins with.
    (send_c1) The value has as many elements as the named tensor, or a multiple, in whole tokens.
    (send_c2) The named tensor is not a weight: weights are streamed and never kept. (send_c3) `parts` go with `ahead`, are at least one feature each, and leave one.
  }];
  let arguments = (ins FlatSymbolRefAttr:$tensor, UnitAttr:$ahead, OptionalAttr<DenseI64ArrayAttr>:$parts);
  let results = (outs Stream_Block:$result);
  let assemblyFormat = "(`ahead` $ahead^)? (`parts` $parts^)? $tensor attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Stream_ReceiveOp : Stream_Kernel<"receive"> {
  let summary = "MemoryX receives a value";
  let description = [{ `stream.receive %y, @output : tensor<360x10xf32>`. (receive_c1) The named tensor has as many elements; they are converted by MemoryX.
    (receive_c2) The named tensor is an output or an intermediate. }];
  let arguments = (ins Stream_Block:$value, FlatSymbolRefAttr:$tensor);
  let assemblyFormat = "$value `,` $tensor attr-dict `:` type($value)";
  let hasVerifier = 1;
}

def Stream_ContractOp : Stream_Kernel<"contract", [Pure]> {
  let summary = "Y[t, n] = sum_k W[n, k] X[t, k] + bias[n], W streamed from MemoryX, arrival triggers the FMAC";
  let description = [{
    ```mlir
    %y = stream.contract %x, @fc1.weight bias @fc1.bias wire <packed16>
        {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<360x64xf16> -> tensor<360x10xf16>
    ```
    W[n, k] is element offset + n*row_stride + k*column_stride of the weight in row-major order. W may be any tensor that MemoryX holds: a weight, or an
    activation that is contracted with another one. `batch_sizes` and `batch_strides` give each batch entry of the segment a W of its own: entry e, in digits
    of the sizes with the last one fastest, adds digit * stride to the offset. Without them all entries share W. `input_zeros`, in thousandths, is the part of X that
    is expected to be 0; where it is given, a weight is not multiplied by zeros. `guard` names a tensor of the
    same tokens: where all features of a token are 0 there, they are 0 in X, and while all of it is 0 W is not streamed, only the commands of its rows.
    `link` is the form of its rows between MemoryX and the edge of the wafer; without it they travel as wavelets.
    With a mask, Y[t, n] and its bias are computed only where the mask is not 0, and elsewhere Y is 0: for results that something drops, such as scores that a causal
    mask hides. `output_zeros`, in thousandths, is the part of the mask that is expected to be 0:

    ```mlir
    %s = stream.contract %q, @keys mask %m {output_zeros = 495 : i64, ...} : tensor<128x64xf16>, tensor<128x128xi8> -> tensor<128x128xf16>
    ```
    `rows_together`: so many rows of one column have their sums passed on together (include/wafer/Machine/RowOrder.h); one by one without it.

    (contract_c1) Input and result have the same tokens. (contract_c2) The strides stay inside the weight. (contract_c3) The bias has as many elements as the result has features.
    (contract_c4) dense32 and indexed32 go with f32 input, packed16 and indexed16 with f16 or bf16 input, packed8 and indexed16 with i8 input.
    (contract_c6) i8 input has an i32 result, which is exact, and no bias; and only i8 input has one.
    (contract_c7) `input_zeros` is from 1 to 1000.
    (contract_c8) `guard` names a tensor that is no weight and of which each token has equally many elements, and goes with `input_zeros`.
    (contract_c9) The mask has the type of the result but for its elements, and goes with `output_zeros`, which is from 1 to 1000.
    (contract_c5) There are as many batch sizes as strides, and their product is the segment's `batches`.
  }];
  let arguments = (ins Stream_Block:$input, FlatSymbolRefAttr:$weight, OptionalAttr<FlatSymbolRefAttr>:$bias, OptionalAttr<Stream_WireFormatAttr>:$wire,
    OptionalAttr<Stream_LinkAttr>:$link, I64Attr:$row_stride, I64Attr:$column_stride, I64Attr:$offset, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$batch_sizes,
    DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$batch_strides, OptionalAttr<I64Attr>:$input_zeros, OptionalAttr<FlatSymbolRefAttr>:$guard, Optional<Stream_Block>:$mask,
    OptionalAttr<I64Attr>:$output_zeros, OptionalAttr<I64Attr>:$rows_together);
  let results = (outs Stream_Block:$result);
  let assemblyFormat = "$input `,` $weight (`bias` $bias^)? (`mask` $mask^)? (`wire` $wire^)? (`link` $link^)? attr-dict `:` type($input) (`,` type($mask)^)? `->` type($result)";
  let hasVerifier = 1;
}

def Stream_SampleOp : Stream_Kernel<"sample"> {
  let summary = "G[n, k] = sum_t D[t, n] X[t, k], where the pattern is not 0 if there is one, and 0 elsewhere; G leaves for MemoryX";
  let description = [{
    ```mlir
    stream.sample %d, %x pattern @fc1.kept into @fc1.gradient {row_stride = 64 : i64, column_stride = 1 : i64, offset = 0 : i64} : tensor<360x10xf16>, tensor<360x64xf16>
    ```
    The gradient of a weight. Of a sparse one only sums that the pattern keeps are computed, and only they are sent. G[n, k] and its pattern are element
    offset + n*row_stride + k*column_stride of the named tensors.
    Without X it is 1 for each token, and G is the sum of D. `batch_sizes` and `batch_strides` give each batch entry of the segment a G of its own, as they give a contraction a W.
    (sample_c1) D and X have the same tokens and element type. (sample_c2) The pattern is of i8 and as large as G, which is of f32. (sample_c3) The strides stay inside.
    With `groups_added` the sums of the grid's groups are added on the wafer, below the grid, and leave once; else each group's leave, and MemoryX adds them.
    (sample_c6) There are as many batch sizes as strides, their product is the segment's `batches`, and there is no pattern beside them.
    (sample_c7) `groups_added` goes with a grid of several groups, which do not hold batch entries with a G of their own at a time.
  }];
  let arguments = (ins Stream_Block:$rows, Optional<Stream_Block>:$input, OptionalAttr<FlatSymbolRefAttr>:$pattern, FlatSymbolRefAttr:$tensor, I64Attr:$row_stride, I64Attr:$column_stride,
    I64Attr:$offset, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$batch_sizes, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$batch_strides, UnitAttr:$groups_added);
  let assemblyFormat = "$rows (`,` $input^)? (`pattern` $pattern^)? `into` $tensor (`groups_added` $groups_added^)? attr-dict `:` type($rows) (`,` type($input)^)?";
  let extraClassDeclaration = [{
    /// Features of X.
    int64_t getColumns() { return getInput() ? getInput().getType().getDimSize(1) : 1; }
    /// Whether groups that hold `batches_at_once` batch entries at a time have sums for the same G.
    bool mayAddGroups(int64_t batchesAtOnce) { return getBatchSizes().empty() || batchesAtOnce == 1; }
  }];
  let hasVerifier = 1;
}

def Stream_AttendOp : Stream_Kernel<"attend", [Pure, AttrSizedOperandSegments]> {
  let summary = "attention of tokens to those of their batch entry, or its gradient; keys and values pass from core to core";
  let description = [{
    ```mlir
    %o = stream.attend %qkv heads 32 scale 1.250000e-01 causal : tensor<65536x12288xf16> -> tensor<65536x4096xf16>
    %g = stream.attend %qkv gradient %d : tensor<65536x4096xf16> heads 32 scale 1.250000e-01 causal : tensor<65536x12288xf16> -> tensor<65536x12288xf16>
    ```
    As graph.attend and graph.attend_gradient, `rotated %table` too, with twice the features of a result or as many, for the segment's batch entries. Nothing is streamed from MemoryX.
    (attend_c4) Operands and result have the same tokens and element type; %qkv has three times the features of the other one, which are a multiple of the heads; the gradient's result is as %qkv.
    (attend_c5) On a grid, the columns divide heads * across and are a multiple of `across`, so that a head lies in one column, or in two neighbours, and each batch entry has one band of a group of columns to itself, all of whose cores have as many tokens.
  }];
  let arguments = (ins Stream_Block:$qkv, Optional<Stream_Block>:$gradient, Optional<Stream_Block>:$rotation, I64Attr:$heads, DefaultValuedAttr<I64Attr, "1">:$across, F32Attr:$scale, UnitAttr:$causal);
  let results = (outs Stream_Block:$result);
  let assemblyFormat = [{
    $qkv (`gradient` $gradient^ `:` type($gradient))? (`rotated` $rotation^ `:` type($rotation))? `heads` $heads (`across` $across^)? `scale` $scale (`causal` $causal^)? attr-dict `:` type($qkv) `->` type($result)
  }];
  let extraClassDeclaration = [{
    /// What columns have of heads: a head, or a part of one.
    int64_t numParts() { return static_cast<int64_t>(getHeads() * getAcross()); }
    /// Whether what the kernel makes of queries, keys and values, and a gradient, may take their place.
    bool isInPlace();
  }];
  let hasVerifier = 1;
}

def Stream_ScaleOp : Stream_Kernel<"scale", [Pure]> {
  let summary = "Y[t, n] = gamma[n] X[t, n] + beta[n], gamma and beta streamed";
  let description = [{
    `%y = stream.scale %x gamma @ln.weight beta @ln.bias wire <packed16> : tensor<8x64xf16> -> tensor<8x64xf16>`. A missing gamma is 1, a missing beta 0.
    (scale_c1) gamma and beta have as many elements as there are features. (scale_c2) At least one of them is there. (scale_c3) As contract_c4.
  }];
  let arguments = (ins Stream_Block:$input, OptionalAttr<FlatSymbolRefAttr>:$gamma, OptionalAttr<FlatSymbolRefAttr>:$beta, OptionalAttr<Stream_WireFormatAttr>:$wire);
  let results = (outs Stream_Block:$result);
  let assemblyFormat = "$input (`gamma` $gamma^)? (`beta` $beta^)? (`wire` $wire^)? attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Stream_MapOp : Stream_Kernel<"map", [Pure, SingleBlock, IsolatedFromAbove]> {
  let summary = "pointwise work, local to each core";
  let description = [{
    ```mlir
    %z = stream.map %y, %m : (tensor<8x64xf16>, tensor<8x1xf32>) -> tensor<8x64xf16> {
    ^bb0(%a: f16, %b: f32):
      ...
      stream.yield %r : f16
    }
    ```
    The body uses arith and math operations on scalars; constants are inside. An operand with one feature is repeated over the features of the result.
    (map_c1) Operands have the result's tokens, and the result's features or one feature. (map_c2) Block arguments have the operands' element types, the yielded value the result's.
    (map_c3) Every body operation has a machine instruction (see the table in docs/spec/isa.md).
  }];
  let arguments = (ins Variadic<Stream_Block>:$inputs);
  let results = (outs Stream_Block:$result);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$inputs attr-dict `:` functional-type($inputs, $result) $body";
  let hasVerifier = 1;
  let hasFolder = 1;
  let hasCanonicalizer = 1;
}

def Stream_YieldOp : Stream_Op<"yield", [Pure, Terminator, HasParent<"MapOp">]> {
  let summary = "result of a map body";
  let arguments = (ins AnyType:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Stream_ReduceOp : Stream_Kernel<"reduce", [Pure]> {
  let summary = "combine the features of each token; every column gets the result";
  let description = [{
    `%m = stream.reduce <max> %y : tensor<8x10xf32> -> tensor<8x1xf32>`. Order: inside a core by increasing feature, then over columns from the west; in the result's element type.
    (reduce_c1) The result has the input's tokens and one feature.
  }];
  let arguments = (ins Stream_CombinerAttr:$combiner, Stream_Block:$input);
  let results = (outs Stream_Block:$result);
  let assemblyFormat = "$combiner $input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

#endif
