//===- WaferKernels.cpp - which tensor operations the wafer can run --------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Graph.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace wafer {

namespace {

using Dims = SmallVector<unsigned>;

std::string printed(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// The loops of more than one iteration by which an operand is indexed, outermost dimension first. Nothing when the map has other expressions than loops
/// and the zeros of dimensions of size one.
std::optional<Dims> indexedBy(linalg::LinalgOp op, OpOperand &operand, ArrayRef<int64_t> ranges) {
  Dims dims;
  ArrayRef<int64_t> shape = op.getShape(&operand);
  for (auto [d, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim && !(isa<AffineConstantExpr>(expr) && shape[d] == 1))
      return std::nullopt;
    if (dim && ranges[dim.getPosition()] > 1)
      dims.push_back(dim.getPosition());
  }
  return dims;
}

Dims longLoops(ArrayRef<unsigned> loops, ArrayRef<int64_t> ranges) {
  Dims dims;
  llvm::copy_if(loops, std::back_inserter(dims), [&](unsigned d) { return ranges[d] > 1; });
  return dims;
}

int64_t product(ArrayRef<unsigned> loops, ArrayRef<int64_t> ranges) {
  int64_t size = 1;
  for (unsigned d : loops)
    size *= ranges[d];
  return size;
}

Dims loopsOfType(linalg::LinalgOp op, utils::IteratorType type) {
  Dims dims;
  for (auto [d, iterator] : llvm::enumerate(op.getIteratorTypesArray()))
    if (iterator == type)
      dims.push_back(d);
  return dims;
}

/// Static sizes of all loops, all above zero, and one result.
bool checkLoops(linalg::LinalgOp op, std::string &reason) {
  if (!op.hasPureTensorSemantics() || op->getNumResults() != 1)
    return reason = "it has more than one result", false;
  for (int64_t range : op.getStaticLoopRanges())
    if (ShapedType::isDynamic(range) || range == 0)
      return reason = ShapedType::isDynamic(range) ? "its shape is not static" : "a tensor has no elements", false;
  return true;
}

bool checkStored(Value value, std::string &reason) {
  Type element = getElementTypeOrSelf(value.getType());
  if (stream::isStorageType(element))
    return true;
  reason = "elements of type " + printed(element) + " are not stored on the wafer";
  return false;
}

/// Each operation of a body has an instruction, and what it reads is computed in the body, an argument of it or a constant.
bool checkBody(Block *body, std::string &reason) {
  for (Operation &op : body->without_terminator()) {
    if (!stream::hasMachineInstruction(&op))
      return reason = "'" + op.getName().getStringRef().str() + "' has no wafer instruction", false;
    for (Value operand : op.getOperands())
      if (operand.getParentBlock() != body && !constantScalar(operand))
        return reason = "'" + op.getName().getStringRef().str() + "' reads a scalar that is computed elsewhere", false;
  }
  Value yielded = body->getTerminator()->getOperand(0);
  if (yielded.getParentBlock() != body && !constantScalar(yielded))
    return reason = "it yields a scalar that is computed elsewhere", false;
  return true;
}

/// Whether `value` depends on a block argument whose operand is no parameter and no constant.
bool readsActivation(Value value, ArrayRef<KernelOperand> operands) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    OperandUse use = operands[argument.getArgNumber()].use;
    return use == OperandUse::Full || use == OperandUse::PerToken;
  }
  return llvm::any_of(value.getDefiningOp()->getOperands(),
                      [&](Value operand) { return operand.getParentBlock() == value.getParentBlock() && readsActivation(operand, operands); });
}

/// A per-feature parameter may only be the factor of a product or the term of a sum with something that is computed on the wafer.
bool checkPerFeature(BlockArgument argument, ArrayRef<KernelOperand> operands, std::string &reason) {
  for (Operation *user : argument.getUsers()) {
    if (isa<arith::AddFOp, arith::MulFOp>(user)) {
      Value other = user->getOperand(user->getOperand(0) == argument ? 1 : 0);
      if (other != argument && other.getParentBlock() == argument.getOwner() && readsActivation(other, operands))
        continue;
    }
    return reason = "per-feature parameters are multiplied or added, '" + user->getName().getStringRef().str() + "' does something else with one", false;
  }
  return true;
}

/// acc + a * b, where a and b are arguments 0 and 1, perhaps widened.
bool isMultiplyAdd(Block *body) {
  auto widened = [](Value value) {
    if (auto extend = value.getDefiningOp<arith::ExtFOp>())
      return extend.getIn();
    return value;
  };
  if (body->getNumArguments() != 3)
    return false;
  auto add = body->getTerminator()->getOperand(0).getDefiningOp<arith::AddFOp>();
  if (!add)
    return false;
  Value term = add.getLhs() == body->getArgument(2) ? add.getRhs() : add.getRhs() == body->getArgument(2) ? add.getLhs() : Value();
  auto multiply = term ? term.getDefiningOp<arith::MulFOp>() : arith::MulFOp();
  if (!multiply)
    return false;
  Value a = widened(multiply.getLhs()), b = widened(multiply.getRhs());
  return (a == body->getArgument(0) && b == body->getArgument(1)) || (a == body->getArgument(1) && b == body->getArgument(0));
}

bool isContraction(linalg::LinalgOp op) {
  return op.getNumReductionLoops() > 0 && op.getNumDpsInputs() == 2 && op.getNumDpsInits() == 1 && isMultiplyAdd(op.getBlock());
}

std::optional<stream::Combiner> combinerOf(Operation *op) {
  if (isa<arith::AddFOp>(op))
    return stream::Combiner::Add;
  if (isa<arith::MaximumFOp>(op))
    return stream::Combiner::Max;
  if (isa<arith::MinimumFOp>(op))
    return stream::Combiner::Min;
  return std::nullopt;
}

bool isNeutral(TypedAttr value, stream::Combiner combiner) {
  auto number = dyn_cast_or_null<FloatAttr>(value);
  if (!number)
    return false;
  APFloat f = number.getValue();
  return combiner == stream::Combiner::Add ? f.isZero() : f.isInfinity() && f.isNegative() == (combiner == stream::Combiner::Max);
}

} // namespace

BlockShape flatten(RankedTensorType type) {
  int64_t features = type.getRank() == 0 ? 1 : type.getShape().back();
  return {features == 0 ? 0 : type.getNumElements() / features, features};
}

bool isParameterContraction(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && isContraction(linalgOp) && llvm::any_of(linalgOp.getDpsInputs(), [](Value v) { return viewOfParameter(v).has_value(); });
}

bool isElementwiseOrReduction(Operation *op) {
  if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
    return true;
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && !isContraction(linalgOp);
}

BlockShape WaferKernels::blockOf(Value value) const {
  value = graph::throughLayers(value);
  auto known = blocks_.find(value);
  return known != blocks_.end() ? known->second : flatten(cast<RankedTensorType>(value.getType()));
}

void WaferKernels::record(Operation *op, const WaferKernel &kernel) { blocks_[op->getResult(0)] = kernel.block; }

std::optional<WaferKernel> WaferKernels::findContract(linalg::LinalgOp op, std::string &reason) const {
  std::optional<ParameterView> views[2];
  for (unsigned i : {0, 1})
    views[i] = viewOfParameter(op.getDpsInputOperand(i)->get());
  if (!views[0] && !views[1])
    return reason = "it multiplies two activations", std::nullopt;
  if (views[0] && views[1])
    return reason = "it multiplies two parameters", std::nullopt;
  OpOperand &weight = *op.getDpsInputOperand(views[0] ? 0 : 1), &activation = *op.getDpsInputOperand(views[0] ? 1 : 0);
  const ParameterView &view = views[0] ? *views[0] : *views[1];
  if (!checkStored(weight.get(), reason) || !checkStored(activation.get(), reason) || !checkStored(op->getResult(0), reason))
    return std::nullopt;
  if (!isNeutral(constantScalar(op.getDpsInits()[0]), stream::Combiner::Add))
    return reason = "it adds to a tensor that is not zero", std::nullopt;

  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  std::optional<Dims> inWeight = indexedBy(op, weight, ranges), inActivation = indexedBy(op, activation, ranges),
                      inResult = indexedBy(op, *op.getDpsInitOperand(0), ranges);
  if (!inWeight || !inActivation || !inResult)
    return reason = "it reads an operand with other indices than its loops", std::nullopt;
  Dims reduced = longLoops(loopsOfType(op, utils::IteratorType::reduction), ranges);
  if (reduced.size() > 1)
    return reason = "it sums over more than one dimension", std::nullopt;
  Dims rows;
  llvm::copy_if(*inWeight, std::back_inserter(rows), [&](unsigned d) { return !llvm::is_contained(reduced, d); });
  if (rows.size() > 1 || (rows.size() == 1 && llvm::is_contained(*inActivation, rows[0])))
    return reason = "the parameter has a batch dimension or more than one output dimension", std::nullopt;

  // Activations: tokens, then the sum's dimension; result: tokens in the same order, then the parameter's rows.
  Dims tokens = longLoops(loopsOfType(op, utils::IteratorType::parallel), ranges);
  llvm::erase_if(tokens, [&](unsigned d) { return llvm::is_contained(rows, d); });
  Dims wantedActivation = tokens, wantedResult = tokens;
  wantedActivation.append(reduced);
  wantedResult.append(rows);
  if (!llvm::equal(*inActivation, wantedActivation) || !llvm::equal(*inResult, wantedResult))
    return reason = "the sum is not over the last dimension of the activation, or the result is transposed", std::nullopt;
  BlockShape input = {product(tokens, ranges), product(reduced, ranges)};
  if (blockOf(activation.get()) != input)
    return reason = "the activation lies on the wafer in another shape", std::nullopt;

  WaferKernel kernel;
  kernel.kind = KernelKind::Contract;
  kernel.block = {input.tokens, product(rows, ranges)};
  kernel.input = input;
  kernel.source = activation.get();
  kernel.weight = view.parameter;
  kernel.offset = view.offset;
  for (auto [d, expr] : llvm::enumerate(op.getMatchingIndexingMap(&weight).getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (dim && llvm::is_contained(reduced, dim.getPosition()))
      kernel.columnStride = view.strides[d];
    if (dim && llvm::is_contained(rows, dim.getPosition()))
      kernel.rowStride = view.strides[d];
  }
  return kernel;
}

/// Classifies all operands of a body whose loops, tokens before features, are `order`. `block` is the shape that the operands are expected to have, or zero
/// tokens when a full operand decides.
bool WaferKernels::findOperands(linalg::LinalgOp op, ArrayRef<unsigned> order, BlockShape &block, WaferKernel &kernel, std::string &reason) const {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  Dims all = longLoops(order, ranges);
  SmallVector<std::optional<Dims>> indices;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    indices.push_back(isa<RankedTensorType>(operand->get().getType()) ? indexedBy(op, *operand, ranges) : Dims());
    bool decides = block.tokens == 0 && indices.back() && llvm::equal(*indices.back(), all) && !constantScalar(operand->get()) && !viewOfParameter(operand->get());
    if (decides)
      block = blockOf(operand->get());
  }
  if (block.tokens == 0)
    block = flatten(cast<RankedTensorType>(op->getResult(0).getType()));

  // Where tokens end and features begin, if the loops are cut there at all.
  std::optional<unsigned> cut;
  for (unsigned i = 0; i <= all.size(); ++i)
    if (product(ArrayRef(all).take_front(i), ranges) == block.tokens && product(ArrayRef(all).drop_front(i), ranges) == block.features)
      cut = i;

  for (auto [number, operand] : llvm::enumerate(op.getDpsInputOperands())) {
    Value value = operand->get();
    KernelOperand found{OperandUse::Constant, value, {}, constantScalar(value)};
    auto describe = [&, number = number](StringRef what) { return reason = "operand " + std::to_string(number) + " " + what.str(), false; };
    std::optional<ParameterView> view = viewOfParameter(value);
    const std::optional<Dims> &dims = indices[number];
    if (found.constant) {
      // The body reads the number itself.
    } else if (!isa<RankedTensorType>(value.getType())) {
      return describe("is a scalar that is computed elsewhere");
    } else if (!checkStored(value, reason)) {
      return false;
    } else if (!dims) {
      return describe("is read with other indices than the loops");
    } else if (view) {
      auto type = cast<RankedTensorType>(view->parameter.getType());
      if (!cut || !llvm::equal(*dims, ArrayRef(all).drop_front(*cut)) || type.getNumElements() != block.features || view->offset != 0)
        return describe("is a parameter that is not one number per feature");
      found.use = OperandUse::PerFeature;
      found.parameter = view->parameter;
    } else if (llvm::equal(*dims, all)) {
      if (blockOf(value) != block)
        return describe("lies on the wafer in another shape");
      found.use = OperandUse::Full;
    } else if (cut && llvm::equal(*dims, ArrayRef(all).take_front(*cut)) && blockOf(value) == BlockShape{block.tokens, 1}) {
      found.use = OperandUse::PerToken;
    } else {
      return describe("is repeated along tokens or has another order of dimensions");
    }
    kernel.operands.push_back(found);
  }
  for (auto [argument, operand] : llvm::zip(op.getBlock()->getArguments(), kernel.operands))
    if (operand.use == OperandUse::PerFeature && !checkPerFeature(argument, kernel.operands, reason))
      return false;
  if (llvm::none_of(kernel.operands, [](const KernelOperand &o) { return o.use == OperandUse::Full || o.use == OperandUse::PerToken; }))
    return reason = "it reads no activation", false;
  return true;
}

std::optional<WaferKernel> WaferKernels::findPointwise(linalg::LinalgOp op, std::string &reason) const {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  Dims loops = loopsOfType(op, utils::IteratorType::parallel);
  std::optional<Dims> result = indexedBy(op, *op.getDpsInitOperand(0), ranges);
  if (!result || !llvm::equal(*result, longLoops(loops, ranges)))
    return reason = "its result is transposed", std::nullopt;
  if (!op.getMatchingBlockArgument(op.getDpsInitOperand(0)).use_empty())
    return reason = "it updates a tensor", std::nullopt;
  if (!checkStored(op->getResult(0), reason) || !checkBody(op.getBlock(), reason))
    return std::nullopt;
  WaferKernel kernel;
  kernel.kind = KernelKind::Pointwise;
  kernel.block = {0, 0};
  if (!findOperands(op, loops, kernel.block, kernel, reason))
    return std::nullopt;
  return kernel;
}

std::optional<WaferKernel> WaferKernels::findReduce(linalg::LinalgOp op, std::string &reason) const {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  Dims order = loopsOfType(op, utils::IteratorType::parallel), reduced = loopsOfType(op, utils::IteratorType::reduction);
  std::optional<Dims> result = indexedBy(op, *op.getDpsInitOperand(0), ranges);
  if (!result || !llvm::equal(*result, longLoops(order, ranges)))
    return reason = "its result is transposed", std::nullopt;
  if (!checkStored(op->getResult(0), reason) || !checkBody(op.getBlock(), reason))
    return std::nullopt;

  // combiner(something of the inputs, accumulator)
  BlockArgument accumulator = op.getMatchingBlockArgument(op.getDpsInitOperand(0));
  Operation *combine = op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
  std::optional<stream::Combiner> combiner = combine ? combinerOf(combine) : std::nullopt;
  if (!combiner || !accumulator.hasOneUse() || *accumulator.user_begin() != combine)
    return reason = "it does not combine by addf, maximumf or minimumf", std::nullopt;
  if (!isNeutral(constantScalar(op.getDpsInits()[0]), *combiner))
    return reason = "it does not begin with the neutral element", std::nullopt;

  WaferKernel kernel;
  kernel.kind = KernelKind::Reduce;
  kernel.combiner = *combiner;
  kernel.combined = combine->getOperand(combine->getOperand(0) == accumulator ? 1 : 0);
  kernel.input = {product(order, ranges), product(reduced, ranges)};
  kernel.block = {kernel.input.tokens, 1};
  order.append(reduced);
  if (!findOperands(op, order, kernel.input, kernel, reason))
    return std::nullopt;
  return kernel;
}

/// A reshape keeps the order of elements. A value from outside lies in MemoryX by its own last dimension, so there it must keep that one.
std::optional<WaferKernel> WaferKernels::findReshape(Operation *op, std::string &reason) const {
  Value source = op->getOperand(0);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (!checkStored(source, reason))
    return std::nullopt;
  if (!type.hasStaticShape() || type.getNumElements() == 0)
    return reason = "its shape is not static or has no elements", std::nullopt;
  if (viewOfParameter(source) || constantScalar(source))
    return reason = "it reads no activation", std::nullopt;
  if (!blocks_.contains(graph::throughLayers(source)) && flatten(type) != blockOf(source))
    return reason = "it changes the last dimension of a tensor that MemoryX holds", std::nullopt;
  WaferKernel kernel;
  kernel.kind = KernelKind::Reshape;
  kernel.block = blockOf(source);
  kernel.source = source;
  return kernel;
}

std::optional<WaferKernel> WaferKernels::find(Operation *op, std::string &reason) const {
  if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
    return findReshape(op, reason);
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp)
    return reason = "there is no wafer kernel for it", std::nullopt;
  if (!checkLoops(linalgOp, reason))
    return std::nullopt;
  if (isContraction(linalgOp))
    return findContract(linalgOp, reason);
  if (linalgOp.getNumReductionLoops() > 0)
    return findReduce(linalgOp, reason);
  return findPointwise(linalgOp, reason);
}

} // namespace wafer
