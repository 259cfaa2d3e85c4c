//===- SetPrecision.cpp - stream-set-precision -----------------------------===//

#include "wafer/Dialect/Stream/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"

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

  Type narrow;
  llvm::DenseSet<Value> wide;
};

bool isMultiplied(OpOperand &use) { return isa<ContractOp, ScaleOp>(use.getOwner()); }

/// Sums, maxima and what is computed of them alone stay f32, and so does what only reductions read. Asked in program order.
bool SetPrecision::staysWide(Value value) const {
  Operation *op = value.getDefiningOp();
  auto isReduced = [](OpOperand &use) { return isa<ReduceOp>(use.getOwner()); };
  if (isa<ReduceOp>(op))
    return true;
  if (!isa<SendOp>(op) && !value.use_empty() && llvm::all_of(value.getUses(), isReduced))
    return true;
  auto map = dyn_cast<MapOp>(op);
  return map && numFeatures(map.getType()) == 1 && llvm::all_of(map.getInputs(), [&](Value input) { return wide.contains(input); }) &&
         llvm::none_of(value.getUses(), isMultiplied);
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
        setElementType(result, narrow);
    }
  }
  for (Operation &op : llvm::make_early_inc_range(kernels)) {
    if (auto map = dyn_cast<MapOp>(op))
      convertAtEdges(map);
    // A reduction's result that is multiplied by weights is narrowed between.
    for (OpOperand &operand : op.getOpOperands()) {
      if (!isMultiplied(operand) || !wide.contains(operand.get()))
        continue;
      OpBuilder builder(&op);
      auto type = cast<RankedTensorType>(cast<RankedTensorType>(operand.get().getType()).clone(narrow));
      auto map = MapOp::create(builder, op.getLoc(), type, operand.get());
      Block *body = builder.createBlock(&map.getBody(), {}, builder.getF32Type(), op.getLoc());
      YieldOp::create(builder, op.getLoc(), arith::TruncFOp::create(builder, op.getLoc(), narrow, body->getArgument(0)));
      operand.set(map);
    }
  }
}

void SetPrecision::runOnOperation() {
  MLIRContext *context = &getContext();
  narrow = type == "f16" ? Type(Float16Type::get(context)) : type == "bf16" ? Type(BFloat16Type::get(context)) : Type(Float32Type::get(context));
  if (narrow.isF32() && type != "f32") {
    emitError(getOperation().getLoc()) << "found precision '" << type << "', expected f16, bf16 or f32";
    return signalPassFailure();
  }
  if (narrow.isF32())
    return;
  for (auto segment : getOperation().getOps<SegmentOp>())
    setInSegment(segment);
}

} // namespace

} // namespace wafer::stream
