//===- Guards.cpp - indices stay inside tensors ---------------------------===//

#include "Guards.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace wafer {

namespace {

thread_local Fault fault;

class GuardBuilder {
public:
  explicit GuardBuilder(func::FuncOp function) : function_(function), builder_(function.getContext()) {}
  FailureOr<GuardSites> run();

private:
  LogicalResult guardAccess(Operation *op, RankedTensorType type, MutableOperandRange indices);
  LogicalResult guardSlice(OffsetSizeAndStrideOpInterface slice, RankedTensorType type, MutableOperandRange offsets);
  void guardDivision(Operation *op, bool isSigned);
  LogicalResult guardIndex(Operation *op, OpOperand &operand, int64_t bound);
  void report(Value isWrong, Value value, int64_t bound);
  int64_t siteOf(Operation *op);
  Value constant(Type type, int64_t value) { return arith::ConstantOp::create(builder_, loc_, builder_.getIntegerAttr(type, value)); }

  func::FuncOp function_;
  OpBuilder builder_;
  Location loc_ = function_.getLoc();
  Operation *current_ = nullptr;
  GuardSites sites_;
};

int64_t GuardBuilder::siteOf(Operation *op) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "'" << op->getName() << "' at " << op->getLoc();
  sites_.push_back(std::move(text));
  return static_cast<int64_t>(sites_.size()) - 1;
}

/// if (isWrong) fault(site, value, bound)
void GuardBuilder::report(Value isWrong, Value value, int64_t bound) {
  Type i64 = builder_.getI64Type();
  auto branch = scf::IfOp::create(builder_, loc_, isWrong, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  Value wide = value;
  if (value.getType().isIndex())
    wide = arith::IndexCastOp::create(builder_, loc_, i64, value);
  else if (value.getType() != i64)
    wide = arith::ExtSIOp::create(builder_, loc_, i64, value);
  func::CallOp::create(builder_, loc_, faultFunctionName, TypeRange(),
                       ValueRange{constant(i64, siteOf(current_)), wide, constant(i64, bound)});
}

/// Whether `value` is the loop index of an enclosing linalg operation with at most `bound` iterations.
bool isLoopIndexBelow(Value value, int64_t bound) {
  auto index = value.getDefiningOp<linalg::IndexOp>();
  if (!index)
    return false;
  auto loops = dyn_cast<linalg::LinalgOp>(index->getParentOp());
  if (!loops)
    return false;
  int64_t range = loops.getStaticLoopRanges()[index.getDim()];
  return !ShapedType::isDynamic(range) && range <= bound;
}

LogicalResult GuardBuilder::guardIndex(Operation *op, OpOperand &operand, int64_t bound) {
  Value index = operand.get();
  if (isLoopIndexBelow(index, bound))
    return success();
  APInt known;
  if (matchPattern(index, m_ConstantInt(&known))) {
    int64_t value = known.getSExtValue();
    if (value >= 0 && value < bound)
      return success();
    return op->emitOpError() << "has index " << value << ", expected at least 0 and less than " << bound;
  }
  Value isWrong = arith::CmpIOp::create(builder_, loc_, arith::CmpIPredicate::uge, index, constant(index.getType(), bound));
  report(isWrong, index, bound);
  operand.set(arith::SelectOp::create(builder_, loc_, isWrong, constant(index.getType(), 0), index));
  return success();
}

LogicalResult GuardBuilder::guardAccess(Operation *op, RankedTensorType type, MutableOperandRange indices) {
  if (type.getNumElements() == 0)
    return op->emitOpError() << "accesses an element of " << type << ", which has none";
  for (auto [operand, size] : llvm::zip_equal(indices, type.getShape()))
    if (failed(guardIndex(op, operand, size)))
      return failure();
  return success();
}

LogicalResult GuardBuilder::guardSlice(OffsetSizeAndStrideOpInterface slice, RankedTensorType type, MutableOperandRange offsets) {
  auto dynamic = offsets.begin();
  for (auto [offset, size, stride, extent] :
       llvm::zip_equal(slice.getStaticOffsets(), slice.getStaticSizes(), slice.getStaticStrides(), type.getShape())) {
    // Number of offsets at which the slice fits; one for an empty slice.
    int64_t bound = size == 0 ? extent + 1 : stride < 0 || size > extent ? 0 : extent - (size - 1) * stride;
    if (!ShapedType::isDynamic(offset)) {
      if (offset < 0 || offset >= bound)
        return slice->emitOpError() << "takes " << size << " elements of stride " << stride << " from " << offset
                                    << " on of a dimension of " << extent;
      continue;
    }
    if (bound <= 0)
      return slice->emitOpError() << "takes " << size << " elements of stride " << stride << " of a dimension of " << extent;
    if (failed(guardIndex(slice, *dynamic++, bound)))
      return failure();
  }
  return success();
}

/// A divisor of 0 is a fault. The lowest number divided by -1 wraps, as it does when the divisor is 1; the host's instruction would trap.
void GuardBuilder::guardDivision(Operation *op, bool isSigned) {
  OpOperand &operand = op->getOpOperand(1);
  Value divisor = operand.get(), dividend = op->getOperand(0);
  Type type = divisor.getType();
  APInt known;
  if (matchPattern(divisor, m_ConstantInt(&known)) && !known.isZero() && !known.isAllOnes())
    return;
  Value one = constant(type, 1);
  Value isZero = arith::CmpIOp::create(builder_, loc_, arith::CmpIPredicate::eq, divisor, constant(type, 0));
  report(isZero, divisor, 0);
  Value isWrong = isZero;
  if (isSigned) {
    unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
    Value isLowest = arith::CmpIOp::create(builder_, loc_, arith::CmpIPredicate::eq, dividend,
                                           constant(type, APInt::getSignedMinValue(width).getSExtValue()));
    Value isMinusOne = arith::CmpIOp::create(builder_, loc_, arith::CmpIPredicate::eq, divisor, constant(type, -1));
    isWrong = arith::OrIOp::create(builder_, loc_, isZero, arith::AndIOp::create(builder_, loc_, isLowest, isMinusOne));
  }
  operand.set(arith::SelectOp::create(builder_, loc_, isWrong, one, divisor));
}

FailureOr<GuardSites> GuardBuilder::run() {
  SmallVector<Operation *> ops;
  function_.walk([&](Operation *op) { ops.push_back(op); });
  for (Operation *op : ops) {
    builder_.setInsertionPoint(op);
    loc_ = op->getLoc();
    current_ = op;
    LogicalResult guarded = success();
    if (auto extract = dyn_cast<tensor::ExtractOp>(op))
      guarded = guardAccess(op, extract.getTensor().getType(), extract.getIndicesMutable());
    else if (auto insert = dyn_cast<tensor::InsertOp>(op))
      guarded = guardAccess(op, insert.getDest().getType(), insert.getIndicesMutable());
    else if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
      guarded = guardSlice(slice, slice.getSourceType(), slice.getOffsetsMutable());
    else if (auto insertSlice = dyn_cast<tensor::InsertSliceOp>(op))
      guarded = guardSlice(insertSlice, insertSlice.getDestType(), insertSlice.getOffsetsMutable());
    else if (isa<arith::DivSIOp, arith::RemSIOp, arith::CeilDivSIOp, arith::FloorDivSIOp>(op))
      guardDivision(op, true);
    else if (isa<arith::DivUIOp, arith::RemUIOp, arith::CeilDivUIOp>(op))
      guardDivision(op, false);
    if (failed(guarded))
      return failure();
  }
  builder_.setInsertionPoint(function_);
  Type i64 = builder_.getI64Type();
  auto told = func::FuncOp::create(builder_, function_.getLoc(), faultFunctionName, builder_.getFunctionType({i64, i64, i64}, {}));
  told.setPrivate();
  return std::move(sites_);
}

} // namespace

FailureOr<GuardSites> addGuards(func::FuncOp function) { return GuardBuilder(function).run(); }

Fault takeFault() { return std::exchange(fault, Fault()); }

void reportFault(int64_t site, int64_t value, int64_t bound) {
  if (!fault.happened)
    fault = {true, site, value, bound};
}

} // namespace wafer
