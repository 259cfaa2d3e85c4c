//===- Passes.td - passes on the graph dialect -----------------------------===//

#ifndef WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_TD
#define WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def LowerTosa : Pass<"graph-lower-tosa", "::mlir::func::FuncOp"> {
  let summary = "Turn operations of the tosa dialect into linalg, tensor and arith";
  let description = [{
    Models also come as tosa, from TensorFlow Lite or from tools that end there. This pass runs upstream's conversions (tosa-to-linalg-named, tosa-to-linalg,
    tosa-to-tensor, tosa-to-arith) with what they need before them. Upstream begins the sums of a convolution with the bias and maxima with the lowest finite
    number; here sums begin with zero, with the bias added afterwards, and maxima with infinity, as in what other importers write.

    A function without tosa operations is left alone, to the last byte. Afterwards no tosa operation remains; one that upstream cannot lower is an error at its
    own place.

    Before:   %y = tosa.conv2d %x, %kernel, %bias, %zero, %zero
    After:    %s = linalg.conv_2d_nhwc_fhwc ins(%x, %kernel) outs(%zeros)   %y = linalg.generic {%s + %bias[c]}

    Example: test/Dialect/Graph/lower-tosa.mlir
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ReadEncodings : Pass<"graph-read-encodings", "::mlir::func::FuncOp"> {
  let summary = "Take encodings of sparse tensors out of types and note them on arguments";
  let description = [{
    A weight may be declared sparse as upstream does it, by a `#sparse_tensor.encoding` in the type of the argument. MemoryX stores all weights alike, and where the zeros are
    is seen when they are streamed, so the encoding is a promise about zeros, no layout: it becomes `graph.encoding` of a parameter. A parameter that has that and no `graph.nonzeros` gets those as well:
    what an N:M level leaves, else a quarter of the elements.

    Afterwards no type of the function has an encoding of sparse_tensor. Operations of the sparse_tensor dialect are an error at their own place: storage is not the program's to choose.

    Before:   func.func @f(%w: tensor<8x8xf32, #csr> {graph.role = "parameter"})
    After:    func.func @f(%w: tensor<8x8xf32> {graph.role = "parameter", graph.encoding = #csr, graph.nonzeros = 16})

    Example: test/Dialect/Graph/read-encodings.mlir
  }];
  let dependentDialects = ["::wafer::graph::GraphDialect"];
}

def SampleGradients : Pass<"graph-sample-gradients", "::mlir::func::FuncOp"> {
  let summary = "Compute gradients of weights where both of their operands are";
  let description = [{
    A result with `graph.kept` is wanted where the parameter of that name is not 0. If it is a contraction that sums over the leading dimensions of two activations, it
    becomes a graph.sample; else it is left alone, and the caller drops what it does not want.

    Other results that are such contractions become one without a pattern when that is cheaper on `machine`: then only sums leave the wafer, and neither operand has to cross to MemoryX and back to be streamed past the
    other one. That is so for many tokens on a machine of many cores (wafer/Analysis/ContractionCost.h). Without a machine they are left alone.

    Before:   %g = linalg.generic (n, k, t) ins(%d[t, n], %x[t, k])   return %g {graph.kept = "fc1.kept"}
    After:    %g = graph.sample %d, %x where %kept

    Example: test/Dialect/Graph/sample-gradients.mlir
  }];
  let dependentDialects = ["::wafer::graph::GraphDialect", "::mlir::tensor::TensorDialect"];
  let options = [Option<"machine", "machine", "std::string", "\"\"", "A preset or the path of a machine description">];
  let statistics = [Statistic<"sampled", "gradients sampled", "Gradients that are computed where both operands are">];
}

def NormalizeContractions : Pass<"graph-normalize-contractions", "::mlir::func::FuncOp"> {
  let summary = "Bring contractions into the form batch, tokens, features";
  let description = [{
    The wafer's contraction holds an activation of tokens x features and streams the other operand, which may differ from one batch entry to the next. This pass
    rewrites every contraction that has the loops of one, whatever the order of dimensions: the activation is transposed, or gathered where its indices are
    sums (the windows of a convolution), to batch x tokens x one summed dimension; the streamed operand stays as it is, since a stream may walk its dimensions
    in any order; a result in another order is transposed back. A parameter is streamed where there is one, else the operand whose dimensions come last in the
    result.

    Transposes and gathers move data and run in MemoryX. Contractions that begin with something else than zeros, that have no static shape, or whose
    loops are not those of a contraction are left alone. Every sum has the same terms; the order of several summed dimensions becomes that of the streamed operand.

    Before:   linalg.generic (n, o, y, x, c, ky, kx) ins(%image[n, c, y + ky, x + kx], %weight[o, c, ky, kx])
    After:    %windows = linalg.generic (n, y, x, c, ky, kx) ins(%image[n, c, y + ky, x + kx])
              linalg.generic (n, y, x, o, k) ins(%windows[n, y, x, k], %weight[o, k])  linalg.transpose

    Example: test/Dialect/Graph/normalize-contractions.mlir
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let statistics = [Statistic<"normalized", "contractions rewritten", "Contractions rewritten">];
}

def SplitReductions : Pass<"graph-split-reductions", "::mlir::func::FuncOp"> {
  let summary = "Reduce large tensors one dimension at a time";
  let description = [{
    A reduction over several dimensions would be one over a token's features, which lie on one row of cores. Where those are more than `most-features`, the innermost
    dimension is reduced first, then the others, and so on. Sums, maxima and minima that begin with a constant are split; the order of a sum's terms changes.

    Before:   %s = linalg.generic (i, j) ins(%x[i, j]) outs(%zero[])
    After:    %r = linalg.generic (i, j) ins(%x[i, j]) outs(%zeros[i])   %s = linalg.generic (i) ins(%r[i]) outs(%zero[])

    Example: test/Dialect/Graph/split-reductions.mlir
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
  let options = [Option<"mostFeatures", "most-features", "int64_t", "4096", "Elements that are reduced at once, where there are several dimensions">];
  let statistics = [Statistic<"splits", "reductions split", "Reductions of which a dimension was split off">];
}

def SinkTransposes : Pass<"graph-sink-transposes", "::mlir::func::FuncOp"> {
  let summary = "Do elementwise work before transposes instead of after them";
  let description = [{
    A contraction on the wafer gives tokens x features; when the model wants another order, such as channels first, a transpose follows, which MemoryX does. Elementwise operations after the transpose (bias, normalisation, activation)
    are moved before it, where they run on the wafer without leaving it: every operand of full shape must be transposed in the same way; vectors and scalars are read in the new order. Two transposes become one or none, and an
    operation that only gathers reads through a transpose. Numbers do not change.

    Before:   %t = linalg.transpose %conv [0, 3, 1, 2]   %r = relu(%t + %bias[c])
    After:    %r = relu(%conv + %bias[c])   %t = linalg.transpose %r [0, 3, 1, 2]

    Example: test/Dialect/Graph/sink-transposes.mlir
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}

def FormLayers : Pass<"graph-form-layers", "::mlir::func::FuncOp"> {
  let summary = "Group a function's operations into layers";
  let description = [{
    Moves the operations of a function into `graph.layer` operations. A layer is the unit of weight streaming, of placement and of the report, and it has the
    name that its author knows. A contraction with a parameter starts a layer that is named after the parameter without its last part ("fc1" for
    "fc1.weight"); elementwise operations, reductions and reshapes that follow join it; other operations form layers of their own.

    Needs a body of one block. Afterwards every operation is in a layer but for the return; a layer holds consecutive operations, so their order is that of
    the function, and a function that has layers is left alone. Constants, empty tensors, fills with a constant, and transposes and slices of parameters are copied into each layer that reads them; one that is returned is a layer. `graph.again` is removed. Types
    and arithmetic are untouched, and layers have no placement yet.

    Before:   %1 = linalg.generic {matmul} ins(%x, %fc1_weight) ...
              %2 = linalg.generic {relu} ins(%1) ...
    After:    %2 = graph.layer "fc1" (%x, %fc1_weight) { ... graph.yield %relu }

    Example: test/Dialect/Graph/form-layers.mlir
  }];
  let dependentDialects = ["::wafer::graph::GraphDialect"];
  let statistics = [Statistic<"layers", "layers", "Layers formed">];
}

def Partition : Pass<"graph-partition", "::mlir::func::FuncOp"> {
  let summary = "Decide which layers run on the wafer and which in MemoryX";
  let description = [{
    Gives every `graph.layer` a placement: <wafer> when each of its operations has a wafer kernel, else <memoryx> with a reason that names the operation, what
    it lacks and its source line. Every model then runs, and the report can say why a part does not run on the wafer.

    Needs layers (graph-form-layers). A layer that is partly possible is split into parts of consecutive operations, "fc1", "fc1.1", ..., so that only the
    operations without a kernel leave the wafer. Types and arithmetic are untouched. What has a kernel is decided by lib/Analysis/WaferKernels.h: contractions
    of a parameter with an activation over its features, elementwise bodies of operations that have instructions, scaling and shifting by per-feature
    parameters, reductions over all features, reshapes that keep the features. With `machine`, an operation of which one token is too large for a row of its cores
    runs in MemoryX too. Cost is not considered.

    Before:   graph.layer "fc1" (%x, %w) { contraction, relu, sort }
    After:    graph.layer "fc1" on <wafer> (%x, %w) { contraction, relu }
              graph.layer "fc1.1" on <memoryx> reason "..." (%0) { sort }

    Example: test/Dialect/Graph/partition.mlir
  }];
  let dependentDialects = ["::wafer::graph::GraphDialect"];
  let options = [Option<"onlyMemoryX", "only-memoryx", "bool", "false",
                        "Place every layer in MemoryX, so that a run tells what the layers compute, whatever kernels there are">,
                 Option<"machine", "machine", "std::string", "\"\"", "A preset's name or the path of a description; empty: tokens may have any size">,
                 Option<"elementBytes", "element-bytes", "unsigned", "4", "Bytes of an element on the wafer">];
  let statistics = [Statistic<"onWafer", "operations on the wafer", "Operations with a wafer kernel">,
                    Statistic<"inMemoryX", "operations in MemoryX", "Operations without a wafer kernel">];
}

def AdvanceLayers : Pass<"graph-advance-layers", "::mlir::func::FuncOp"> {
  let summary = "Do layers of MemoryX before layers of the wafer that they do not need";
  let description = [{
    What the wafer does without a break may be one segment, whose values stay on the wafer; a layer of MemoryX ends it. Such a layer moves up to where the fewest
    elements cross between the layers of the wafer before and behind it: values in attention are brought into order before the scores, not between scores and values.

    Needs placements (graph-partition). Layers move over layers of the wafer only, as far as the next one of MemoryX or one that makes what they need, so that what
    they make is alive a little longer and nothing else is.

    Before:   %s = graph.layer "scores" on <wafer> (%q, %k)
              %v = graph.layer "other" on <memoryx> (%x)
              graph.layer "mix" on <wafer> (%s, %v)
    After:    %v = graph.layer "other" on <memoryx> (%x)
              %s = graph.layer "scores" on <wafer> (%q, %k)
              graph.layer "mix" on <wafer> (%s, %v)

    Example: test/Dialect/Graph/advance-layers.mlir
  }];
  let statistics = [Statistic<"advanced", "layers advanced", "Layers of MemoryX that come earlier now">];
}

def ShareLayers : Pass<"graph-share-layers", "::mlir::ModuleOp"> {
  let summary = "Keep the body of layers that do the same once";
  let description = [{
    A model with forty equal blocks has forty times the same layers, with other parameters. Of layers whose bodies are equal but for locations, the first gives
    its body to a `graph.body` of the module, and all of them refer to it; each keeps its name, placement, operands, and the locations of its operations.
    A body that only one layer has stays where it is.

    Afterwards no two layers of the module have equal bodies of their own. graph-expand-layers is the inverse.

    Before:   %1 = graph.layer "h.0.fc" (%x, %w0) { ... }   %2 = graph.layer "h.1.fc" (%1, %w1) { ... }
    After:    graph.body @layer_0 { ... }
              %1 = graph.layer "h.0.fc" shares @layer_0 at [...] (%x, %w0) {}   %2 = graph.layer "h.1.fc" shares @layer_0 at [...] (%1, %w1) {}

    Example: test/Dialect/Graph/share-layers.mlir
  }];
  let statistics = [Statistic<"shared", "layers without a body of their own", "Layers that share a body">];
}

def ExpandLayers : Pass<"graph-expand-layers", "::mlir::ModuleOp"> {
  let summary = "Give each layer a body of its own again";
  let description = [{
    Copies shared bodies into their layers, with the layers' locations, and removes `graph.body` operations. What follows works on layers that are whole.

    Before:   graph.body @layer_0 { ... }   %1 = graph.layer "h.0.fc" shares @layer_0 at [...] (%x, %w0) {}
    After:    %1 = graph.layer "h.0.fc" (%x, %w0) { ... }

    Example: test/Dialect/Graph/share-layers.mlir
  }];
}

#endif // WAFER_DIALECT_GRAPH_TRANSFORMS_PASSES_TD
