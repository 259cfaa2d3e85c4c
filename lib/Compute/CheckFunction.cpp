//===- CheckFunction.cpp - what a MemoryX function may consist of ---------===//

#include "CheckFunction.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"

#include <unistd.h>

using namespace mlir;

namespace wafer {

namespace {

uint64_t bytesOfHost() { return uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGESIZE)); }

bool isScalar(Type type) {
  auto integer = dyn_cast<IntegerType>(type);
  return type.isIndex() || type.isF16() || type.isBF16() || type.isF32() || type.isF64() ||
         (integer && integer.isSignless() && integer.getWidth() <= 64);
}

bool isAllowedOp(Operation *op) {
  if (isa<ModuleOp>(op))
    return !op->getParentOp();
  // Whatever calls could reach a function that is not in the module. math.ipowi divides by zero on purpose; parallel loops are for the
  // wafer.
  if (isa<func::FuncOp, func::ReturnOp, bufferization::AllocTensorOp>(op))
    return true;
  if (isa<scf::ForOp, scf::IfOp, scf::WhileOp, scf::ConditionOp, scf::YieldOp, scf::IndexSwitchOp>(op))
    return true;
  if (isa<tensor::BitcastOp, tensor::CastOp, tensor::CollapseShapeOp, tensor::ConcatOp, tensor::DimOp, tensor::EmptyOp,
          tensor::ExpandShapeOp, tensor::ExtractOp, tensor::ExtractSliceOp, tensor::FromElementsOp, tensor::GenerateOp, tensor::InsertOp,
          tensor::InsertSliceOp, tensor::PadOp, tensor::RankOp, tensor::SplatOp, tensor::YieldOp>(op))
    return true;
  if (isa<math::IPowIOp>(op))
    return false;
  return isa_and_nonnull<arith::ArithDialect, math::MathDialect, linalg::LinalgDialect>(op->getDialect());
}

LogicalResult checkType(Operation *op, Type type) {
  if (isScalar(type))
    return success();
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.hasStaticShape() || tensor.getEncoding() || !isScalar(tensor.getElementType()))
    return op->emitOpError() << "has a value of type " << type << ", expected a scalar or a tensor of static shape";
  // An index counts like 64 bits, a bool like a byte.
  Type element = tensor.getElementType();
  uint64_t bytes = element.isIndex() ? 8 : (element.getIntOrFloatBitWidth() + 7) / 8;
  for (int64_t size : tensor.getShape())
    if (size != 0 && __builtin_mul_overflow(bytes, uint64_t(size), &bytes))
      bytes = UINT64_MAX;
  if (bytes > bytesOfHost())
    return op->emitOpError() << "has a value of type " << type << ", which is larger than the memory of this host";
  return success();
}

LogicalResult checkSlice(OffsetSizeAndStrideOpInterface slice) {
  if (ShapedType::isDynamicShape(slice.getStaticSizes()) || ShapedType::isDynamicShape(slice.getStaticStrides()))
    return slice->emitOpError("has sizes or strides that are computed, expected constants");
  return success();
}

LogicalResult checkPad(tensor::PadOp pad) {
  for (ArrayRef<int64_t> padding : {pad.getStaticLow(), pad.getStaticHigh()})
    for (int64_t count : padding)
      if (count < 0) // also a computed one
        return pad->emitOpError("has padding that is computed or negative, expected constants");
  return success();
}

LogicalResult checkOp(Operation *op) {
  if (!isAllowedOp(op))
    return op->emitOpError("cannot run in MemoryX, which takes functions of arith, math, linalg, tensor and scf operations");
  for (Type type : op->getOperandTypes())
    if (failed(checkType(op, type)))
      return failure();
  for (Type type : op->getResultTypes())
    if (failed(checkType(op, type)))
      return failure();
  for (Region &region : op->getRegions()) {
    if (!region.empty() && !region.hasOneBlock())
      return op->emitOpError("has several blocks in a region, expected structured control flow");
    for (Type type : region.getArgumentTypes())
      if (failed(checkType(op, type)))
        return failure();
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op); constant && isa<DenseResourceElementsAttr>(constant.getValue()))
    return op->emitOpError("has its value in a resource, expected it in place");
  if (isa<tensor::ExtractSliceOp, tensor::InsertSliceOp>(op))
    return checkSlice(cast<OffsetSizeAndStrideOpInterface>(op));
  if (auto pad = dyn_cast<tensor::PadOp>(op))
    return checkPad(pad);
  if (auto function = dyn_cast<func::FuncOp>(op); function && function.isDeclaration())
    return op->emitOpError() << "of '@" << function.getSymName() << "' has no body";
  return success();
}

LogicalResult checkBoundary(func::FuncOp function) {
  auto check = [&](const char *what, TypeRange types) -> LogicalResult {
    for (auto [number, type] : llvm::enumerate(types)) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      if (!tensor || !dtypeOf(tensor.getElementType()))
        return function.emitOpError() << "has " << what << " " << number << " of type " << type
                                      << ", expected a tensor of f32, f16, bf16, f64, i64, i32, i16, i8 or i1";
    }
    return success();
  };
  return failure(failed(check("argument", function.getArgumentTypes())) || failed(check("result", function.getResultTypes())));
}

} // namespace

std::optional<DType> dtypeOf(Type elementType) {
  if (elementType.isF32())
    return DType::F32;
  if (elementType.isF16())
    return DType::F16;
  if (elementType.isBF16())
    return DType::BF16;
  if (elementType.isF64())
    return DType::F64;
  if (elementType.isSignlessInteger(64))
    return DType::I64;
  if (elementType.isSignlessInteger(32))
    return DType::I32;
  if (elementType.isSignlessInteger(16))
    return DType::I16;
  if (elementType.isSignlessInteger(8))
    return DType::I8;
  if (elementType.isSignlessInteger(1))
    return DType::Bool;
  return std::nullopt;
}

FailureOr<func::FuncOp> checkFunction(ModuleOp module, StringRef name) {
  // Outside in, so that the outermost cause is reported.
  WalkResult walked = module->walk<WalkOrder::PreOrder>(
      [](Operation *op) { return failed(checkOp(op)) ? WalkResult::interrupt() : WalkResult::advance(); });
  if (walked.wasInterrupted())
    return failure();
  auto function = module.lookupSymbol<func::FuncOp>(name);
  if (!function)
    return module.emitError() << "has no function '@" << name << "'";
  if (failed(checkBoundary(function)))
    return failure();
  return function;
}

} // namespace wafer
