//===- GraphOps.td - the graph dialect -------------------------------------===//

#ifndef WAFER_DIALECT_GRAPH_GRAPHOPS_TD
#define WAFER_DIALECT_GRAPH_GRAPHOPS_TD

include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Graph_Dialect : Dialect {
  let name = "graph";
  let cppNamespace = "::wafer::graph";
  let summary = "Structure of a model that upstream dialects lack";
  let description = [{
    Tensor arithmetic stays in linalg, tensor, arith and math; this dialect says what the arguments of a model are and which operations belong together.

    Arguments of a function carry `graph.name` and `graph.role`, results carry `graph.name`:
    ```mlir
    func.func @forward(%x: tensor<8x64xf32> {graph.name = "x", graph.role = "input"},
                       %w: tensor<10x64xf32> {graph.name = "fc1.weight", graph.role = "parameter"}) -> (tensor<8x10xf32> {graph.name = "output"})
    ```
    (argument_c1) `graph.name` is a string that is not empty. (argument_c2) `graph.role` of an argument is "input" (also when it is missing), "parameter" or "state".
    (argument_c3) No other attribute of this dialect stands on an argument or result, and `graph.role` of a result is "state".
    (argument_c7) `graph.kept` of a result names the parameter of its shape, of i8, that tells where the result is wanted; elsewhere it may have any value.
    A state is kept from call to call: the argument is its value before, the result of the same name and type its value after the call. Either may be missing.
    (argument_c6) `graph.nonzeros`, how many elements of a parameter are not zero when that is known, is an integer from 0 to the number of elements and stands on
    parameters only. It decides how weights travel; a parameter whose values have more or fewer zeros is streamed correctly all the same.
    (argument_c9) It stands on an operation too, of one tensor, whose elements that are not zero it counts; again it decides how they travel, and no more.
    (argument_c8) `graph.encoding`, where those elements lie, is a `#sparse_tensor.encoding` for as many dimensions as the argument has.
    An argument may also have it in its type: graph-read-encodings moves it here.
    (argument_c4) Names are unique, but for a state's argument and result: convert-graph-to-stream refuses two arguments or results of one name.
    (argument_c5) No name is that of the function or begins with `wafer.`: those are the symbols of the compiled program. Checked there too.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::sparse_tensor::SparseTensorDialect"];
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
}

def Graph_Placement : I32EnumAttr<"Placement", "where a layer runs", [I32EnumAttrCase<"Wafer", 0, "wafer">, I32EnumAttrCase<"MemoryX", 1, "memoryx">]> {
  let cppNamespace = "::wafer::graph";
  let genSpecializedAttr = 0;
}
def Graph_PlacementAttr : EnumAttr<Graph_Dialect, Graph_Placement, "placement"> { let assemblyFormat = "`<` $value `>`"; }

class Graph_Op<string mnemonic, list<Trait> traits = []> : Op<Graph_Dialect, mnemonic, traits>;

def Graph_LayerOp : Graph_Op<"layer", [IsolatedFromAbove, RecursiveMemoryEffects, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "operations that belong together: the unit of weight streaming and of placement";
  let description = [{
    ```mlir
    %y = graph.layer "fc1" on <wafer> (%x, %w) : (tensor<8x64xf32>, tensor<10x64xf32>) -> tensor<8x10xf32> {
    ^bb0(%a: tensor<8x64xf32>, %b: tensor<10x64xf32>):
      ...
      graph.yield %r : tensor<8x10xf32>
    }
    ```
    A layer may share its body with others: `graph.layer "fc2" on <wafer> shares @layer_0 at [loc(...), ...] (...) {}`. What it does is in the `graph.body` of that name, and the list has
    the locations of its own operations, in the order in which the body has them.
    (layer_c1) Block arguments have the operands' types, yielded values the results'. (layer_c2) A layer on MemoryX has a reason, another has none.
    (layer_c3) A layer that shares a body has none of its own, and a location for each operation of the body.
  }];
  let arguments = (ins StrAttr:$name, OptionalAttr<Graph_PlacementAttr>:$placement, OptionalAttr<StrAttr>:$reason, OptionalAttr<FlatSymbolRefAttr>:$shared,
    OptionalAttr<ArrayAttr>:$locations, Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyType>);
  let regions = (region MaxSizedRegion<1>:$body);
  let assemblyFormat = [{
    $name (`on` $placement^)? (`reason` $reason^)? (`shares` $shared^ `at` $locations)? `(` $inputs `)` attr-dict-with-keyword `:` functional-type($inputs, results) $body
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Block &getBlock() { return getBody().front(); }
    bool isOn(Placement placement) { return getPlacement() == placement; }
  }];
}

def Graph_SampleOp : Graph_Op<"sample", [Pure, AttrSizedOperandSegments]> {
  let summary = "G[n, k] = sum_t D[t, n] X[t, k], where the pattern is not 0 if there is one, and 0 elsewhere";
  let description = [{
    `%g = graph.sample %d, %x where %kept : tensor<360x10xf32>, tensor<360x64xf32> where tensor<10x64xi8> -> tensor<10x64xf32>`, made by graph-sample-gradients. Without `where` all of it is wanted, without %x it is 1: `%s = graph.sample %d : ...` are sums over tokens.
    The tokens may be `batches` entries of equally many, each with sums of its own.
    (sample_c4) D and X are two-dimensional with the same tokens; the result has the entries, if there are several, and their features, in any number of dimensions, and the pattern its shape.
    (sample_c5) The entries divide the tokens, and several have no pattern.
  }];
  let arguments = (ins AnyRankedTensor:$rows, Optional<AnyRankedTensor>:$input, Optional<AnyRankedTensor>:$pattern, DefaultValuedAttr<I64Attr, "1">:$batches);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "(`batches` $batches^)? $rows (`,` $input^)? (`where` $pattern^)? attr-dict `:` type($rows) (`,` type($input)^)? (`where` type($pattern)^)? `->` type($result)";
  let hasVerifier = 1;
}

/// Features of queries, keys, values and results are numbered by element, then by head, `across` elements of a head side by side: element d of head h is feature
/// (d / across * heads + h) * across + d % across, and on columns that divide heads * across so many columns side by side share a head.
class Graph_Attention<string mnemonic> : Graph_Op<mnemonic, [Pure]> {
  let results = (outs AnyRankedTensor:$result);
  let hasVerifier = 1;
}

def Graph_AttendOp : Graph_Attention<"attend"> {
  let summary = "attention of tokens to those of their batch entry, softmax(scale * Q K^T) V, for each head";
  let description = [{
    ```mlir
    %o = graph.attend heads 32 scale 1.250000e-01 causal batches 16 %qkv : tensor<65536x12288xf32> -> tensor<65536x4096xf32>
    ```
    A token of %qkv holds its query, its key and its value, one behind the other. In each of them, and in the result, element d of head h is feature d * heads + h; or, `heads 32 across 2`, where two columns
    of cores share a head, (d / 2 * heads + h) * 2 + d % 2.
    `causal`: a token sees those before it in its batch entry, and itself. The tokens are `batches` entries of equally many.
    Queries and keys x are turned by their places where `rotated %table` is there: element d becomes c[d] * x[d] + s[d] * x[d'], where d' is as far from the begin of the other half of the head as d from that of
    its own. %table has c for all heads and, behind it, s, numbered as the features of a query; or only those of heads' first halves, where the second halves have the same c, and s with the other sign.
    (attend_c1) %qkv is tokens x features of static shape; its features are three times those of the result, which are a multiple of the heads. A head lies across one or two columns, and has a multiple of so many elements. (attend_c2) The entries divide the tokens.
    (attend_c6) %table has the tokens of %qkv, or those of one batch entry, for all of them, and twice the features of the result or as many, and a head an even number of elements in each column.
  }];
  let arguments = (ins AnyRankedTensor:$qkv, Optional<AnyRankedTensor>:$rotation, I64Attr:$heads, DefaultValuedAttr<I64Attr, "1">:$across, F32Attr:$scale, UnitAttr:$causal,
                       DefaultValuedAttr<I64Attr, "1">:$batches);
  let assemblyFormat = "`heads` $heads (`across` $across^)? `scale` $scale (`causal` $causal^)? (`batches` $batches^)? $qkv (`rotated` $rotation^)? attr-dict `:` type($qkv) (`,` type($rotation)^)? `->` type($result)";
}

def Graph_AttendGradientOp : Graph_Attention<"attend_gradient"> {
  let summary = "the gradient of a graph.attend with respect to queries, keys and values";
  let description = [{
    `%g = graph.attend_gradient heads 32 scale 1.250000e-01 causal batches 16 %qkv, %d : tensor<65536x12288xf32>, tensor<65536x4096xf32> -> tensor<65536x12288xf32>`, where %d is the
    gradient with respect to the result of graph.attend. (attend_c3) %qkv and %d are as the operand and the result of a graph.attend, and the result is as %qkv.
  }];
  let arguments = (ins AnyRankedTensor:$qkv, AnyRankedTensor:$gradient, Optional<AnyRankedTensor>:$rotation, I64Attr:$heads, DefaultValuedAttr<I64Attr, "1">:$across, F32Attr:$scale, UnitAttr:$causal,
                       DefaultValuedAttr<I64Attr, "1">:$batches);
  let assemblyFormat = "`heads` $heads (`across` $across^)? `scale` $scale (`causal` $causal^)? (`batches` $batches^)? $qkv `,` $gradient (`rotated` $rotation^)? attr-dict `:` type($qkv) `,` type($gradient) (`,` type($rotation)^)? `->` type($result)";
}

def Graph_AgainOp : Graph_Op<"again", [Pure, AllTypesMatch<["value", "result"]>]> {
  let summary = "the same value, of which nobody notices that it is";
  let description = [{
    `%y = graph.again %x : tensor<8x64xf32>`. What is computed from %y is computed once more where it is written, though the same was computed from %x before: a backward pass computes values again
    where that is cheaper than keeping them. graph-form-layers removes it; nothing looks for common computations after that.
  }];
  let arguments = (ins AnyRankedTensor:$value);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

def Graph_BodyOp : Graph_Op<"body", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "what several layers do";
  let description = [{ `graph.body @layer_0 { ^bb0(%a: tensor<8x64xf32>, ...): ... graph.yield %r : tensor<8x10xf32> }`, made by graph-share-layers, beside the functions whose layers share it. }];
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
}

def Graph_YieldOp : Graph_Op<"yield", [Pure, Terminator, ParentOneOf<["LayerOp", "BodyOp"]>]> {
  let summary = "results of a layer";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let builders = [OpBuilder<(ins), [{ }]>];
}

#endif // WAFER_DIALECT_GRAPH_GRAPHOPS_TD
