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

/// Costs, loops and addresses multiply sizes of two tensors; within this limit the products fit in 64 bits.
constexpr int64_t mostElements = int64_t(1) << 40;

bool hasTooManyElements(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || llvm::is_contained(type.getShape(), 0))
    return false;
  int64_t elements = 1;
  return llvm::any_of(type.getShape(), [&](int64_t size) {
    return !ShapedType::isDynamic(size) && (llvm::MulOverflow(elements, size, elements) || elements > mostElements);
  });
}

LogicalResult checkSizes(func::FuncOp function) {
  auto refuse = [&](Value value) {
    return emitError(value.getLoc()) << "found " << value.getType() << ", expected at most " << mostElements << " elements in a tensor; split the model or its batch";
  };
  for (Value argument : function.getArguments())
    if (hasTooManyElements(argument))
      return refuse(argument);
  WalkResult walked = function.walk([&](Operation *op) {
    auto large = llvm::find_if(op->getResults(), hasTooManyElements);
    return large == op->result_end() ? WalkResult::advance() : (refuse(*large), WalkResult::interrupt());
  });
  return failure(walked.wasInterrupted());
}

void FormLayers::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal() || !function.getOps<LayerOp>().empty())
    return;
  if (!function.getBody().hasOneBlock()) {
    function.emitError() << "found " << function.getBody().getBlocks().size() << " blocks, expected one; models are straight-line code";
    return signalPassFailure();
  }
  if (failed(checkSizes(function)))
    return signalPassFailure();
  for (auto again : llvm::make_early_inc_range(function.getOps<AgainOp>())) {
    again.replaceAllUsesWith(again.getValue());
    again.erase();
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
    if (auto sample = dyn_cast<SampleOp>(op)) {
      close();
      group = {op};
      groupName = "gradient";
      if (auto pattern = dyn_cast_or_null<BlockArgument>(sample.getPattern()))
        groupName = argumentName(pattern);
      close();
      continue;
    }
    if (isa<AttendOp, AttendGradientOp>(op)) {
      close();
      group = {op};
      groupName = "attention";
      close();
      continue;
    }
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
