//===- LayerBuilder.cpp - wrap consecutive operations in a layer -----------===//

#include "LayerBuilder.h"

#include "wafer/Analysis/WaferKernels.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;

namespace wafer::graph {

namespace {

class LayerBuilder {
public:
  explicit LayerBuilder(ArrayRef<Operation *> ops) : ops_(ops), members_(ops.begin(), ops.end()) {}
  LayerOp build(StringRef name);

private:
  bool isInside(Operation *op) const;
  void takeIn(Operation *op);
  Value valueInside(Value value);

  ArrayRef<Operation *> ops_;
  llvm::SmallPtrSet<Operation *, 16> members_;
  LayerOp layer_;
  SmallVector<Value> inputs_;
  IRMapping inside_;
};

/// Whether `op` is a member or nested in one.
bool LayerBuilder::isInside(Operation *op) const {
  for (; op; op = op->getParentOp())
    if (members_.contains(op))
      return true;
  return false;
}

/// What stands for an outside value in the layer: a copy of a free operation, or a new block argument.
Value LayerBuilder::valueInside(Value value) {
  if (Value known = inside_.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  if (op && isFree(op)) {
    for (Value operand : op->getOperands())
      valueInside(operand);
    OpBuilder builder(layer_.getContext());
    // Before the first member; copies made earlier stand before it too.
    builder.setInsertionPoint(ops_.front());
    builder.clone(*op, inside_);
    return inside_.lookup(value);
  }
  inputs_.push_back(value);
  Value argument = layer_.getBlock().addArgument(value.getType(), value.getLoc());
  inside_.map(value, argument);
  return argument;
}

/// Makes everything that `op` and the operations nested in it read from outside come from inside.
void LayerBuilder::takeIn(Operation *op) {
  op->walk([&](Operation *nested) {
    for (OpOperand &operand : nested->getOpOperands()) {
      Value value = operand.get();
      if (!isInside(value.getDefiningOp() ? value.getDefiningOp() : value.getParentBlock()->getParentOp()))
        operand.set(valueInside(value));
    }
  });
}

LayerOp LayerBuilder::build(StringRef name) {
  SmallVector<Value> results;
  SmallVector<Location> locations;
  for (Operation *op : ops_) {
    locations.push_back(op->getLoc());
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) { return !isInside(user); }))
        results.push_back(result);
  }
  OpBuilder builder(ops_.back());
  Location loc = ops_.size() == 1 ? locations.front() : builder.getFusedLoc(locations);
  layer_ = LayerOp::create(builder, loc, ValueRange(results).getTypes(), name, /*placement=*/PlacementAttr(), /*reason=*/StringAttr(),
                           /*shared=*/FlatSymbolRefAttr(), /*locations=*/ArrayAttr(), ValueRange());
  Block &body = layer_.getBody().emplaceBlock();
  for (Operation *op : ops_)
    op->moveBefore(&body, body.end());
  for (Operation *op : ops_)
    takeIn(op);
  for (auto [inside, outside] : llvm::zip_equal(results, layer_.getResults()))
    inside.replaceUsesWithIf(outside, [&](OpOperand &use) { return !isInside(use.getOwner()); });
  builder.setInsertionPointToEnd(&body);
  YieldOp::create(builder, loc, results);
  layer_.getInputsMutable().assign(inputs_);
  return layer_;
}

} // namespace

LayerOp wrapInLayer(ArrayRef<Operation *> ops, StringRef name) { return LayerBuilder(ops).build(name); }

} // namespace wafer::graph
