//===- WaferDialect.td - the wafer dialect and its attributes --------------===//

#ifndef WAFER_DIALECT_WAFER_WAFERDIALECT_TD
#define WAFER_DIALECT_WAFER_WAFERDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Wafer_Dialect : Dialect {
  let name = "wafer";
  let cppNamespace = "::wafer::wfr";
  let summary = "The machine program: images, regions, channels, routes, buffers, tasks, schedule";
  let description = [{
    One operation per entry of a section of the executable (include/wafer/Executable/wexe.fbs). A program starts abstract, with channels instead of routes and buffers without addresses, and passes make it
    concrete: `wafer-route`, `wafer-assign-colors`, `wafer-allocate-sram`. See docs/rationale/wafer.md.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::wafer::stream::StreamDialect", "::wafer::pe::PEDialect"];
}

class Wafer_Attr<string name, string attrMnemonic> : AttrDef<Wafer_Dialect, name> { let mnemonic = attrMnemonic; }
class Wafer_Enum<string name, string doc, list<I32EnumAttrCase> cases> : I32EnumAttr<name, doc, cases> {
  let cppNamespace = "::wafer::wfr";
  let genSpecializedAttr = 0;
}

def Wafer_GridAttr : Wafer_Attr<"Grid", "grid"> {
  let summary = "placed shape of cores of a phase";
  let description = [{ As `#stream.grid`, with the origin and the number of tokens. Group g begins at x0 + g*columns. }];
  let parameters = (ins "int64_t":$x0, "int64_t":$y0, "int64_t":$columns, "int64_t":$rows, "int64_t":$groups, "int64_t":$token_block, "int64_t":$tokens, "int64_t":$micro_batches);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Wafer_RectAttr : Wafer_Attr<"Rect", "rect"> {
  let summary = "cores x0 + i*sx, y0 + j*sy for i < nx, j < ny";
  let parameters = (ins "int64_t":$x0, "int64_t":$y0, "int64_t":$nx, "int64_t":$ny, "int64_t":$sx, "int64_t":$sy);
  let assemblyFormat = "`<` $x0 `,` $y0 `size` $nx `,` $ny `step` $sx `,` $sy `>`";
  let genVerifyDecl = 1;
}

def Wafer_ChannelKind : Wafer_Enum<"ChannelKind", "the shape of a channel on a grid", [
    I32EnumAttrCase<"ColumnMulticast", 0, "column_multicast">,   // north port -> every row of the column; one colour
    I32EnumAttrCase<"RelayIn", 1, "relay_in">,                   // north port -> row 0 -> row 1 ...; two colours by row parity
    I32EnumAttrCase<"RelayOut", 2, "relay_out">,                 // row 0 -> row 1 ... -> south port; two colours by row parity
    I32EnumAttrCase<"ChainEast", 3, "chain_east">,               // column c -> c + 1 of the group; two colours by column parity
    I32EnumAttrCase<"ChainWest", 4, "chain_west">,               // column c -> c - 1
    I32EnumAttrCase<"MulticastWest", 5, "multicast_west">]>;     // last column of the group -> all others of its row; one colour
def Wafer_ChannelKindAttr : EnumAttr<Wafer_Dialect, Wafer_ChannelKind, "channel_kind"> { let assemblyFormat = "`<` $value `>`"; }

def Wafer_DescriptorKind : Wafer_Enum<"DescriptorKind", "as wexe.DescKind", [
    I32EnumAttrCase<"Mem", 0, "mem">, I32EnumAttrCase<"Acc", 1, "acc">, I32EnumAttrCase<"Receive", 2, "receive">, I32EnumAttrCase<"Send", 3, "send">,
    I32EnumAttrCase<"Const", 4, "const">]>;
def Wafer_DescriptorKindAttr : EnumAttr<Wafer_Dialect, Wafer_DescriptorKind, "kind"> { let assemblyFormat = "`<` $value `>`"; }

def Wafer_PerCoreKind : Wafer_Enum<"PerCoreKind", "an extent that differs from core to core", [
    I32EnumAttrCase<"RowsBefore", 0, "rows_before">,             // y - y0: blocks that come from the north on the way out
    I32EnumAttrCase<"RowsAfter", 1, "rows_after">,               // y0 + rows - 1 - y: blocks to pass on on the way in
    I32EnumAttrCase<"ValidFeatures", 2, "valid_features">,       // min(feature_block, max(0, features - column*feature_block))
    I32EnumAttrCase<"LastColumn", 3, "last_column">,             // as written in the group's last column, 0 elsewhere
    I32EnumAttrCase<"NotLastColumn", 4, "not_last_column">]>;    // 0 in the group's last column, as written elsewhere
def Wafer_PerCoreAttr : Wafer_Attr<"PerCore", "per_core"> {
  let summary = "extent `dimension` of a descriptor has this value, per core";
  let description = [{ `#wafer.per_core<rows_after, dimension = 2>`, `#wafer.per_core<valid_features, dimension = 0, features = 10, feature_block = 4>` }];
  let parameters = (ins EnumParameter<Wafer_PerCoreKind>:$kind, "int64_t":$dimension, DefaultValuedParameter<"int64_t", "0">:$features,
    DefaultValuedParameter<"int64_t", "0">:$feature_block);
  let assemblyFormat = "`<` $kind `,` struct($dimension, $features, $feature_block) `>`";
  let genVerifyDecl = 1;
}

def Wafer_TaskKind : Wafer_Enum<"TaskKind", "what starts a task", [I32EnumAttrCase<"Control", 0, "control">, I32EnumAttrCase<"Data", 1, "data">]>;
def Wafer_TaskKindAttr : EnumAttr<Wafer_Dialect, Wafer_TaskKind, "task_kind"> { let assemblyFormat = "$value"; }

def Wafer_Direction : Wafer_Enum<"Direction", "router port", [I32EnumAttrCase<"N", 0>, I32EnumAttrCase<"E", 1>, I32EnumAttrCase<"S", 2>, I32EnumAttrCase<"W", 3>,
    I32EnumAttrCase<"Ramp", 4, "ramp">]>;
def Wafer_DirectionAttr : EnumAttr<Wafer_Dialect, Wafer_Direction, "dir"> { let assemblyFormat = "`<` $value `>`"; }

#endif
