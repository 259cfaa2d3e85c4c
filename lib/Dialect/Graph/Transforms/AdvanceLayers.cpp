//===- AdvanceLayers.cpp - graph-advance-layers --------------------------------===//
//
// A layer of MemoryX between two of the wafer ends a segment, and what the second one reads of the first goes out and comes back. Where it need not be there,
// it comes earlier, where less crosses.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Graph.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_ADVANCELAYERS
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

struct AdvanceLayers : impl::AdvanceLayersBase<AdvanceLayers> {
  void runOnOperation() override;
  bool advance(LayerOp layer);
};

/// What the operation needs of those in its block from `first` on, before itself.
SmallVector<Operation *> needsFrom(Operation *op, Operation *first) {
  llvm::SetVector<Operation *> needed;
  SmallVector<Operation *> work = {op};
  while (!work.empty())
    for (Value operand : work.pop_back_val()->getOperands())
      if (Operation *definition = operand.getDefiningOp(); definition && !definition->isBeforeInBlock(first) && needed.insert(definition))
        work.push_back(definition);
  SmallVector<Operation *> inOrder(needed.begin(), needed.end());
  llvm::sort(inOrder, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  return inOrder;
}

/// Elements that cross from layers before to layers from `first` on, of those in `run`.
int64_t elementsAcross(ArrayRef<LayerOp> run, size_t first) {
  llvm::DenseSet<Operation *> behind;
  for (LayerOp layer : run.drop_front(first))
    behind.insert(layer);
  int64_t elements = 0;
  for (LayerOp layer : run.take_front(first))
    for (Value result : layer->getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) { return behind.contains(user); }))
        elements += std::max<int64_t>(1, cast<RankedTensorType>(result.getType()).getNumElements());
  return elements;
}

/// The next layer in a direction, if it is on the wafer.
LayerOp nextOnWafer(Operation *op, bool forward) {
  do
    op = forward ? op->getNextNode() : op->getPrevNode();
  while (op && isFree(op));
  auto layer = dyn_cast_or_null<LayerOp>(op);
  return layer && layer.isOn(Placement::Wafer) ? layer : LayerOp();
}

/// Moves a layer of MemoryX to where the fewest elements cross. Returns whether it moved.
bool AdvanceLayers::advance(LayerOp layer) {
  // What would be one run of the wafer without it.
  SmallVector<LayerOp> run;
  for (LayerOp before = nextOnWafer(layer, false); before; before = nextOnWafer(before, false))
    run.push_back(before);
  std::reverse(run.begin(), run.end());
  const size_t now = run.size();
  // Others that are here may go as well.
  Operation *last = layer;
  for (auto other = dyn_cast_or_null<LayerOp>(last->getNextNode()); other && other.isOn(Placement::MemoryX); other = dyn_cast_or_null<LayerOp>(last->getNextNode()))
    last = other;
  for (LayerOp after = nextOnWafer(last, true); after; after = nextOnWafer(after, true))
    run.push_back(after);

  size_t best = now;
  int64_t fewest = elementsAcross(run, now);
  for (size_t place = now; place-- > 0 && fewest > 0;) {
    if (!llvm::all_of(needsFrom(layer, run[place]), [](Operation *op) { return isFree(op); }))
      break;
    if (int64_t across = elementsAcross(run, place); across < fewest) {
      best = place;
      fewest = across;
    }
  }
  if (best == now)
    return false;
  for (Operation *view : needsFrom(layer, run[best]))
    view->moveBefore(run[best]);
  layer->moveBefore(run[best]);
  ++advanced;
  return true;
}

void AdvanceLayers::runOnOperation() {
  /// A layer that has moved may be what kept another one.
  constexpr unsigned mostRounds = 4;
  func::FuncOp function = getOperation();
  if (function.isExternal() || !function.getBody().hasOneBlock())
    return;
  bool moved = true;
  for (unsigned round = 0; round < mostRounds && moved; ++round) {
    moved = false;
    for (LayerOp layer : llvm::to_vector(function.getOps<LayerOp>()))
      if (layer.isOn(Placement::MemoryX))
        moved |= advance(layer);
  }
}

} // namespace

} // namespace wafer::graph
