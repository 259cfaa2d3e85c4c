//===- KernelOps.cpp - verifiers and folders of kernels --------------------===//

#include "wafer/Dialect/Stream/Stream.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"

#include <numeric>

using namespace mlir;
using namespace wafer::stream;

#define GET_OP_CLASSES
#include "wafer/Dialect/Stream/StreamOps.cpp.inc"

/// The MemoryX tensor that a kernel names, or null after an error.
static TensorOp lookupTensor(Operation *op, FlatSymbolRefAttr name, StringRef label) {
  auto tensor = op->getParentOfType<ProgramOp>().lookupSymbol<TensorOp>(name.getAttr());
  if (!tensor)
    op->emitOpError() << label << ": found no stream.tensor " << name << " in the program";
  return tensor;
}

static int64_t numElements(TensorOp tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  return type.hasStaticShape() ? type.getNumElements() : 0;
}

/// What is sent may be repeated over tokens (send_c1); what is received may not (receive_c1).
static LogicalResult verifyElements(Operation *op, TensorOp tensor, RankedTensorType value, bool mayRepeat, StringRef label) {
  int64_t elements = numElements(tensor);
  bool wholeTokens = elements > 0 && elements % numFeatures(value) == 0 && value.getNumElements() % elements == 0;
  if (elements == value.getNumElements() || (mayRepeat && wholeTokens))
    return success();
  InFlightDiagnostic diag = op->emitOpError() << label << ": found " << value.getDimSize(0) << " tokens x " << value.getDimSize(1) << " features, expected "
                                              << (mayRepeat ? "whole tokens that repeat " : "") << "the " << elements << " elements of " << tensor.getType();
  diag.attachNote(tensor.getLoc()) << "tensor is here";
  return diag;
}

LogicalResult SendOp::verify() {
  // send_c3
  auto layout = dyn_cast_or_null<LayoutAttr>(getType().getEncoding());
  if (std::optional<ArrayRef<int64_t>> parts = getParts()) {
    const int64_t features = std::accumulate(parts->begin(), parts->end(), int64_t(0));
    if (!getAhead() || llvm::any_of(*parts, [](int64_t some) { return some < 1; }) || (layout && features >= static_cast<int64_t>(layout.getFeatureBlock())))
      return emitOpError() << "send_c3: found parts of " << *parts << " features of a core to come before others, expected a send ahead, at least one in each, and less than all of " << getType();
  }
  TensorOp tensor = lookupTensor(*this, getTensorAttr(), "send_c1");
  if (!tensor)
    return failure();
  // send_c2
  if (tensor.getRole() == Role::Weight) {
    InFlightDiagnostic diag = emitOpError() << "send_c2: found the weight " << getTensorAttr() << ", expected an input or intermediate; weights are streamed by "
                                            << "stream.contract and stream.scale";
    diag.attachNote(tensor.getLoc()) << "tensor is here";
    return diag;
  }
  // send_c1
  return verifyElements(*this, tensor, getResult().getType(), /*mayRepeat=*/true, "send_c1");
}

LogicalResult ReceiveOp::verify() {
  TensorOp tensor = lookupTensor(*this, getTensorAttr(), "receive_c1");
  if (!tensor)
    return failure();
  // receive_c2
  if (tensor.getRole() != Role::Output && tensor.getRole() != Role::Intermediate) {
    InFlightDiagnostic diag = emitOpError() << "receive_c2: found " << getTensorAttr() << " of role " << stringifyRole(tensor.getRole())
                                            << ", expected output or intermediate";
    diag.attachNote(tensor.getLoc()) << "tensor is here";
    return diag;
  }
  // receive_c1
  return verifyElements(*this, tensor, getValue().getType(), /*mayRepeat=*/false, "receive_c1");
}

bool wafer::stream::isSameForEveryBatch(SendOp send) {
  return isSameForEveryBatch(send, send->getParentOfType<ProgramOp>().lookupSymbol<TensorOp>(send.getTensorAttr().getAttr()));
}

bool wafer::stream::isSameForEveryBatch(SendOp send, TensorOp tensor) {
  const int64_t batches = send->getParentOfType<SegmentOp>().getBatches();
  return batches > 1 && tensor && numElements(tensor) * batches == send.getResult().getType().getNumElements();
}

bool wafer::stream::isLastReader(Operation *kernel, Value value) {
  return llvm::all_of(value.getUsers(), [&](Operation *user) { return user == kernel || (!isa<ReceiveOp>(user) && user->isBeforeInBlock(kernel)); });
}

static LogicalResult verifySameTokens(Operation *op, RankedTensorType input, RankedTensorType result, StringRef label) {
  if (numTokens(input) != numTokens(result))
    return op->emitOpError() << label << ": found " << numTokens(result) << " tokens in the result, expected " << numTokens(input) << " as in the input";
  return success();
}

static LogicalResult verifyWire(Operation *op, std::optional<WireFormat> wire, Type element, StringRef label) {
  if (wire && !wireFormatFits(*wire, element))
    return op->emitOpError() << label << ": found wire format " << stringifyWireFormat(*wire) << " with " << element
                             << " input, expected dense32 or indexed32 with f32, packed16 or indexed16 with f16 or bf16, packed8 or indexed16 with i8";
  return success();
}

/// A vector of one element per feature, streamed beside the weights.
static LogicalResult verifyPerFeature(Operation *op, FlatSymbolRefAttr name, int64_t features, StringRef label) {
  TensorOp tensor = lookupTensor(op, name, label);
  if (!tensor)
    return failure();
  if (numElements(tensor) == features)
    return success();
  InFlightDiagnostic diag = op->emitOpError() << label << ": found " << numElements(tensor) << " elements in " << name << ", expected " << features
                                              << ", one per feature of the result";
  diag.attachNote(tensor.getLoc()) << "tensor is here";
  return diag;
}

/// First and last element of a tensor that rows, columns and batch entries reach.
static std::pair<int64_t, int64_t> reach(int64_t offset, ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides) {
  int64_t low = offset, high = offset;
  for (auto [size, stride] : llvm::zip_equal(sizes, strides)) {
    low += std::min<int64_t>(0, (size - 1) * stride);
    high += std::max<int64_t>(0, (size - 1) * stride);
  }
  return {low, high};
}

static LogicalResult verifyEntries(Operation *op, ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides, StringRef label) {
  int64_t entries = 1, batches = cast<SegmentOp>(op->getParentOp()).getBatches();
  for (int64_t size : sizes)
    entries *= size;
  if (sizes.size() == strides.size() && (sizes.empty() || entries == batches))
    return success();
  return op->emitOpError() << label << ": found " << sizes.size() << " batch sizes of product " << entries << " and " << strides.size()
                           << " batch strides, expected as many of each and the segment's " << batches << " batches";
}

LogicalResult ContractOp::verify() {
  RankedTensorType input = getInput().getType(), result = getResult().getType();
  // contract_c1
  if (failed(verifySameTokens(*this, input, result, "contract_c1")))
    return failure();
  // contract_c7
  if (std::optional<uint64_t> zeros = getInputZeros(); zeros && (*zeros < 1 || *zeros > 1000))
    return emitOpError() << "contract_c7: found " << int64_t(*zeros) << " thousandths of zeros in the input, expected 1 to 1000";
  // contract_c8
  if (FlatSymbolRefAttr guard = getGuardAttr()) {
    TensorOp tensor = lookupTensor(*this, guard, "contract_c8");
    if (!tensor)
      return failure();
    if (tensor.getRole() == Role::Weight || numElements(tensor) % numTokens(input) != 0 || !getInputZeros())
      return emitOpError() << "contract_c8: found the guard " << guard << ", a tensor <" << stringifyRole(tensor.getRole()) << "> of " << numElements(tensor) << " elements, and "
                           << (getInputZeros() ? "" : "no ") << "input_zeros; expected input_zeros and a tensor that is no weight and has " << numTokens(input) << " or a multiple";
  }
  // contract_c9
  std::optional<uint64_t> hidden = getOutputZeros();
  if (hidden.has_value() != (getMask() != nullptr) || (hidden && (*hidden < 1 || *hidden > 1000)))
    return emitOpError() << "contract_c9: found " << (getMask() ? "a" : "no") << " mask and output_zeros " << (hidden ? std::to_string(int64_t(*hidden)) : "missing")
                         << ", expected both or none, and 1 to 1000 thousandths";
  if (getMask() && (getMask().getType().getShape() != result.getShape() || getMask().getType().getEncoding() != result.getEncoding()))
    return emitOpError() << "contract_c9: found a mask of type " << getMask().getType() << ", expected the shape and layout of the result " << result;
  // contract_c2
  TensorOp weight = lookupTensor(*this, getWeightAttr(), "contract_c2");
  if (!weight)
    return failure();
  // contract_c5
  ArrayRef<int64_t> sizes = getBatchSizes(), strides = getBatchStrides();
  if (failed(verifyEntries(*this, sizes, strides, "contract_c5")))
    return failure();
  auto [first, last] = reach(getOffset(), sizes, strides);
  auto [low, high] = reach(first, {numFeatures(result), numFeatures(input)}, {int64_t(getRowStride()), int64_t(getColumnStride())});
  high += last - first;
  if (numFeatures(result) > 0 && numFeatures(input) > 0 && (low < 0 || high >= numElements(weight))) {
    InFlightDiagnostic diag = emitOpError() << "contract_c2: found elements " << low << " to " << high << " of " << getWeightAttr() << ", expected 0 to "
                                            << numElements(weight) - 1;
    diag.attachNote(weight.getLoc()) << "weight is here";
    return diag;
  }
  // contract_c3
  if (getBiasAttr() && failed(verifyPerFeature(*this, getBiasAttr(), numFeatures(result), "contract_c3")))
    return failure();
  // contract_c6
  bool isInteger = input.getElementType().isInteger(8), hasIntegerSums = result.getElementType().isInteger(32);
  if (isInteger != hasIntegerSums || (isInteger && getBiasAttr()))
    return emitOpError() << "contract_c6: found " << input.getElementType() << " input, " << result.getElementType() << " result and "
                         << (getBiasAttr() ? "a bias" : "no bias") << ", expected i8 input without a bias to go with an i32 result";
  // contract_c4
  return verifyWire(*this, getWire(), input.getElementType(), "contract_c4");
}

LogicalResult SampleOp::verify() {
  RankedTensorType rows = getRows().getType(), input = getInput() ? getInput().getType() : rows;
  // sample_c1
  if (failed(verifySameTokens(*this, input, rows, "sample_c1")))
    return failure();
  if (rows.getElementType() != input.getElementType())
    return emitOpError() << "sample_c1: found operands of " << rows.getElementType() << " and " << input.getElementType() << ", expected one type";
  // sample_c2
  TensorOp made = lookupTensor(*this, getTensorAttr(), "sample_c2");
  TensorOp pattern = made && getPatternAttr() ? lookupTensor(*this, getPatternAttr(), "sample_c2") : TensorOp();
  if (!made || (getPatternAttr() && !pattern))
    return failure();
  auto elementOf = [](TensorOp tensor) { return cast<RankedTensorType>(tensor.getType()).getElementType(); };
  if (!elementOf(made).isF32())
    return emitOpError() << "sample_c2: found a result of type " << made.getType() << ", expected one of f32";
  if (pattern && (!elementOf(pattern).isInteger(8) || numElements(pattern) != numElements(made)))
    return emitOpError() << "sample_c2: found a pattern of type " << pattern.getType() << " for " << made.getType() << ", expected as many elements of i8 as of f32";
  // sample_c6
  ArrayRef<int64_t> sizes = getBatchSizes(), strides = getBatchStrides();
  if (failed(verifyEntries(*this, sizes, strides, "sample_c6")))
    return failure();
  if (pattern && !sizes.empty())
    return emitOpError() << "sample_c6: found a pattern and sums for each batch entry, expected one of the two";
  // sample_c7
  std::optional<GridAttr> grid = (*this)->getParentOfType<SegmentOp>().getGrid();
  if (getGroupsAdded() && (!grid || grid->getGroups() < 2 || !mayAddGroups(grid->getBatchesAtOnce())))
    return emitOpError() << "sample_c7: adds groups on the wafer, expected a grid of several that hold no batch entries with sums of their own at a time";
  // sample_c3
  auto [first, last] = reach(getOffset(), sizes, strides);
  auto [low, high] = reach(first, {numFeatures(rows), getColumns()}, {int64_t(getRowStride()), int64_t(getColumnStride())});
  high += last - first;
  if (low < 0 || high >= numElements(made))
    return emitOpError() << "sample_c3: found elements " << low << " to " << high << " of " << getTensorAttr() << ", expected 0 to " << numElements(made) - 1;
  return success();
}

LogicalResult AttendOp::verify() {
  RankedTensorType qkv = getQkv().getType(), result = getResult().getType(), other = getGradient() ? getGradient().getType() : result;
  // attend_c4
  if (failed(verifySameTokens(*this, qkv, result, "attend_c4")) || failed(verifySameTokens(*this, qkv, other, "attend_c4")))
    return failure();
  const int64_t features = numFeatures(other);
  const auto across = static_cast<int64_t>(getAcross());
  if (getHeads() < 1 || across < 1 || across > 2 || features % numParts() != 0 || numFeatures(qkv) != 3 * features || (getGradient() && numFeatures(result) != numFeatures(qkv)))
    return emitOpError() << "attend_c4: found " << numFeatures(qkv) << " features of queries, keys and values for " << features << " with " << getHeads()
                         << " heads across " << across << " columns, expected three times as many, a multiple of the heads, and heads in one or two columns";
  const int64_t ofTable = getRotation() ? numFeatures(getRotation().getType()) : 0;
  if (getRotation() && (failed(verifySameTokens(*this, getRotation().getType(), result, "attend_c4")) || (ofTable != 2 * features && ofTable != features) || features / numParts() % 2 != 0))
    return emitOpError() << "attend_c4: found a table of " << getRotation().getType() << " for " << features << " features, expected as many or twice as many, and heads of an even number of elements in each column";
  if (qkv.getElementType() != result.getElementType() || qkv.getElementType() != other.getElementType() || !isStorageType(qkv.getElementType()))
    return emitOpError() << "attend_c4: found elements of " << qkv.getElementType() << ", " << other.getElementType() << " and " << result.getElementType() << ", expected one of f32, f16 and bf16";
  return success();
}

// What comes may come once for all micro-batches.
bool AttendOp::isInPlace() { return isLastReader(*this, getQkv()) && !getQkv().getDefiningOp<SendOp>(); }

LogicalResult ScaleOp::verify() {
  RankedTensorType input = getInput().getType(), result = getResult().getType();
  if (failed(verifySameTokens(*this, input, result, "scale_c1")))
    return failure();
  if (numFeatures(input) != numFeatures(result))
    return emitOpError() << "scale_c1: found " << numFeatures(result) << " features in the result, expected " << numFeatures(input) << " as in the input";
  // scale_c2
  if (!getGammaAttr() && !getBetaAttr())
    return emitOpError() << "scale_c2: found neither gamma nor beta, expected at least one";
  // scale_c1
  if (getGammaAttr() && failed(verifyPerFeature(*this, getGammaAttr(), numFeatures(result), "scale_c1")))
    return failure();
  if (getBetaAttr() && failed(verifyPerFeature(*this, getBetaAttr(), numFeatures(result), "scale_c1")))
    return failure();
  // scale_c3
  if (!isStorageType(input.getElementType()))
    return emitOpError() << "scale_c3: found " << input.getElementType() << " input, expected f32, f16 or bf16";
  return verifyWire(*this, getWire(), input.getElementType(), "scale_c3");
}

LogicalResult MapOp::verify() {
  RankedTensorType result = getResult().getType();
  // map_c1
  for (Value input : getInputs()) {
    auto type = cast<RankedTensorType>(input.getType());
    if (failed(verifySameTokens(*this, type, result, "map_c1")))
      return failure();
    if (numFeatures(type) != numFeatures(result) && numFeatures(type) != 1)
      return emitOpError() << "map_c1: found an operand of " << numFeatures(type) << " features, expected " << numFeatures(result) << " or 1";
  }
  // map_c2
  Block &body = getBody().front();
  if (body.getNumArguments() != getInputs().size())
    return emitOpError() << "map_c2: found " << body.getNumArguments() << " block arguments, expected " << getInputs().size() << ", one per operand";
  for (auto [argument, input] : llvm::zip_equal(body.getArguments(), getInputs())) {
    Type element = cast<RankedTensorType>(input.getType()).getElementType();
    if (argument.getType() != element)
      return emitOpError() << "map_c2: found block argument " << argument.getArgNumber() << " of type " << argument.getType() << ", expected " << element;
  }
  auto yield = dyn_cast<YieldOp>(body.back());
  if (!yield)
    return emitOpError() << "map_c2: expected the body to end with stream.yield";
  if (yield.getValue().getType() != result.getElementType())
    return emitOpError() << "map_c2: found a yielded value of type " << yield.getValue().getType() << ", expected " << result.getElementType();
  // map_c3
  for (Operation &op : body.without_terminator())
    if (!hasMachineInstruction(&op))
      return op.emitError() << "map_c3: found '" << op.getName() << "' in a stream.map, expected an operation that has a machine instruction";
  return success();
}

/// A map that yields its argument is the operand itself when shape, type and layout agree.
OpFoldResult MapOp::fold(FoldAdaptor) {
  auto yield = dyn_cast<YieldOp>(getBody().front().back());
  if (!yield)
    return {};
  auto argument = dyn_cast<BlockArgument>(yield.getValue());
  if (!argument)
    return {};
  Value input = getInputs()[argument.getArgNumber()];
  return input.getType() == getType() ? OpFoldResult(input) : OpFoldResult();
}

namespace {
/// One operand per value, and none that the body does not read: fewer descriptors for a core to set up.
struct DropRedundantOperands : OpRewritePattern<MapOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MapOp map, PatternRewriter &rewriter) const override {
    Block &body = map.getBody().front();
    for (auto [index, input] : llvm::enumerate(map.getInputs())) {
      BlockArgument argument = body.getArgument(index);
      size_t first = std::distance(map.getInputs().begin(), llvm::find(map.getInputs(), input));
      bool repeated = first != index;
      if (!repeated && !argument.use_empty())
        continue;
      rewriter.modifyOpInPlace(map, [&, index = index] {
        if (repeated)
          argument.replaceAllUsesWith(body.getArgument(first));
        body.eraseArgument(index);
        map->eraseOperand(index);
      });
      return success();
    }
    return rewriter.notifyMatchFailure(map, "every operand is read and none is there twice");
  }
};
} // namespace

void MapOp::getCanonicalizationPatterns(RewritePatternSet &results, MLIRContext *context) { results.add<DropRedundantOperands>(context); }

LogicalResult ReduceOp::verify() {
  RankedTensorType input = getInput().getType(), result = getResult().getType();
  // reduce_c1
  if (failed(verifySameTokens(*this, input, result, "reduce_c1")))
    return failure();
  if (numFeatures(result) != 1)
    return emitOpError() << "reduce_c1: found " << numFeatures(result) << " features in the result, expected 1";
  return success();
}
