//===- OrderLayers.cpp - graph-order-layers ----------------------------------===//
//
// What crosses between the wafer and MemoryX pays for it twice, so the layers of one place are done together as far as they depend on nothing from the other.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Graph.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace wafer::graph {

#define GEN_PASS_DEF_ORDERLAYERS
#include "wafer/Dialect/Graph/Transforms/Passes.h.inc"

namespace {

struct OrderLayers : impl::OrderLayersBase<OrderLayers> {
  void runOnOperation() override;
};

void OrderLayers::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal() || !function.getBody().hasOneBlock())
    return;
  Block &block = function.getBody().front();
  // Views and constants read no layer; in front of all they are there for whichever comes first.
  Operation *firstLayer = nullptr;
  SmallVector<LayerOp> waiting;
  for (Operation &op : llvm::make_early_inc_range(block.without_terminator())) {
    auto layer = dyn_cast<LayerOp>(op);
    if (!layer && !isFree(&op))
      return;
    if (layer && !layer.getPlacement())
      return;
    if (layer) {
      waiting.push_back(layer);
      firstLayer = firstLayer ? firstLayer : &op;
    } else if (firstLayer) {
      op.moveBefore(firstLayer);
    }
  }
  llvm::DenseSet<Operation *> done;
  auto isReady = [&](LayerOp layer) {
    return llvm::all_of(layer.getInputs(), [&](Value input) {
      Operation *definition = input.getDefiningOp();
      return !isa_and_nonnull<LayerOp>(definition) || done.contains(definition);
    });
  };
  auto changesOf = [](MutableArrayRef<LayerOp> order) {
    int64_t changes = 0;
    for (size_t i = 1; i < order.size(); ++i)
      changes += order[i].getPlacement() != order[i - 1].getPlacement();
    return changes;
  };
  const int64_t before = changesOf(waiting);
  SmallVector<LayerOp> order;
  // MemoryX first: what it makes of inputs and parameters is needed sooner or later.
  for (Placement place = Placement::MemoryX; !waiting.empty(); place = place == Placement::Wafer ? Placement::MemoryX : Placement::Wafer) {
    // In their own order one sweep finds all that follow from one another.
    SmallVector<LayerOp> later;
    for (LayerOp layer : waiting) {
      if (layer.getPlacement() != place || !isReady(layer)) {
        later.push_back(layer);
        continue;
      }
      done.insert(layer);
      order.push_back(layer);
    }
    waiting = std::move(later);
  }
  const int64_t after = changesOf(order);
  if (after >= before)
    return;
  for (LayerOp layer : order)
    layer->moveBefore(block.getTerminator());
  changesSaved += before - after;
}

} // namespace

} // namespace wafer::graph
