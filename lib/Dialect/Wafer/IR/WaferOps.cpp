//===- WaferOps.cpp - rules of the machine program --------------------------===//
//
// What can be checked while passes still work on the program. The rest is proved when the executable is loaded.
//
//===----------------------------------------------------------------------===//

#include "wafer/Dialect/PE/PE.h"
#include "wafer/Dialect/Wafer/Wafer.h"
#include "wafer/Machine/Machine.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

#include <map>

using namespace mlir;
using namespace wafer::wfr;

#define GET_OP_CLASSES
#include "wafer/Dialect/Wafer/WaferOps.cpp.inc"

LogicalResult ProgramOp::verify() {
  // color_c2
  llvm::DenseMap<int64_t, ColorOp> byNumber;
  for (auto color : getOps<ColorOp>()) {
    if (!color.getNumber())
      continue;
    auto [other, isNew] = byNumber.try_emplace(*color.getNumber(), color);
    if (!isNew) {
      InFlightDiagnostic diag = color.emitOpError() << "has number " << *color.getNumber() << ", which is taken (color_c2)";
      diag.attachNote(other->second.getLoc()) << "by '@" << other->second.getSymName() << "' here";
      return diag;
    }
  }
  // route_c1
  std::map<std::pair<StringRef, int64_t>, SmallVector<RouteOp>> routes; // by color and load
  for (auto route : getOps<RouteOp>()) {
    SmallVector<RouteOp> &others = routes[{route.getColor(), static_cast<int64_t>(route.getLoad())}];
    for (RouteOp other : others)
      if (intersect(route.getRect(), other.getRect())) {
        InFlightDiagnostic diag = route.emitOpError() << "gives a router a second entry for color '@" << route.getColor() << "' (route_c1)";
        diag.attachNote(other.getLoc()) << "first entry here";
        return diag;
      }
    if (others.empty() && !lookupSymbol<ColorOp>(route.getColor()))
      return route.emitOpError() << "names '@" << route.getColor() << "', expected a wafer.color of the program";
    others.push_back(route);
  }
  return success();
}

// Accessors of i64 attributes return unsigned numbers; rules about signs read them as what is written.
static int64_t written(uint64_t value) { return static_cast<int64_t>(value); }

LogicalResult TensorOp::verify() {
  // tensor_c1
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape() || type.getEncoding())
    return emitOpError() << "has type " << type << ", expected a static shape without encoding (tensor_c1)";
  return success();
}

LogicalResult ColorOp::verify() {
  // color_c1; which colors there are is up to the machine, which is data and may be missing while IR is inspected elsewhere.
  if (getNumber() && written(*getNumber()) < 0)
    return emitOpError() << "has number " << written(*getNumber()) << ", expected 0 or more (color_c1)";
  return success();
}

LogicalResult RouteOp::verify() {
  // route_c1
  if (getTo().empty())
    return emitOpError("sends to no direction (route_c1)");
  for (Attribute to : getTo())
    if (cast<DirectionAttr>(to).getValue() == getFrom())
      return emitOpError() << "sends back to where it receives from, " << stringifyDirection(getFrom()) << " (route_c1)";
  return success();
}

LogicalResult BufferOp::verify() {
  // buffer_c1
  if (written(getBytes()) < 1)
    return emitOpError() << "has " << written(getBytes()) << " bytes, expected at least 1 (buffer_c1)";
  if (written(getFirst()) > written(getLast()))
    return emitOpError() << "is live from step " << written(getFirst()) << " to " << written(getLast()) << " (buffer_c1)";
  return success();
}

static LogicalResult verifyMemory(DescriptorOp op) {
  // descriptor_c1
  if (!op.getOn() || !op.getExtents() || !op.getStrides() || op.getValue())
    return op.emitOpError("in memory needs a buffer, extents and strides, and no value (descriptor_c1)");
  auto buffer = op->getParentOfType<ImageOp>().lookupSymbol<BufferOp>(*op.getOn());
  if (!buffer)
    return op.emitOpError() << "names '@" << *op.getOn() << "', expected a wafer.buffer of the image (descriptor_c1)";
  if (buffer.getAcc() != (op.getKind() == DescriptorKind::Acc))
    return op.emitOpError() << "and its buffer are not in the same memory (descriptor_c1)";
  int64_t bytes = op.getType().getIntOrFloatBitWidth() / 8;
  int64_t low = op.getOffset().value_or(0), high = low + bytes;
  for (auto [extent, stride] : llvm::zip(*op.getExtents(), *op.getStrides())) {
    if (extent == 0)
      return success();
    (stride < 0 ? low : high) += (extent - 1) * stride * bytes;
  }
  if (low < 0 || high > static_cast<int64_t>(buffer.getBytes())) {
    InFlightDiagnostic diag = op.emitOpError() << "reaches bytes " << low << " to " << high << " of a buffer of " << buffer.getBytes() << " bytes (descriptor_c1)";
    diag.attachNote(buffer.getLoc()) << "buffer declared here";
    return diag;
  }
  return success();
}

LogicalResult DescriptorOp::verify() {
  for (std::optional<ArrayRef<int64_t>> list : {getExtents(), getStrides()})
    if (list && list->size() != 4)
      return emitOpError() << "has " << list->size() << " extents or strides, expected 4 (descriptor_c1)";
  // descriptor_c4
  Type type = getType();
  if (!type.isF32() && !type.isF16() && !type.isBF16() && !type.isSignlessInteger(32) && !type.isSignlessInteger(16) && !type.isSignlessInteger(8))
    return emitOpError() << "has elements of type " << type << ", expected f32, f16, bf16, i32, i16 or i8 (descriptor_c4)";
  for (int64_t extent : getExtents().value_or(ArrayRef<int64_t>()))
    if (extent < 0 || extent > UINT16_MAX)
      return emitOpError() << "has extent " << extent << ", expected 0 to " << UINT16_MAX << " (descriptor_c4)";
  for (int64_t stride : getStrides().value_or(ArrayRef<int64_t>()))
    if (stride < INT16_MIN || stride > INT16_MAX)
      return emitOpError() << "has stride " << stride << ", expected " << INT16_MIN << " to " << INT16_MAX << " (descriptor_c4)";
  switch (getKind()) {
  case DescriptorKind::Mem:
  case DescriptorKind::Acc:
    return verifyMemory(*this);
  case DescriptorKind::Receive:
  case DescriptorKind::Send:
    // descriptor_c2
    if (!getOn() || !getExtents() || getStrides())
      return emitOpError("on the fabric needs a channel and extents, and no strides (descriptor_c2)");
    return success();
  case DescriptorKind::Const:
    // descriptor_c3
    if (!getValue() || getOn() || getExtents() || getStrides())
      return emitOpError("of kind const needs a value and nothing else (descriptor_c3)");
    return success();
  }
  return success();
}

LogicalResult ImageOp::verify() {
  // task_c6
  if (auto start = getStartAttr()) {
    auto task = lookupSymbol<TaskOp>(start.getAttr());
    if (!task || task.getKind() != TaskKind::Control)
      return emitOpError() << "starts with '" << start << "', expected a control task of the image (task_c6)";
  }
  // task_c1
  llvm::DenseMap<int64_t, TaskOp> byNumber;
  for (auto task : getOps<TaskOp>()) {
    if (task.getKind() != TaskKind::Control)
      continue;
    auto [other, isNew] = byNumber.try_emplace(task.getNumber(), task);
    if (!isNew) {
      InFlightDiagnostic diag = task.emitOpError() << "has number " << task.getNumber() << ", which is taken (task_c1)";
      diag.attachNote(other->second.getLoc()) << "by '@" << other->second.getSymName() << "' here";
      return diag;
    }
  }
  return success();
}

LogicalResult TaskOp::verify() {
  Block &body = getBody().front();
  // task_c3
  if (body.empty() || !isa<wafer::pe::EndOp>(body.back()))
    return emitOpError("does not end with pe.end (task_c3)");
  for (Operation &op : body) {
    auto insn = dyn_cast<wafer::pe::InstructionOpInterface>(op);
    if (!insn)
      return op.emitOpError("is not a pe operation; a task holds nothing else (task_c3)");
    if (isa<wafer::pe::EndOp>(op) && &op != &body.back())
      return op.emitOpError("stands before the end of its task (task_c3)");
    // task_c4
    bool isTrigger = insnClass(insn.toInstruction().opcode) == wafer::InsnClass::Trigger;
    if (isTrigger != (getKind() == TaskKind::Data) && !isa<wafer::pe::EndOp>(op))
      return op.emitOpError(isTrigger ? "is a trigger, which only a data task may hold (task_c4)" : "stands in a data task, which holds one trigger (task_c4)");
  }
  if (getKind() == TaskKind::Data && body.getOperations().size() != 2)
    return emitOpError("is a data task, which holds one trigger and pe.end (task_c4)");
  return success();
}

LogicalResult OverrideOp::verify() {
  // override_c1
  StringRef field = getField();
  if (field == "color")
    return getColor() ? success() : LogicalResult(emitOpError("of a color names no color (override_c1)"));
  if (field == "const" || (field.starts_with("extent") && field.size() == 7 && field.back() >= '0' && field.back() <= '3'))
    return getBase() ? success() : LogicalResult(emitOpError() << "of " << field << " has no base (override_c1)");
  return emitOpError() << "has field '" << field << "', expected color, const or extent0 to extent3 (override_c1)";
}

LogicalResult ScaleOp::verify() {
  // scale_c2
  if (!getGamma() && !getBeta())
    return emitOpError("has neither gamma nor beta (scale_c2)");
  return success();
}
