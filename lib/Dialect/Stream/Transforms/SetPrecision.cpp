//===- SetPrecision.cpp - stream-set-precision -----------------------------===//

#include "Precisions.h"

#include "wafer/Dialect/Stream/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace wafer::stream {

#define GEN_PASS_DEF_SETPRECISION
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"

namespace {

struct SetPrecision : impl::SetPrecisionBase<SetPrecision> {
  using SetPrecisionBase::SetPrecisionBase;

  void runOnOperation() override;
  void setInSegment(SegmentOp segment);
  bool staysWide(Value value) const;
  Type typeFor(Value value) const;

  std::optional<Precisions> precisions;
  llvm::DenseSet<Value> wide;
};

bool isMultiplied(OpOperand &use) {
  auto contract = dyn_cast<ContractOp>(use.getOwner());
  return contract ? use.get() == contract.getInput() : isa<ScaleOp, SampleOp, AttendOp>(use.getOwner());
}

/// Sums, maxima, and what is computed for a token of them and of integers alone, stay f32, and so does what only reductions read. Asked in program order.
bool SetPrecision::staysWide(Value value) const {
  Operation *op = value.getDefiningOp();
  auto isReduced = [](OpOperand &use) { return isa<ReduceOp>(use.getOwner()); };
  // What is rounded to integers, or made of them, is as exact as can be.
  auto isMadeInteger = [](OpOperand &use) { return isa<MapOp>(use.getOwner()) && !isStorageType(getElementTypeOrSelf(use.getOwner()->getResult(0).getType())); };
  if (isa<ReduceOp>(op) || llvm::any_of(value.getUses(), isMadeInteger))
    return true;
  if (!isa<SendOp>(op) && !value.use_empty() && llvm::all_of(value.getUses(), isReduced))
    return true;
  auto isWide = [&](Value input) { return wide.contains(input) || !isStorageType(getElementTypeOrSelf(input.getType())); };
  auto map = dyn_cast<MapOp>(op);
  return map && numFeatures(map.getType()) == 1 && llvm::all_of(map.getInputs(), isWide) && llvm::none_of(value.getUses(), isMultiplied);
}

/// What is computed has the type of its operation. What is sent has that of the operations that read it if they agree: MemoryX holds f32.
Type SetPrecision::typeFor(Value value) const {
  if (!isa<SendOp>(value.getDefiningOp()) || value.use_empty())
    return precisions->of(value.getLoc());
  llvm::SetVector<Type> types;
  for (Operation *user : value.getUsers())
    types.insert(precisions->of(user->getLoc()));
  return types.size() == 1 ? types.front() : Float32Type::get(value.getContext());
}

void setElementType(Value value, Type element) { value.setType(cast<RankedTensorType>(value.getType()).clone(element)); }

/// The body goes on computing in f32.
void convertAtEdges(MapOp map) {
  Block &body = map.getBody().front();
  OpBuilder builder = OpBuilder::atBlockBegin(&body);
  for (auto [argument, input] : llvm::zip_equal(body.getArguments(), map.getInputs())) {
    Type element = getElementTypeOrSelf(input.getType()), before = argument.getType();
    if (element == before)
      continue;
    argument.setType(element);
    auto extended = arith::ExtFOp::create(builder, argument.getLoc(), before, argument);
    argument.replaceAllUsesExcept(extended, extended);
  }
  auto yield = cast<YieldOp>(body.back());
  Type element = map.getType().getElementType();
  if (yield.getValue().getType() != element) {
    builder.setInsertionPoint(yield);
    yield.getValueMutable().assign(arith::TruncFOp::create(builder, yield.getLoc(), element, yield.getValue()));
  }
}

void SetPrecision::setInSegment(SegmentOp segment) {
  wide.clear();
  Block &kernels = segment.getBody().front();
  for (Operation &op : kernels) {
    for (Value result : op.getResults()) {
      if (!getElementTypeOrSelf(result.getType()).isF32())
        continue;
      if (staysWide(result))
        wide.insert(result);
      else
        setElementType(result, typeFor(result));
    }
  }
  for (Operation &op : llvm::make_early_inc_range(kernels)) {
    if (auto map = dyn_cast<MapOp>(op))
      convertAtEdges(map);
    // What is multiplied has the type of the operation that does it: a sum is narrowed before, a value of another layer converted.
    for (OpOperand &operand : op.getOpOperands()) {
      Type before = getElementTypeOrSelf(operand.get().getType()), after = isMultiplied(operand) ? precisions->of(op.getLoc()) : FloatType();
      if (!after || before == after || !isStorageType(before))
        continue;
      OpBuilder builder(&op);
      auto type = cast<RankedTensorType>(cast<RankedTensorType>(operand.get().getType()).clone(after));
      auto map = MapOp::create(builder, op.getLoc(), type, operand.get());
      Value converted = builder.createBlock(&map.getBody(), {}, before, op.getLoc())->getArgument(0);
      if (!before.isF32())
        converted = arith::ExtFOp::create(builder, op.getLoc(), builder.getF32Type(), converted);
      if (!after.isF32())
        converted = arith::TruncFOp::create(builder, op.getLoc(), after, converted);
      YieldOp::create(builder, op.getLoc(), converted);
      operand.set(map);
    }
  }
}

void SetPrecision::runOnOperation() {
  FailureOr<Precisions> parsed = Precisions::parse(type, getOperation().getLoc());
  if (failed(parsed))
    return signalPassFailure();
  precisions = *parsed;
  if (precisions->areAllF32())
    return;
  for (auto segment : getOperation().getOps<SegmentOp>())
    setInSegment(segment);
}

} // namespace

} // namespace wafer::stream
