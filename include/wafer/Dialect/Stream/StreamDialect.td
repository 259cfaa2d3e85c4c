//===- StreamDialect.td - the stream dialect and its attributes ------------===//

#ifndef WAFER_DIALECT_STREAM_STREAMDIALECT_TD
#define WAFER_DIALECT_STREAM_STREAMDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Stream_Dialect : Dialect {
  let name = "stream";
  let cppNamespace = "::wafer::stream";
  let summary = "Kernels that consume and produce streams, over a shape of cores without coordinates";
  let description = [{
    A `stream.program` lists the tensors that live in MemoryX and, in order, the segments that run on the wafer and the calls of MemoryX functions.
    Inside a segment a value is a two-dimensional tensor, tokens x features, spread over the grid of cores; its layout is the tensor's encoding.
    Kernels name weights by symbol: weights are streams, never values. See docs/rationale/stream.md and docs/spec/weight-stream.md.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::func::FuncDialect", "::mlir::sparse_tensor::SparseTensorDialect"];
}

class Stream_Attr<string name, string attrMnemonic> : AttrDef<Stream_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Stream_GridAttr : Stream_Attr<"Grid", "grid"> {
  let summary = "shape of cores of a segment";
  let description = [{
    `columns` x `rows` cores in each of `groups` column groups; `token_block` tokens per core; the segment runs `micro_batches` times.
    A micro-batch holds tokens of `batches_at_once` batch entries, each on as many of the groups. Of a group's rows, `bands` of equally many lie one above the other, and each holds
    tokens that follow one another, as a group does that is not divided.
    Example: `#stream.grid<columns = 16, rows = 16, groups = 1, token_block = 2, micro_batches = 1>`
  }];
  let parameters = (ins "int64_t":$columns, "int64_t":$rows, "int64_t":$groups, "int64_t":$token_block, "int64_t":$micro_batches,
    DefaultValuedParameter<"int64_t", "1">:$batches_at_once, DefaultValuedParameter<"int64_t", "1">:$bands);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Stream_LayoutAttr : Stream_Attr<"Layout", "layout"> {
  let summary = "how a tokens x features tensor lies on the grid";
  let description = [{
    Feature f lies in column f mod columns, at most `feature_block` in each. A tensor with one feature per token (a row reduction) has `feature_block = 0`: every column of the group holds
    a copy.
  }];
  let parameters = (ins "int64_t":$feature_block);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Stream_Role : I32EnumAttr<"Role", "what a MemoryX tensor is", [
    I32EnumAttrCase<"Input", 0, "input">, I32EnumAttrCase<"Output", 1, "output">, I32EnumAttrCase<"Weight", 2, "weight">,
    I32EnumAttrCase<"Intermediate", 3, "intermediate">, I32EnumAttrCase<"State", 4, "state">]> {
  let cppNamespace = "::wafer::stream";
  let genSpecializedAttr = 0;
}
def Stream_RoleAttr : EnumAttr<Stream_Dialect, Stream_Role, "role"> { let assemblyFormat = "`<` $value `>`"; }

def Stream_WireFormat : I32EnumAttr<"WireFormat", "how weights travel", [
    I32EnumAttrCase<"Dense32", 0, "dense32">, I32EnumAttrCase<"Packed16", 1, "packed16">, I32EnumAttrCase<"Indexed16", 2, "indexed16">, I32EnumAttrCase<"Packed8", 3, "packed8">,
    I32EnumAttrCase<"Indexed32", 4, "indexed32">]> {
  let cppNamespace = "::wafer::stream";
  let genSpecializedAttr = 0;
}
def Stream_WireFormatAttr : EnumAttr<Stream_Dialect, Stream_WireFormat, "wire"> { let assemblyFormat = "`<` $value `>`"; }

def Stream_LinkKind : I32EnumAttr<"LinkKind", "how rows of weights travel from MemoryX to the edge of the wafer", [
    I32EnumAttrCase<"Bitmask", 1, "bitmask">, I32EnumAttrCase<"Structured", 2, "structured">, I32EnumAttrCase<"Blocks", 3, "blocks">]> {
  let cppNamespace = "::wafer::stream";
  let genSpecializedAttr = 0;
}

def Stream_LinkAttr : Stream_Attr<"Link", "link"> {
  let summary = "form of a weight's rows on MemoryX's link";
  let description = [{
    `#stream.link<bitmask>`: a bit for each weight, then those that are not zero. `#stream.link<structured, kept = 2, size = 4>`: of `size` neighbours at most `kept`, each with its
    place. `#stream.link<blocks, size = 16>`: a bit for each `size` neighbours, then all of those that are not all zero. The edge makes wavelets of the wire format of them.
  }];
  let parameters = (ins EnumParameter<Stream_LinkKind>:$kind, DefaultValuedParameter<"int64_t", "0">:$kept, DefaultValuedParameter<"int64_t", "0">:$size);
  let assemblyFormat = "`<` $kind (`,` `kept` `=` $kept^)? (`,` `size` `=` $size^)? `>`";
  let genVerifyDecl = 1;
}

def Stream_Combiner : I32EnumAttr<"Combiner", "how a reduction combines", [
    I32EnumAttrCase<"Add", 0, "add">, I32EnumAttrCase<"Max", 1, "max">, I32EnumAttrCase<"Min", 2, "min">]> {
  let cppNamespace = "::wafer::stream";
  let genSpecializedAttr = 0;
}
def Stream_CombinerAttr : EnumAttr<Stream_Dialect, Stream_Combiner, "combiner"> { let assemblyFormat = "`<` $value `>`"; }

#endif
