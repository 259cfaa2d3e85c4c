//===- KernelBuilder.cpp - stream kernels of one segment --------------------===//

#include "KernelBuilder.h"

#include "wafer/Dialect/Graph/Graph.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace wafer {

namespace {

/// Computes scalars of a linalg body by maps over the values that its arguments stand for.
class BodyMaps {
public:
  BodyMaps(OpBuilder &builder, Location loc, linalg::LinalgOp op) : builder_(builder), loc_(loc), body_(op.getBlock()) {}

  void define(Value scalar, Value value) { values_[scalar] = value; }
  void defineConstant(Value scalar, TypedAttr number) { constants_[scalar] = number; }
  /// The value of `type` that holds `scalar` for each element: one that is there, or a new map.
  Value compute(Value scalar, RankedTensorType type);

private:
  void collect(Value scalar, llvm::SetVector<Value> &arguments, llvm::SetVector<Operation *> &ops) const;

  OpBuilder &builder_;
  Location loc_;
  Block *body_;
  llvm::DenseMap<Value, Value> values_;
  llvm::DenseMap<Value, TypedAttr> constants_;
};

/// The operations that compute `scalar` from scalars that have a value, in an order in which they can be executed.
void BodyMaps::collect(Value scalar, llvm::SetVector<Value> &arguments, llvm::SetVector<Operation *> &ops) const {
  if (values_.contains(scalar)) {
    arguments.insert(scalar);
    return;
  }
  Operation *op = scalar.getDefiningOp();
  if (!op || constants_.contains(scalar) || ops.contains(op))
    return;
  for (Value operand : op->getOperands())
    collect(operand, arguments, ops);
  ops.insert(op);
}

Value BodyMaps::compute(Value scalar, RankedTensorType type) {
  auto there = values_.find(scalar);
  if (there != values_.end() && there->second.getType() == type)
    return there->second;

  llvm::SetVector<Value> arguments;
  llvm::SetVector<Operation *> ops;
  collect(scalar, arguments, ops);
  SmallVector<Value> inputs;
  for (Value argument : arguments)
    inputs.push_back(values_.lookup(argument));
  auto map = stream::MapOp::create(builder_, loc_, type, inputs);
  Block &block = map.getBody().emplaceBlock();
  OpBuilder body = OpBuilder::atBlockEnd(&block);
  IRMapping mapping;
  for (Value argument : arguments)
    mapping.map(argument, block.addArgument(argument.getType(), argument.getLoc()));
  auto needConstant = [&](Value value, TypedAttr number) {
    if (!mapping.contains(value))
      mapping.map(value, arith::ConstantOp::create(body, value.getLoc(), number));
  };
  auto needOperand = [&](Value value) {
    auto constant = constants_.find(value);
    if (constant != constants_.end())
      needConstant(value, constant->second);
    else if (value.getParentBlock() != body_ && !mapping.contains(value))
      needConstant(value, constantScalar(value));
  };
  for (Operation *op : ops) {
    if (op->getBlock() != body_)
      continue; // A constant from outside of the body, made where it is read.
    llvm::for_each(op->getOperands(), needOperand);
    body.clone(*op, mapping);
  }
  needOperand(scalar);
  stream::YieldOp::create(body, loc_, mapping.lookup(scalar));
  return map;
}

} // namespace

KernelBuilder::KernelBuilder(stream::SegmentOp segment, const HeldTensors &held)
    : segment_(segment), builder_(OpBuilder::atBlockEnd(&segment.getBody().front())), held_(held) {}

RankedTensorType KernelBuilder::typeOf(BlockShape block, Type element) const { return RankedTensorType::get({block.tokens, block.features}, element); }

/// The tensor in which MemoryX holds a value seen through layers.
FlatSymbolRefAttr KernelBuilder::nameOf(Value held) const { return FlatSymbolRefAttr::get(held_.lookup(held).getSymNameAttr()); }

/// A value that is not on the wafer yet is sent before its first use, and once more where it is read in another block shape: repeated over tokens, say.
Value KernelBuilder::valueOf(Value value, BlockShape block) {
  Value origin = originOf(value);
  if (Value computed = values_.lookup(origin))
    return computed;
  Value &known = sent_[{origin, {block.tokens, block.features}}];
  if (!known)
    known = stream::SendOp::create(builder_, value.getLoc(), typeOf(block, getElementTypeOrSelf(value.getType())),
                                   nameOf(origin), UnitAttr(), DenseI64ArrayAttr());
  return known;
}

/// The map for `scalar`, cut where one number per feature is added or multiplied: that is done by a scale, to which they are streamed.
Value KernelBuilder::emitPointwise(linalg::LinalgOp op, const WaferKernel &kernel, BlockShape block, Value scalar, Type element) {
  BodyMaps maps(builder_, op.getLoc(), op);
  llvm::DenseMap<Value, Value> streamed;
  for (auto [argument, operand] : llvm::zip(op.getBlock()->getArguments(), kernel.operands)) {
    switch (operand.use) {
    case OperandUse::Full:
    case OperandUse::Repeated:
      maps.define(argument, valueOf(operand.value, block));
      break;
    case OperandUse::PerToken:
      maps.define(argument, valueOf(operand.value, {block.tokens, 1}));
      break;
    case OperandUse::PerFeature:
      streamed[argument] = operand.streamed;
      break;
    case OperandUse::Constant:
      maps.defineConstant(argument, operand.constant);
      break;
    }
  }
  for (Operation &nested : op.getBlock()->without_terminator()) {
    for (unsigned i = 0; i < nested.getNumOperands(); ++i) {
      Value vector = streamed.lookup(nested.getOperand(i));
      if (!vector)
        continue;
      Value other = nested.getOperand(1 - i);
      RankedTensorType type = typeOf(block, nested.getResult(0).getType());
      bool product = isa<arith::MulFOp>(nested);
      FlatSymbolRefAttr name = nameOf(vector);
      maps.define(nested.getResult(0),
                  stream::ScaleOp::create(builder_, op.getLoc(), type, maps.compute(other, type), product ? name : FlatSymbolRefAttr(),
                                          product ? FlatSymbolRefAttr() : name, stream::WireFormatAttr()));
      break;
    }
  }
  return maps.compute(scalar, typeOf(block, element));
}

void KernelBuilder::emit(Operation *op, const WaferKernel &kernel) {
  Location loc = op->getLoc();
  Value result = op->getResult(0);
  Type element = getElementTypeOrSelf(result.getType());
  RankedTensorType type = typeOf(kernel.block, element);
  switch (kernel.kind) {
  case KernelKind::Contract:
    values_[result] = stream::ContractOp::create(builder_, loc, type, valueOf(kernel.source, kernel.input), nameOf(kernel.weight), FlatSymbolRefAttr(),
                                                 stream::WireFormatAttr(), stream::LinkAttr(), builder_.getI64IntegerAttr(kernel.rowStride),
                                                 builder_.getI64IntegerAttr(kernel.columnStride), builder_.getI64IntegerAttr(kernel.offset),
                                                 builder_.getDenseI64ArrayAttr(kernel.batchSizes), builder_.getDenseI64ArrayAttr(kernel.batchStrides), IntegerAttr(), FlatSymbolRefAttr(),
                                                 /*mask=*/Value(), IntegerAttr(), IntegerAttr());
    return;
  case KernelKind::Attend: {
    const BlockShape input = kernel.input;
    auto write = [&](auto attention, Value gradient) {
      Value table = attention.getRotation(), rotation = table ? valueOf(table, {input.tokens, cast<RankedTensorType>(table.getType()).getDimSize(1)}) : Value();
      return stream::AttendOp::create(builder_, loc, type, valueOf(kernel.source, input), gradient, rotation, attention.getHeadsAttr(), attention.getAcrossAttr(), attention.getScaleAttr(), attention.getCausalAttr());
    };
    if (auto gradient = dyn_cast<graph::AttendGradientOp>(op))
      values_[result] = write(gradient, valueOf(gradient.getGradient(), {input.tokens, input.features / 3}));
    else
      values_[result] = write(cast<graph::AttendOp>(op), Value());
    return;
  }
  case KernelKind::Reshape:
  case KernelKind::Sample:
    llvm_unreachable("a reshape is not planned, and a sample has no value");
  case KernelKind::Pointwise:
    values_[result] = emitPointwise(cast<linalg::LinalgOp>(op), kernel, kernel.block, cast<linalg::LinalgOp>(op).getBlock()->getTerminator()->getOperand(0), element);
    return;
  case KernelKind::Reduce: {
    Value input = emitPointwise(cast<linalg::LinalgOp>(op), kernel, kernel.input, kernel.combined, kernel.combined.getType());
    values_[result] = stream::ReduceOp::create(builder_, loc, type, stream::CombinerAttr::get(builder_.getContext(), kernel.combiner), input);
    return;
  }
  }
}

void KernelBuilder::sample(Operation *op, const WaferKernel &kernel, stream::TensorOp tensor) {
  Value rows = valueOf(kernel.operands.front().value, kernel.block), columns = kernel.source ? valueOf(kernel.source, kernel.input) : Value();
  int64_t rowStride = kernel.input.features, columnStride = 1;
  // Each row passes the columns on its way, so the operand that has fewer of them is the one whose rows do.
  if (columns && kernel.block.features > kernel.input.features) {
    std::swap(rows, columns);
    std::swap(rowStride, columnStride);
  }
  stream::SampleOp::create(builder_, op->getLoc(), rows, columns, kernel.weight ? nameOf(kernel.weight) : FlatSymbolRefAttr(), FlatSymbolRefAttr::get(tensor.getSymNameAttr()),
                           builder_.getI64IntegerAttr(rowStride), builder_.getI64IntegerAttr(columnStride),
                           builder_.getI64IntegerAttr(0), builder_.getDenseI64ArrayAttr(kernel.batchSizes), builder_.getDenseI64ArrayAttr(kernel.batchStrides), /*groups_added=*/UnitAttr());
}

void KernelBuilder::receive(Value value, stream::TensorOp tensor) {
  stream::ReceiveOp::create(builder_, value.getLoc(), values_.lookup(value), FlatSymbolRefAttr::get(tensor.getSymNameAttr()));
}

void KernelBuilder::foldBiases() {
  for (auto scale : llvm::make_early_inc_range(segment_.getBody().front().getOps<stream::ScaleOp>())) {
    Value input = scale.getInput();
    if (scale.getGammaAttr() || !input.hasOneUse())
      continue;
    if (auto contract = input.getDefiningOp<stream::ContractOp>(); contract && !contract.getBiasAttr())
      contract.setBiasAttr(scale.getBetaAttr());
    else if (auto before = input.getDefiningOp<stream::ScaleOp>(); before && !before.getBetaAttr())
      before.setBetaAttr(scale.getBetaAttr());
    else
      continue;
    input.setType(scale.getType());
    scale.replaceAllUsesWith(input);
    scale.erase();
  }
}

} // namespace wafer
