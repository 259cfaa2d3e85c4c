//===- FormLayers.cpp - graph-form-layers ----------------------------------===//

#include "LayerBuilder.h"

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_FORMLAYERS
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

/// "encoder.fc1" for a contraction with the parameter "encoder.fc1.weight".
std::string layerName(Operation *contraction) {
  for (Value operand : cast<linalg::LinalgOp>(contraction).getDpsInputs())
    if (std::optional<ParameterView> view = viewOfParameter(operand)) {
      std::string name = argumentName(view->parameter);
      size_t dot = name.rfind('.');
      return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
    }
  llvm_unreachable("a parameter contraction has a parameter");
}

/// Whether the function returns what the operation makes.
bool isReturned(Operation *op) {
  return llvm::any_of(op->getUsers(), [](Operation *user) { return isa<func::ReturnOp>(user); });
}

struct FormLayers : impl::FormLayersBase<FormLayers> {
  void runOnOperation() override;
};

void FormLayers::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal())
    return;
  if (!function.getBody().hasOneBlock()) {
    function.emitError() << "found " << function.getBody().getBlocks().size() << " blocks, expected one; models are straight-line code";
    return signalPassFailure();
  }

  llvm::StringSet<> names;
  auto unique = [&](StringRef wanted) {
    std::string name = wanted.str();
    for (unsigned i = 2; !names.insert(name).second; ++i)
      name = wanted.str() + "_" + std::to_string(i);
    return name;
  };

  // Consecutive operations that will be one layer.
  SmallVector<Operation *> group;
  std::string groupName;
  bool groupTakesElementwise = false;
  auto close = [&] {
    if (!group.empty()) {
      wrapInLayer(group, unique(groupName));
      ++layers;
    }
    group.clear();
  };
  SmallVector<Operation *> ops;
  SmallVector<Operation *> freeOps;
  for (Operation &op : function.getBody().front().without_terminator()) {
    if (isa<LayerOp>(op)) {
      op.emitError() << "found a graph.layer, expected a function without layers";
      return signalPassFailure();
    }
    (isFree(&op) && !isReturned(&op) ? freeOps : ops).push_back(&op);
  }
  for (Operation *op : ops) {
    if (isFree(op) || op->hasTrait<OpTrait::ConstantLike>()) {
      close();
      group = {op};
      groupName = "constant";
      close();
      continue;
    }
    bool contraction = isParameterContraction(op), elementwise = isElementwiseOrReduction(op);
    if (contraction || group.empty() || elementwise != groupTakesElementwise) {
      close();
      groupName = contraction ? layerName(op) : elementwise ? "elementwise" : "other";
      groupTakesElementwise = contraction || elementwise;
    }
    group.push_back(op);
  }
  close();
  for (Operation *op : llvm::reverse(freeOps))
    if (op->use_empty())
      op->erase();
}

} // namespace

} // namespace wafer::graph
