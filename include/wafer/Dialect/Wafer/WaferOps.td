//===- WaferOps.td - sections of the machine program ------------------------===//

#ifndef WAFER_DIALECT_WAFER_WAFEROPS_TD
#define WAFER_DIALECT_WAFER_WAFEROPS_TD

include "wafer/Dialect/Wafer/WaferDialect.td"
include "wafer/Dialect/Stream/StreamDialect.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"

class Wafer_Op<string mnemonic, list<Trait> traits = []> : Op<Wafer_Dialect, mnemonic, traits>;
class Wafer_Body<string mnemonic, list<Trait> traits = []>
    : Wafer_Op<mnemonic, !listconcat([NoTerminator, SingleBlock, NoRegionArguments], traits)> {
  let regions = (region SizedRegion<1>:$body);
}

def Wafer_ProgramOp : Wafer_Body<"program", [Symbol, SymbolTable, IsolatedFromAbove]> {
  let summary = "a machine program";
  let description = [{ `wafer.program @forward machine "small" { ... }` holds tensors, channels, colors, images, regions, routes, functions (`func.func`) and one entry per entry point. }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$machine);
  let assemblyFormat = "$sym_name `machine` $machine attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Wafer_TensorOp : Wafer_Op<"tensor", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "a tensor that MemoryX holds";
  let description = [{ `wafer.tensor @fc1.weight <weight> : tensor<64x64xf32>`. `named` is its name outside, where that is not the symbol;
    `updates` names the state that has its value after a run of an entry that made it. (tensor_c1) The shape is static, and there is no encoding. }];
  let arguments = (ins SymbolNameAttr:$sym_name, Stream_RoleAttr:$role, TypeAttrOf<AnyRankedTensor>:$type, OptionalAttr<I64Attr>:$nonzeros,
    OptionalAttr<FlatSymbolRefAttr>:$updates, OptionalAttr<StrAttr>:$outside);
  let assemblyFormat = "$sym_name $role `:` $type (`nonzeros` $nonzeros^)? (`updates` $updates^)? (`named` $outside^)? attr-dict";
  let hasVerifier = 1;
}

def Wafer_ChannelOp : Wafer_Op<"channel", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "an abstract channel of the program's grid; wafer-route replaces it by colors and routes";
  let description = [{ `wafer.channel @command <column_multicast> weight` ; `weight` says that MemoryX sends weights on it. }];
  let arguments = (ins SymbolNameAttr:$sym_name, Wafer_ChannelKindAttr:$kind, UnitAttr:$weight);
  let assemblyFormat = "$sym_name $kind (`weight` $weight^)? attr-dict";
}

def Wafer_ColorOp : Wafer_Op<"color", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "a router color; the number comes from wafer-assign-colors";
  let description = [{ `wafer.color @psum_east_0 number 4`, `wafer.color @command weight`. (color_c1) The number is below the machine's colors. (color_c2) No two colors share a number. }];
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<I64Attr>:$number, UnitAttr:$weight);
  let assemblyFormat = "$sym_name (`number` $number^)? (`weight` $weight^)? attr-dict";
  let hasVerifier = 1;
}

def Wafer_RouteOp : Wafer_Op<"route", [HasParent<"ProgramOp">]> {
  let summary = "a routing entry for each router of a rectangle";
  let description = [{
    `wafer.route @psum_east_0 at <1, 0 size 8, 16 step 2, 1> from <W> to [#wafer.dir<ramp>]`, with `load` as an image.
    (route_c1) In a load, no router has two entries of one color; `from` is not in `to`; `to` is not empty. Other rules of docs/spec/machine.md section 1 are checked at load.
  }];
  let arguments = (ins FlatSymbolRefAttr:$color, DefaultValuedAttr<I64Attr, "0">:$load, Wafer_RectAttr:$rect, Wafer_DirectionAttr:$from,
    TypedArrayAttrBase<Wafer_DirectionAttr, "directions">:$to);
  let assemblyFormat = "$color (`load` $load^)? `at` $rect `from` $from `to` $to attr-dict";
  let hasVerifier = 1;
}

def Wafer_ImageOp : Wafer_Body<"image", [Symbol, SymbolTable, HasParent<"ProgramOp">]> {
  let summary = "code, descriptor templates and buffers shared by cores";
  let description = [{ `wafer.image @main command @command { ... }`; `command` names a channel, after wafer-route a color. Code is laid out in the order of its tasks.
    Images and routes with the same `load` are on the wafer at the same time; a phase runs on the load that it names, and MemoryX loads it first.
    `start @task` names a control task that cores run when they are loaded, before anything arrives. (task_c6) It is a control task of the image. }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$command, DefaultValuedAttr<I64Attr, "0">:$load, OptionalAttr<FlatSymbolRefAttr>:$start);
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "::llvm::StringRef":$command, "int64_t":$load), [{
    build($_builder, $_state, name, command, static_cast<uint64_t>(load), ::mlir::FlatSymbolRefAttr());
  }]>];
  let assemblyFormat = "$sym_name `command` $command (`load` $load^)? (`start` $start^)? attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Wafer_BufferOp : Wafer_Op<"buffer", [Symbol, HasParent<"ImageOp">]> {
  let summary = "a range of SRAM, or of the accumulator cache";
  let description = [{
    `wafer.buffer @x bytes 256 live 0, 3 at 1024`, `wafer.buffer @acc0 bytes 64 live 0, 9 acc`, `wafer.buffer @value_3 bytes 64 live 0, 9 kept`. `live` is the first and last step (of the program's kernels, in order) that uses it; wafer-allocate-sram gives the address
    so that buffers that live at the same time do not overlap. Addresses are 8-byte aligned. What is `kept` has one address in all loads that continue one another. (buffer_c1) There is at least one byte, and first is not after last.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$bytes, I64Attr:$first, I64Attr:$last, UnitAttr:$acc, UnitAttr:$kept, OptionalAttr<I64Attr>:$address);
  let assemblyFormat = "$sym_name `bytes` $bytes `live` $first `,` $last (`acc` $acc^)? (`kept` $kept^)? (`at` $address^)? attr-dict";
  let hasVerifier = 1;
}

def Wafer_DescriptorOp : Wafer_Op<"descriptor", [Symbol, HasParent<"ImageOp">]> {
  let summary = "a descriptor template";
  let description = [{
    ```mlir
    wafer.descriptor @x_rows <mem> f16 on @x offset 0 extents [4, 1, 1, 2] strides [2, 0, 0, 1] per_core #wafer.per_core<valid_features, dimension = 0, features = 10>
    wafer.descriptor @in_e <receive> f32 on @psum_east extents [1, 1, 1, 2]
    wafer.descriptor @one <const> f32 value 1065353216
    ```
    `on` names a buffer (mem, acc) or a channel (receive, send; after wafer-route a color). A receive or send at a core where the channel has no such end (first and last column of a chain) becomes
    the constant `value` for a receive (default 0) and is an error for a send with elements. (descriptor_c1) mem and acc have a buffer, four extents and strides and stay inside it. (descriptor_c2) receive and send
    have a channel and extents. (descriptor_c3) const has a value and nothing else. (descriptor_c4) The type is one that instructions have, and extents and strides fit the machine's 16-bit fields.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Wafer_DescriptorKindAttr:$kind, TypeAttr:$type, OptionalAttr<FlatSymbolRefAttr>:$on, OptionalAttr<I64Attr>:$offset,
    OptionalAttr<DenseI64ArrayAttr>:$extents, OptionalAttr<DenseI64ArrayAttr>:$strides, OptionalAttr<I64Attr>:$value, OptionalAttr<Wafer_PerCoreAttr>:$per_core);
  let assemblyFormat = [{
    $sym_name $kind $type (`on` $on^)? (`offset` $offset^)? (`extents` $extents^)? (`strides` $strides^)? (`value` $value^)? (`per_core` $per_core^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Wafer_TaskOp : Wafer_Body<"task", [Symbol, HasParent<"ImageOp">]> {
  let summary = "straight-line code of pe operations";
  let description = [{
    `wafer.task @psum_east control 3 { pe.add ... pe.end }`, `wafer.task @weights data 0 { pe.fmacp f16 d1, d0  pe.end }`.
    (task_c1) Control numbers are unique in an image. (task_c3) The last operation is pe.end, and no other is. (task_c4) A data task is one trigger and pe.end.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Wafer_TaskKindAttr:$kind, I64Attr:$number);
  let assemblyFormat = "$sym_name $kind $number attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Wafer_RegionOp : Wafer_Body<"region", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "cores that run an image, with what differs from the templates";
  let description = [{ `wafer.region @middle at <1, 0 size 8, 16 step 2, 1> image @main { wafer.override ... }`. Made by wafer-route. }];
  let arguments = (ins SymbolNameAttr:$sym_name, Wafer_RectAttr:$rect, FlatSymbolRefAttr:$image);
  let assemblyFormat = "$sym_name `at` $rect `image` $image attr-dict-with-keyword $body";
}

def Wafer_OverrideOp : Wafer_Op<"override", [HasParent<"RegionOp">]> {
  let summary = "a template's field in this region: base + dx*i + dy*j at core (i, j)";
  let description = [{
    `wafer.override @in_rest extent2 = 15 + 0 * i + -1 * j`; `wafer.override @in_e color @psum_east_1`; `wafer.override @in_e const 0`. (override_c1) Field is one of color, const, extent0 to extent3, with its color or base.
  }];
  let arguments = (ins FlatSymbolRefAttr:$descriptor, StrAttr:$field, OptionalAttr<FlatSymbolRefAttr>:$color, OptionalAttr<I64Attr>:$base, OptionalAttr<I64Attr>:$dx, OptionalAttr<I64Attr>:$dy);
  let assemblyFormat = "$descriptor $field (`color` $color^)? (`base` $base^)? (`dx` $dx^)? (`dy` $dy^)? attr-dict";
  let hasVerifier = 1;
}

def Wafer_EntryOp : Wafer_Body<"entry", [Symbol, HasParent<"ProgramOp">]> {
  let summary = "the schedule of an entry point: phases and calls in order";
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefArrayAttr:$inputs, FlatSymbolRefArrayAttr:$outputs);
  let assemblyFormat = "$sym_name $inputs `->` $outputs attr-dict-with-keyword $body";
}

def Wafer_PhaseOp : Wafer_Body<"phase", [HasParent<"EntryOp">]> {
  let summary = "steps that MemoryX runs micro_batches times against one grid of cores";
  let description = [{ The first `prologue` steps, which are sends, run in the first micro-batch only: what they send is the same for all. A phase that `continues` is the same work with
    other code: SRAM is as the phase before left it. Buffers that both loads have by one name are the same there. }];
  let arguments = (ins Wafer_GridAttr:$grid, FlatSymbolRefAttr:$command, DefaultValuedAttr<I64Attr, "0">:$load, DefaultValuedAttr<I64Attr, "0">:$prologue, UnitAttr:$continues);
  let assemblyFormat = "$grid `command` $command (`load` $load^)? (`prologue` $prologue^)? (`continues` $continues^)? attr-dict-with-keyword $body";
}

def Wafer_CallOp : Wafer_Op<"call", [HasParent<"EntryOp">]> {
  let summary = "run a function in MemoryX";
  let arguments = (ins FlatSymbolRefAttr:$callee, FlatSymbolRefArrayAttr:$inputs, FlatSymbolRefArrayAttr:$outputs, StrAttr:$reason);
  let assemblyFormat = "$callee $inputs `->` $outputs `reason` $reason attr-dict";
}

// Steps: docs/spec/weight-stream.md section 2. Tasks are referenced as @image::@task.
class Wafer_Step<string mnemonic> : Wafer_Op<mnemonic, [HasParent<"PhaseOp">]>;

def Wafer_SendOp : Wafer_Step<"send"> {
  let summary = "MemoryX sends a tensor's blocks on a relay_in channel";
  let description = [{ `features`: of the value on the wafer, when that is not the tensor's last dimension. `beside`: the blocks may come among what so many steps behind it send. `from`: features of
    a column that another send brings; this one brings `block` behind those. }];
  let arguments = (ins FlatSymbolRefAttr:$tensor, DefaultValuedAttr<I64Attr, "0">:$features, TypeAttr:$type, I64Attr:$feature_block, DefaultValuedAttr<I64Attr, "0">:$offset, SymbolRefAttr:$task,
    FlatSymbolRefAttr:$channel, DefaultValuedAttr<I64Attr, "0">:$beside);
  let assemblyFormat = "$tensor (`features` $features^)? `as` $type `block` $feature_block (`from` $offset^)? `task` $task `on` $channel (`beside` $beside^)? attr-dict";
}
def Wafer_ReceiveOp : Wafer_Step<"receive"> {
  let summary = "MemoryX receives a tensor's blocks from a relay_out channel";
  let arguments = (ins FlatSymbolRefAttr:$tensor, DefaultValuedAttr<I64Attr, "0">:$features, TypeAttr:$type, I64Attr:$feature_block, SymbolRefAttr:$task,
    FlatSymbolRefAttr:$channel);
  let assemblyFormat = "$tensor (`features` $features^)? `as` $type `block` $feature_block `task` $task `on` $channel attr-dict";
}
def Wafer_CommandOp : Wafer_Step<"command"> {
  let summary = "control wavelets to every column";
  let arguments = (ins SymbolRefAttr:$task, DefaultValuedAttr<I64Attr, "1">:$times, DefaultValuedAttr<I64Attr, "0">:$macs);
  let assemblyFormat = "$task (`times` $times^)? (`macs` $macs^)? attr-dict";
  let builders = [OpBuilder<(ins "::mlir::SymbolRefAttr":$task), [{ build($_builder, $_state, task, 1, 0); }]>];
}
def Wafer_ContractOp : Wafer_Step<"contract"> {
  let summary = "stream a weight, row by row";
  let description = [{ `masks`: where rows of a mask pass the columns ahead of the weights that they are for; `output_zeros` thousandths of it are expected to be 0.
    `together`: so many rows of one owner have their sums passed on by one command. }];
  let arguments = (ins FlatSymbolRefAttr:$weight, OptionalAttr<FlatSymbolRefAttr>:$bias, TypeAttr:$type, Stream_WireFormatAttr:$wire, OptionalAttr<Stream_LinkAttr>:$link, I64Attr:$rows, I64Attr:$columns,
    I64Attr:$row_stride, I64Attr:$column_stride, I64Attr:$offset, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$batch_sizes,
    DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$batch_strides, I64Attr:$feature_block, I64Attr:$out_block,
    SymbolRefAttr:$task_east, SymbolRefAttr:$task_west, SymbolRefAttr:$task_own, OptionalAttr<SymbolRefAttr>:$task_bias, DefaultValuedAttr<I64Attr, "0">:$input_zeros,
    OptionalAttr<FlatSymbolRefAttr>:$guard, DefaultValuedAttr<I64Attr, "0">:$output_zeros, OptionalAttr<SymbolRefAttr>:$mask_east, OptionalAttr<SymbolRefAttr>:$mask_west,
    OptionalAttr<SymbolRefAttr>:$mask_own, OptionalAttr<SymbolRefAttr>:$mask_last, DefaultValuedAttr<I64Attr, "1">:$rows_together);
  let assemblyFormat = [{
    $weight (`bias` $bias^)? `as` $type `wire` $wire (`link` $link^)? `rows` $rows `columns` $columns `strides` $row_stride `,` $column_stride `offset` $offset (`batches` $batch_sizes^ `by` $batch_strides)? `blocks` $feature_block `,` $out_block
    `east` $task_east `west` $task_west `own` $task_own (`bias_task` $task_bias^)? (`together` $rows_together^)? (`masks` `east` $mask_east^ `west` $mask_west `own` $mask_own `last` $mask_last)? attr-dict
  }];
}
def Wafer_SampleOp : Wafer_Step<"sample"> {
  let summary = "sums over tokens, at kept positions if there is a pattern, which leave on a chain_south channel, or on a group_sums channel where groups are added";
  let arguments = (ins FlatSymbolRefAttr:$tensor, OptionalAttr<FlatSymbolRefAttr>:$pattern, TypeAttr:$type, I64Attr:$rows, I64Attr:$columns, I64Attr:$row_stride, I64Attr:$column_stride,
    I64Attr:$offset, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$batch_sizes, DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$batch_strides, I64Attr:$feature_block, I64Attr:$out_block, SymbolRefAttr:$task_east, SymbolRefAttr:$task_west, SymbolRefAttr:$task_own, SymbolRefAttr:$task_last,
    FlatSymbolRefAttr:$channel, UnitAttr:$groups_added);
  let assemblyFormat = [{
    $tensor (`pattern` $pattern^)? `as` $type `rows` $rows `columns` $columns `strides` $row_stride `,` $column_stride `offset` $offset (`batches` $batch_sizes^ `by` $batch_strides)? `blocks` $feature_block `,` $out_block
    `east` $task_east `west` $task_west `own` $task_own `last` $task_last `on` $channel (`groups_added` $groups_added^)? attr-dict
  }];
}
def Wafer_ScaleOp : Wafer_Step<"scale"> {
  let summary = "stream per-feature gamma and beta";
  let description = [{ (scale_c2) At least one of them is there. }];
  let arguments = (ins OptionalAttr<FlatSymbolRefAttr>:$gamma, OptionalAttr<FlatSymbolRefAttr>:$beta, TypeAttr:$type, Stream_WireFormatAttr:$wire, I64Attr:$rows, I64Attr:$out_block,
    SymbolRefAttr:$task_own, OptionalAttr<SymbolRefAttr>:$task_bias);
  let assemblyFormat = [{
    (`gamma` $gamma^)? (`beta` $beta^)? `as` $type `wire` $wire `rows` $rows `block` $out_block `own` $task_own (`bias_task` $task_bias^)? attr-dict
  }];
  let hasVerifier = 1;
}

#endif
