//===- WaferKernels.cpp - which tensor operations the wafer can run --------===//

#include "wafer/Analysis/WaferKernels.h"
#include "wafer/Dialect/Graph/Graph.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"
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
    return operands[argument.getArgNumber()].isActivation();
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
    if (auto extend = value.getDefiningOp<arith::ExtSIOp>())
      return extend.getIn();
    return value;
  };
  if (body->getNumArguments() != 3)
    return false;
  Operation *add = body->getTerminator()->getOperand(0).getDefiningOp();
  if (!isa_and_present<arith::AddFOp, arith::AddIOp>(add))
    return false;
  Value left = add->getOperand(0), right = add->getOperand(1);
  Value term = left == body->getArgument(2) ? right : right == body->getArgument(2) ? left : Value();
  Operation *multiply = term ? term.getDefiningOp() : nullptr;
  if (!isa_and_present<arith::MulFOp, arith::MulIOp>(multiply))
    return false;
  Value a = widened(multiply->getOperand(0)), b = widened(multiply->getOperand(1));
  return (a == body->getArgument(0) && b == body->getArgument(1)) || (a == body->getArgument(1) && b == body->getArgument(0));
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

/// A contraction of 8-bit integers with exact sums.
bool isIntegerContraction(linalg::LinalgOp op) {
  return llvm::all_of(op.getDpsInputs(), [](Value operand) { return getElementTypeOrSelf(operand.getType()).isInteger(8); }) &&
         getElementTypeOrSelf(op->getResult(0).getType()).isInteger(32);
}

/// Whether all that is done with an integer operand is to make a float of it, and an integer result is made of a float.
bool onlyConvertsIntegers(linalg::LinalgOp op) {
  auto isInteger = [](Value value) { return isa<IntegerType>(value.getType()); };
  for (BlockArgument argument : op.getRegionInputArgs())
    if (isInteger(argument) && (argument.use_empty() || !llvm::all_of(argument.getUsers(), [](Operation *user) { return isa<arith::SIToFPOp>(user); })))
      return false;
  Value yielded = op.getBlock()->getTerminator()->getOperand(0);
  return !isInteger(yielded) || yielded.getDefiningOp<arith::FPToSIOp>();
}

/// 0 of a float or an integer.
bool isZero(TypedAttr value) {
  auto number = dyn_cast_or_null<FloatAttr>(value);
  auto integer = dyn_cast_or_null<IntegerAttr>(value);
  return (number && number.getValue().isZero()) || (integer && integer.getValue().isZero());
}

bool isNeutral(TypedAttr value, stream::Combiner combiner) {
  auto number = dyn_cast_or_null<FloatAttr>(value);
  if (!number)
    return false;
  APFloat f = number.getValue();
  return combiner == stream::Combiner::Add ? f.isZero() : f.isInfinity() && f.isNegative() == (combiner == stream::Combiner::Max);
}

} // namespace

std::optional<SmallVector<unsigned>> plainDims(AffineMap map) {
  SmallVector<unsigned> dims;
  for (AffineExpr expr : map.getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim)
      return std::nullopt;
    dims.push_back(dim.getPosition());
  }
  return dims;
}

bool isContraction(linalg::LinalgOp op) {
  return op.getNumReductionLoops() > 0 && op.getNumDpsInputs() == 2 && op.getNumDpsInits() == 1 && isMultiplyAdd(op.getBlock());
}

int64_t WaferKernel::batches() const {
  int64_t product = 1;
  for (int64_t size : batchSizes)
    product *= size;
  return product;
}

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

Value originOf(Value value) {
  while (true) {
    value = graph::throughLayers(value);
    Operation *op = value.getDefiningOp();
    auto layer = op ? dyn_cast<graph::LayerOp>(op->getParentOp()) : graph::LayerOp();
    if (!isa_and_present<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op) || !layer || !layer.isOn(graph::Placement::Wafer))
      return value;
    value = op->getOperand(0);
  }
}

BlockShape WaferKernels::blockOf(Value value) const {
  value = originOf(value);
  auto known = blocks_.find(value);
  return known != blocks_.end() ? known->second : flatten(cast<RankedTensorType>(value.getType()));
}

void WaferKernels::record(Operation *op, const WaferKernel &kernel) {
  // What a sample makes is in MemoryX; its block is that of the rows.
  if (kernel.kind != KernelKind::Sample)
    blocks_[op->getResult(0)] = kernel.block;
}

/// The stride of one dimension that counts through `dims`, the last one fastest; nothing when their strides do not follow one from the other.
static std::optional<int64_t> combinedStride(ArrayRef<unsigned> dims, ArrayRef<int64_t> ranges, const llvm::DenseMap<unsigned, int64_t> &strideOf) {
  for (size_t i = 0; i + 1 < dims.size(); ++i)
    if (strideOf.lookup(dims[i]) != strideOf.lookup(dims[i + 1]) * ranges[dims[i + 1]])
      return std::nullopt;
  return dims.empty() ? 0 : strideOf.lookup(dims.back());
}

/// Loops of a contraction: those of the activation and the result, in the result's order; of these, the leading ones that the weight has too; those of the
/// weight and the result; and those that are summed over, in the activation's order.
std::optional<WaferKernel> WaferKernels::contractStreaming(linalg::LinalgOp op, unsigned streamed, std::string &reason) const {
  OpOperand &weight = *op.getDpsInputOperand(streamed), &activation = *op.getDpsInputOperand(1 - streamed);
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  std::optional<Dims> inWeight = indexedBy(op, weight, ranges), inActivation = indexedBy(op, activation, ranges),
                      inResult = indexedBy(op, *op.getDpsInitOperand(0), ranges);
  if (!inWeight || !inActivation || !inResult)
    return reason = "it reads an operand with other indices than its loops", std::nullopt;
  auto isIn = [](const Dims &dims) { return [&dims](unsigned d) { return llvm::is_contained(dims, d); }; };
  Dims tokens, batch, rows, reduced;
  llvm::copy_if(*inResult, std::back_inserter(tokens), isIn(*inActivation));
  llvm::copy_if(tokens, std::back_inserter(batch), isIn(*inWeight));
  llvm::copy_if(*inResult, std::back_inserter(rows), std::not_fn(isIn(*inActivation)));
  llvm::copy_if(*inActivation, std::back_inserter(reduced), std::not_fn(isIn(*inResult)));
  if (!llvm::all_of(rows, isIn(*inWeight)) || !llvm::all_of(reduced, isIn(*inWeight)) || inWeight->size() != batch.size() + rows.size() + reduced.size())
    return reason = "a dimension is in one operand only", std::nullopt;
  Dims wantedActivation = tokens, wantedResult = tokens;
  wantedActivation.append(reduced);
  wantedResult.append(rows);
  if (!llvm::equal(*inActivation, wantedActivation) || !llvm::equal(*inResult, wantedResult) || !llvm::equal(ArrayRef(tokens).take_front(batch.size()), batch))
    return reason = "its operands or its result have another order of dimensions than batch, tokens, features; run graph-normalize-contractions", std::nullopt;
  BlockShape input = {product(tokens, ranges), product(reduced, ranges)};

  WaferKernel kernel;
  kernel.kind = KernelKind::Contract;
  kernel.block = {input.tokens, product(rows, ranges)};
  kernel.input = input;
  kernel.source = activation.get();
  ParameterView view = {{}, 0, rowMajorStrides(op.getShape(&weight))};
  kernel.weight = originOf(weight.get());
  if (std::optional<ParameterView> parameter = viewOfParameter(weight.get())) {
    view = *parameter;
    kernel.weight = view.parameter;
  }
  kernel.offset = view.offset;
  llvm::DenseMap<unsigned, int64_t> strideOf;
  for (auto [d, expr] : llvm::enumerate(op.getMatchingIndexingMap(&weight).getResults()))
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      strideOf[dim.getPosition()] = view.strides[d];
  std::optional<int64_t> rowStride = combinedStride(rows, ranges, strideOf), columnStride = combinedStride(reduced, ranges, strideOf);
  if (!rowStride || !columnStride)
    return reason = "the dimensions of its weight do not lie one behind the other", std::nullopt;
  kernel.rowStride = *rowStride;
  kernel.columnStride = *columnStride;
  for (unsigned d : batch) {
    kernel.batchSizes.push_back(ranges[d]);
    kernel.batchStrides.push_back(strideOf.lookup(d));
  }
  return kernel;
}

/// A parameter is streamed where there is one; of two activations, the one whose dimensions come last in the result.
std::optional<WaferKernel> WaferKernels::findContract(linalg::LinalgOp op, std::string &reason) const {
  bool isParameter[2];
  const bool isInteger = isIntegerContraction(op);
  for (unsigned i : {0, 1}) {
    Value operand = op.getDpsInputOperand(i)->get();
    isParameter[i] = viewOfParameter(operand).has_value();
    if (!isInteger && !checkStored(operand, reason))
      return std::nullopt;
    if (!isParameter[i] && constantScalar(operand))
      return reason = "an operand is a constant", std::nullopt;
  }
  if (isParameter[0] && isParameter[1])
    return reason = "it multiplies two parameters", std::nullopt;
  if (!isInteger && !checkStored(op->getResult(0), reason))
    return std::nullopt;
  if (!isZero(constantScalar(op.getDpsInits()[0])))
    return reason = "it adds to a tensor that is not zero", std::nullopt;
  if (isParameter[0] || isParameter[1])
    return contractStreaming(op, isParameter[0] ? 0 : 1, reason);
  if (std::optional<WaferKernel> kernel = contractStreaming(op, 1, reason))
    return kernel;
  return contractStreaming(op, 0, reason);
}

/// Block shapes that the operands of a body may be brought into, best first: those in which they lie on the wafer, then that of the loops.
SmallVector<BlockShape> WaferKernels::possibleBlocks(linalg::LinalgOp op, ArrayRef<unsigned> loops) const {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  Dims all = longLoops(loops, ranges);
  SmallVector<BlockShape> blocks;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    Value value = operand->get();
    if (!isa<RankedTensorType>(value.getType()) || constantScalar(value) || viewOfParameter(value))
      continue;
    std::optional<Dims> dims = indexedBy(op, *operand, ranges);
    if (dims && llvm::equal(*dims, all))
      blocks.push_back(blockOf(value));
  }
  blocks.push_back(flatten(cast<RankedTensorType>(op->getResult(0).getType())));
  return blocks;
}

/// Classifies all operands of a body whose loops, tokens before features, are `order`, for values of the shape `block`.
bool WaferKernels::findOperands(linalg::LinalgOp op, ArrayRef<unsigned> order, BlockShape block, WaferKernel &kernel, std::string &reason) const {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  Dims all = longLoops(order, ranges);
  SmallVector<std::optional<Dims>> indices;
  for (OpOperand *operand : op.getDpsInputOperands())
    indices.push_back(isa<RankedTensorType>(operand->get().getType()) ? indexedBy(op, *operand, ranges) : Dims());

  // Where tokens end and features begin, if the loops are cut there at all.
  std::optional<unsigned> cut;
  for (unsigned i = 0; i <= all.size(); ++i)
    if (product(ArrayRef(all).take_front(i), ranges) == block.tokens && product(ArrayRef(all).drop_front(i), ranges) == block.features)
      cut = i;

  kernel.operands.clear();
  for (auto [number, operand] : llvm::enumerate(op.getDpsInputOperands())) {
    Value value = operand->get();
    KernelOperand found{OperandUse::Constant, value, {}, constantScalar(value)};
    auto describe = [&, number = number](StringRef what) { return reason = "operand " + std::to_string(number) + " " + what.str(), false; };
    std::optional<ParameterView> view = viewOfParameter(value);
    const std::optional<Dims> &dims = indices[number];
    if (found.constant || op.getBlock()->getArgument(number).use_empty()) {
      // The body reads the number itself, or nothing: the window of a pooling has a shape only.
    } else if (!isa<RankedTensorType>(value.getType())) {
      return describe("is a scalar that is computed elsewhere");
    } else if (!onlyConvertsIntegers(op) && !checkStored(value, reason)) {
      return false;
    } else if (!dims) {
      return describe("is read with other indices than the loops");
    } else if (view) {
      auto type = cast<RankedTensorType>(view->parameter.getType());
      if (!cut || !llvm::equal(*dims, ArrayRef(all).drop_front(*cut)) || type.getNumElements() != block.features || view->offset != 0)
        return describe("is a parameter that is not one number per feature");
      found.use = OperandUse::PerFeature;
      found.streamed = view->parameter;
    } else if (llvm::equal(*dims, all)) {
      found.use = OperandUse::Full;
    } else if (cut && llvm::equal(*dims, ArrayRef(all).take_front(*cut))) {
      found.use = OperandUse::PerToken;
    } else if (cut && dims->size() < all.size() && llvm::equal(*dims, ArrayRef(all).take_back(dims->size())) && dims->size() >= all.size() - *cut) {
      found.use = OperandUse::Repeated;
      // One number per feature is streamed where it is a factor or a term.
      if (dims->size() == all.size() - *cut)
        found.streamed = originOf(value);
    } else {
      return describe("is repeated along inner dimensions or has another order of dimensions");
    }
    kernel.operands.push_back(found);
  }
  for (auto [argument, operand] : llvm::zip(op.getBlock()->getArguments(), kernel.operands)) {
    if (operand.use == OperandUse::PerFeature && !checkPerFeature(argument, kernel.operands, reason))
      return false;
    std::string why;
    if (operand.use == OperandUse::Repeated && operand.streamed) {
      operand.use = OperandUse::PerFeature;
      if (!checkPerFeature(argument, kernel.operands, why))
        operand.use = OperandUse::Repeated;
    }
  }
  if (llvm::none_of(kernel.operands, [](const KernelOperand &operand) { return operand.isActivation(); }))
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
  if ((!onlyConvertsIntegers(op) && !checkStored(op->getResult(0), reason)) || !checkBody(op.getBlock(), reason))
    return std::nullopt;
  WaferKernel kernel;
  kernel.kind = KernelKind::Pointwise;
  bool copies = op.getBlock()->getOperations().size() == 1;
  for (BlockShape block : possibleBlocks(op, loops)) {
    kernel.block = block;
    if (!findOperands(op, loops, block, kernel, reason))
      continue;
    if (copies && llvm::any_of(kernel.operands, [](const KernelOperand &operand) { return operand.use == OperandUse::Repeated; }))
      return reason = "it copies a tensor that MemoryX holds", std::nullopt;
    return kernel;
  }
  return std::nullopt;
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

/// A reshape keeps the order of elements, and so the block shape; who needs another one gets it from MemoryX.
std::optional<WaferKernel> WaferKernels::findReshape(Operation *op, std::string &reason) const {
  Value source = op->getOperand(0);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (!checkStored(source, reason))
    return std::nullopt;
  if (!type.hasStaticShape() || type.getNumElements() == 0)
    return reason = "its shape is not static or has no elements", std::nullopt;
  if (viewOfParameter(source) || constantScalar(source))
    return reason = "it reads no activation", std::nullopt;
  WaferKernel kernel;
  kernel.kind = KernelKind::Reshape;
  kernel.block = blockOf(source);
  kernel.source = source;
  return kernel;
}

bool WaferKernels::comesFromParameters(Value value) const {
  value = graph::throughLayers(value);
  if (auto argument = dyn_cast<BlockArgument>(value))
    return graph::isParameter(argument);
  // Asked in program order, so the operands' answers are known and the recursion is shallow.
  auto known = fromParameters_.find(value);
  if (known != fromParameters_.end())
    return known->second;
  // A body may read a tensor of the function by index, without an operand for it.
  llvm::SetVector<Value> read;
  getUsedValuesDefinedAbove(value.getDefiningOp()->getRegions(), read);
  read.insert_range(value.getDefiningOp()->getOperands());
  bool answer = llvm::all_of(read, [&](Value operand) { return comesFromParameters(operand); });
  return fromParameters_[value] = answer;
}

std::optional<WaferKernel> WaferKernels::findAttend(Operation *op, std::string &reason) const {
  if (llvm::any_of(op->getOperands(), [&](Value operand) { return !checkStored(operand, reason); }))
    return std::nullopt;
  WaferKernel kernel;
  kernel.kind = KernelKind::Attend;
  kernel.block = flatten(cast<RankedTensorType>(op->getResult(0).getType()));
  kernel.source = op->getOperand(0);
  kernel.input = flatten(cast<RankedTensorType>(kernel.source.getType()));
  auto gradient = dyn_cast<graph::AttendGradientOp>(op);
  if (gradient)
    kernel.operands.push_back({OperandUse::Full, gradient.getGradient(), {}, {}});
  if (Value rotation = gradient ? gradient.getRotation() : cast<graph::AttendOp>(op).getRotation())
    kernel.operands.push_back({flatten(cast<RankedTensorType>(rotation.getType())).tokens == kernel.block.tokens ? OperandUse::Full : OperandUse::Repeated, rotation, {}, {}});
  kernel.entries = static_cast<int64_t>(gradient ? gradient.getBatches() : cast<graph::AttendOp>(op).getBatches());
  return kernel;
}

std::optional<WaferKernel> WaferKernels::find(Operation *op, std::string &reason) const {
  if (comesFromParameters(op->getResult(0)))
    return reason = "it does not depend on an input", std::nullopt;
  if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
    return findReshape(op, reason);
  if (auto sample = dyn_cast<graph::SampleOp>(op)) {
    WaferKernel kernel;
    kernel.kind = KernelKind::Sample;
    kernel.block = flatten(cast<RankedTensorType>(sample.getRows().getType()));
    kernel.input = {kernel.block.tokens, 1};
    if (sample.getInput()) {
      kernel.source = sample.getInput();
      kernel.input = flatten(cast<RankedTensorType>(sample.getInput().getType()));
    }
    kernel.operands.push_back({OperandUse::Full, sample.getRows(), {}, {}});
    if (sample.getPattern())
      kernel.weight = graph::throughLayers(sample.getPattern());
    if (const int64_t batches = sample.getBatches(); batches > 1) {
      kernel.batchSizes = {batches};
      kernel.batchStrides = {kernel.block.features * kernel.input.features};
    }
    return kernel;
  }
  if (isa<graph::AttendOp, graph::AttendGradientOp>(op))
    return findAttend(op, reason);
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
