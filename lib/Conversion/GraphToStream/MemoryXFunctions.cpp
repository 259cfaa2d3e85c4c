//===- MemoryXFunctions.cpp - functions that MemoryX runs -------------------===//

#include "MemoryXFunctions.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace wafer {

/// All dimensions of a tensor of this rank in one group.
static SmallVector<ReassociationIndices> oneGroup(int64_t rank) {
  if (rank == 0)
    return {};
  return {llvm::to_vector(llvm::seq<int64_t>(0, rank))};
}

/// `value` with the shape of `type`, through one dimension.
static Value reshaped(OpBuilder &builder, Location loc, Value value, RankedTensorType type) {
  auto source = cast<RankedTensorType>(value.getType());
  if (source == type)
    return value;
  auto line = RankedTensorType::get({type.getNumElements()}, type.getElementType());
  if (source.getRank() == 0)
    value = tensor::ExpandShapeOp::create(builder, loc, line, value, oneGroup(0));
  else if (source.getRank() > 1)
    value = tensor::CollapseShapeOp::create(builder, loc, line, value, oneGroup(source.getRank()));
  if (type.getRank() == 0)
    return tensor::CollapseShapeOp::create(builder, loc, type, value, oneGroup(0));
  return type.getRank() == 1 ? value : Value(tensor::ExpandShapeOp::create(builder, loc, type, value, oneGroup(type.getRank())));
}

static func::FuncOp startFunction(OpBuilder &builder, Location loc, StringRef name, TypeRange inputs, TypeRange results) {
  auto function = func::FuncOp::create(builder, loc, name, builder.getFunctionType(inputs, results));
  function.addEntryBlock();
  return function;
}

func::FuncOp outlineLayer(OpBuilder &builder, StringRef name, graph::LayerOp layer, ArrayRef<Type> inputs) {
  auto yield = cast<graph::YieldOp>(layer.getBlock().back());
  func::FuncOp function = startFunction(builder, layer.getLoc(), name, inputs, layer.getResultTypes());
  OpBuilder body = OpBuilder::atBlockEnd(&function.getBody().front());
  IRMapping mapping;
  for (auto [inside, argument] : llvm::zip_equal(layer.getBlock().getArguments(), function.getArguments()))
    mapping.map(inside, reshaped(body, layer.getLoc(), argument, cast<RankedTensorType>(inside.getType())));
  for (Operation &op : layer.getBlock().without_terminator())
    body.clone(op, mapping);
  SmallVector<Value> results;
  for (Value value : yield.getValues())
    results.push_back(mapping.lookup(value));
  func::ReturnOp::create(body, yield.getLoc(), results);
  return function;
}

func::FuncOp outlineCopy(OpBuilder &builder, Location loc, StringRef name, RankedTensorType input, RankedTensorType result) {
  func::FuncOp function = startFunction(builder, loc, name, input, result);
  OpBuilder body = OpBuilder::atBlockEnd(&function.getBody().front());
  func::ReturnOp::create(body, loc, reshaped(body, loc, function.getArgument(0), result));
  return function;
}

} // namespace wafer
