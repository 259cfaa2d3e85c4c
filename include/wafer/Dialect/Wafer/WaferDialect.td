//===- WaferDialect.td - the wafer dialect and its attributes --------------===//

#ifndef WAFER_DIALECT_WAFER_WAFERDIALECT_TD
#define WAFER_DIALECT_WAFER_WAFERDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "wafer/Dialect/Wafer/WaferEnums.td"

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

def Wafer_GridAttr : Wafer_Attr<"Grid", "grid"> {
  let summary = "placed shape of cores of a phase";
  let description = [{ As `#stream.grid`, with the origin, the number of tokens and the batch entries that divide them. Group g begins at x0 + g*columns. }];
  let parameters = (ins "int64_t":$x0, "int64_t":$y0, "int64_t":$columns, "int64_t":$rows, "int64_t":$groups, "int64_t":$token_block, "int64_t":$tokens, "int64_t":$micro_batches,
    DefaultValuedParameter<"int64_t", "1">:$batches, DefaultValuedParameter<"int64_t", "1">:$batches_at_once, DefaultValuedParameter<"int64_t", "1">:$bands);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Wafer_RectAttr : Wafer_Attr<"Rect", "rect"> {
  let summary = "cores x0 + i*sx, y0 + j*sy for i < nx, j < ny";
  let parameters = (ins "int64_t":$x0, "int64_t":$y0, "int64_t":$nx, "int64_t":$ny, "int64_t":$sx, "int64_t":$sy);
  let assemblyFormat = "`<` $x0 `,` $y0 `size` $nx `,` $ny `step` $sx `,` $sy `>`";
  let genVerifyDecl = 1;
}

def Wafer_ChannelKindAttr : EnumAttr<Wafer_Dialect, Wafer_ChannelKind, "channel_kind"> { let assemblyFormat = "`<` $value `>`"; }

def Wafer_DescriptorKindAttr : EnumAttr<Wafer_Dialect, Wafer_DescriptorKind, "kind"> { let assemblyFormat = "`<` $value `>`"; }

def Wafer_PerCoreAttr : Wafer_Attr<"PerCore", "per_core"> {
  let summary = "extent `dimension` of a descriptor has this value, per core";
  let description = [{ `#wafer.per_core<rows_after, dimension = 2>`, `#wafer.per_core<valid_features, dimension = 0, features = 10>` }];
  let parameters = (ins EnumParameter<Wafer_PerCoreKind>:$kind, "int64_t":$dimension, DefaultValuedParameter<"int64_t", "0">:$features);
  let assemblyFormat = "`<` $kind `,` struct($dimension, $features) `>`";
  let genVerifyDecl = 1;
}

def Wafer_TaskKindAttr : EnumAttr<Wafer_Dialect, Wafer_TaskKind, "task_kind"> { let assemblyFormat = "$value"; }

def Wafer_DirectionAttr : EnumAttr<Wafer_Dialect, Wafer_Direction, "dir"> { let assemblyFormat = "`<` $value `>`"; }

#endif
