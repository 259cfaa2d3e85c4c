//===- Graph.cpp - the graph dialect, its layers and argument roles --------===//

#include "wafer/Dialect/Graph/Graph.h"
#include "mlir/Dialect/SparseTensor/IR/SparseTensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace wafer::graph;

#include "wafer/Dialect/Graph/GraphDialect.cpp.inc"
#include "wafer/Dialect/Graph/GraphEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "wafer/Dialect/Graph/GraphAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "wafer/Dialect/Graph/GraphOps.cpp.inc"

void GraphDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "wafer/Dialect/Graph/GraphAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "wafer/Dialect/Graph/GraphOps.cpp.inc"
      >();
}

/// argument_c1
static LogicalResult verifyName(Operation *op, NamedAttribute attribute) {
  auto name = dyn_cast<StringAttr>(attribute.getValue());
  if (!name || name.empty())
    return op->emitOpError() << "argument_c1: found " << attribute.getName() << " = " << attribute.getValue() << ", expected a string that is not empty";
  return success();
}

/// argument_c6
static LogicalResult verifyNonzeros(Operation *op, unsigned argIndex, NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  auto role = function ? function.getArgAttrOfType<StringAttr>(argIndex, roleAttr) : StringAttr();
  auto type = function ? dyn_cast<RankedTensorType>(function.getArgumentTypes()[argIndex]) : RankedTensorType();
  auto count = dyn_cast<IntegerAttr>(attribute.getValue());
  bool fits = count && count.getType().isInteger(64) && type && type.hasStaticShape() && count.getInt() >= 0 && count.getInt() <= type.getNumElements();
  if (fits && role && role.getValue() == parameterRole)
    return success();
  return op->emitOpError() << "argument_c6: found " << attribute.getName() << " = " << attribute.getValue() << " on argument " << argIndex
                           << ", expected a number of elements of a parameter";
}

/// argument_c8
static LogicalResult verifyEncoding(Operation *op, unsigned argIndex, NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  auto type = function ? dyn_cast<RankedTensorType>(function.getArgumentTypes()[argIndex]) : RankedTensorType();
  auto encoding = dyn_cast<sparse_tensor::SparseTensorEncodingAttr>(attribute.getValue());
  if (encoding && type && static_cast<int64_t>(encoding.getDimRank()) == type.getRank())
    return success();
  return op->emitOpError() << "argument_c8: found " << attribute.getName() << " = " << attribute.getValue() << " on argument " << argIndex
                           << ", expected a #sparse_tensor.encoding of as many dimensions as the argument has";
}

/// argument_c9
LogicalResult GraphDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  auto type = op->getNumResults() == 1 ? dyn_cast<RankedTensorType>(op->getResult(0).getType()) : RankedTensorType();
  auto count = dyn_cast<IntegerAttr>(attribute.getValue());
  if (attribute.getName() == nonzerosAttr && count && count.getType().isInteger(64) && type && type.hasStaticShape() && count.getInt() >= 0 &&
      count.getInt() <= type.getNumElements())
    return success();
  return op->emitOpError() << "argument_c9: found " << attribute.getName() << " = " << attribute.getValue() << ", expected " << nonzerosAttr
                           << ", a number of elements of the one tensor that the operation makes";
}

LogicalResult GraphDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned argIndex, NamedAttribute attribute) {
  if (attribute.getName() == nameAttr)
    return verifyName(op, attribute);
  if (attribute.getName() == nonzerosAttr)
    return verifyNonzeros(op, argIndex, attribute);
  if (attribute.getName() == encodingAttr)
    return verifyEncoding(op, argIndex, attribute);
  if (attribute.getName() != roleAttr)
    return op->emitOpError() << "argument_c3: found " << attribute.getName() << " on argument " << argIndex << ", expected graph.name, graph.role, graph.nonzeros or graph.encoding";
  // argument_c2
  auto role = dyn_cast<StringAttr>(attribute.getValue());
  if (!role || (role.getValue() != parameterRole && role.getValue() != inputRole && role.getValue() != stateRole))
    return op->emitOpError() << "argument_c2: found graph.role = " << attribute.getValue() << " on argument " << argIndex
                             << ", expected \"input\", \"parameter\" or \"state\"";
  return success();
}

/// argument_c7
static LogicalResult verifyKept(Operation *op, unsigned resultIndex, NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  auto name = dyn_cast<StringAttr>(attribute.getValue());
  auto result = function ? dyn_cast<RankedTensorType>(function.getResultTypes()[resultIndex]) : RankedTensorType();
  for (unsigned i = 0; name && result && i < function.getNumArguments(); ++i) {
    auto type = dyn_cast<RankedTensorType>(function.getArgumentTypes()[i]);
    auto own = function.getArgAttrOfType<StringAttr>(i, nameAttr), role = function.getArgAttrOfType<StringAttr>(i, roleAttr);
    if (own == name && role && role.getValue() == parameterRole && type && type.getShape() == result.getShape() && type.getElementType().isInteger(8))
      return success();
  }
  return op->emitOpError() << "argument_c7: found " << attribute.getName() << " = " << attribute.getValue() << " on result " << resultIndex
                           << ", expected the name of a parameter of i8 that has its shape";
}

LogicalResult GraphDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned resultIndex, NamedAttribute attribute) {
  if (attribute.getName() == nameAttr)
    return verifyName(op, attribute);
  if (attribute.getName() == keptAttr)
    return verifyKept(op, resultIndex, attribute);
  // argument_c3
  auto role = attribute.getName() == roleAttr ? dyn_cast<StringAttr>(attribute.getValue()) : StringAttr();
  if (role && role.getValue() == stateRole)
    return success();
  return op->emitOpError() << "argument_c3: found " << attribute.getName() << " = " << attribute.getValue() << " on result " << resultIndex
                           << ", expected graph.name, graph.kept, or graph.role = \"state\"";
}

static LogicalResult verifySameTypes(LayerOp layer, TypeRange inside, TypeRange outside, StringRef what) {
  if (inside.size() != outside.size())
    return layer.emitOpError() << "layer_c1: found " << inside.size() << " " << what << "s, expected " << outside.size();
  for (auto [index, types] : llvm::enumerate(llvm::zip_equal(inside, outside)))
    if (std::get<0>(types) != std::get<1>(types))
      return layer.emitOpError() << "layer_c1: found " << what << " " << index << " of type " << std::get<0>(types) << ", expected " << std::get<1>(types);
  return success();
}

/// attend_c1, attend_c2, attend_c6
static LogicalResult verifyAttention(Operation *op, RankedTensorType qkv, RankedTensorType made, Value rotation, int64_t heads, int64_t across, int64_t batches) {
  if (qkv.getRank() != 2 || made.getRank() != 2 || !qkv.hasStaticShape() || !made.hasStaticShape() || qkv.getDimSize(0) != made.getDimSize(0) || heads < 1 ||
      qkv.getDimSize(1) != 3 * made.getDimSize(1) || made.getDimSize(1) % heads != 0)
    return op->emitOpError() << "attend_c1: found " << qkv << " for " << made << " with " << heads << " heads, expected tokens x features twice, three times as many in the first, and a multiple of the heads in the second";
  if (across < 1 || across > 2 || made.getDimSize(1) / heads % across != 0)
    return op->emitOpError() << "attend_c1: found heads of " << made.getDimSize(1) / heads << " elements across " << across << " columns, expected one or two, and a multiple of them";
  if (batches < 1 || qkv.getDimSize(0) % batches != 0)
    return op->emitOpError() << "attend_c2: found " << qkv.getDimSize(0) << " tokens in " << batches << " batch entries, expected a multiple";
  auto table = rotation ? cast<RankedTensorType>(rotation.getType()) : RankedTensorType();
  const bool fits = !table || (table.getRank() == 2 && (table.getDimSize(1) == 2 * made.getDimSize(1) || table.getDimSize(1) == made.getDimSize(1)) && (table.getDimSize(0) == made.getDimSize(0) || table.getDimSize(0) == made.getDimSize(0) / batches));
  if (!fits || (table && made.getDimSize(1) / heads % (2 * across) != 0))
    return op->emitOpError() << "attend_c6: found a table " << table << " for " << made << " with " << heads << " heads, expected its tokens or those of a batch entry, twice its features or as many, and heads of an even number of elements in each column";
  return success();
}

LogicalResult AttendOp::verify() {
  return verifyAttention(*this, cast<RankedTensorType>(getQkv().getType()), cast<RankedTensorType>(getResult().getType()), getRotation(), getHeads(), getAcross(), getBatches());
}

LogicalResult AttendGradientOp::verify() {
  auto qkv = cast<RankedTensorType>(getQkv().getType());
  // attend_c3
  if (qkv != getResult().getType())
    return emitOpError() << "attend_c3: found a result of " << getResult().getType() << " for " << qkv << ", expected the same type";
  return verifyAttention(*this, qkv, cast<RankedTensorType>(getGradient().getType()), getRotation(), getHeads(), getAcross(), getBatches());
}

LogicalResult SampleOp::verify() {
  // sample_c4
  auto rows = cast<RankedTensorType>(getRows().getType());
  if (rows.getRank() != 2)
    return emitOpError() << "sample_c4: found " << rows << ", expected tokens x features";
  auto input = getInput() ? cast<RankedTensorType>(getInput().getType()) : RankedTensorType::get({rows.getDimSize(0), 1}, rows.getElementType());
  auto result = cast<RankedTensorType>(getResult().getType()), pattern = getPattern() ? cast<RankedTensorType>(getPattern().getType()) : result;
  if (rows.getRank() != 2 || input.getRank() != 2 || !rows.hasStaticShape() || !input.hasStaticShape() || !result.hasStaticShape() ||
      rows.getDimSize(0) != input.getDimSize(0) || result.getNumElements() != static_cast<int64_t>(getBatches()) * rows.getDimSize(1) * input.getDimSize(1) || pattern.getShape() != result.getShape())
    return emitOpError() << "sample_c4: found " << rows << ", " << input << " and the pattern " << pattern << " for " << result
                         << ", expected tokens x features twice, and a result and a pattern of their features";
  // sample_c5
  const int64_t batches = getBatches();
  if (batches < 1 || rows.getDimSize(0) % batches != 0 || (batches > 1 && getPattern()))
    return emitOpError() << "sample_c5: found " << batches << " entries of " << rows.getDimSize(0) << " tokens and " << (getPattern() ? "a pattern" : "no pattern")
                         << ", expected a divisor, and no pattern for several";
  return success();
}

LogicalResult LayerOp::verify() {
  // layer_c2
  if (isOn(Placement::MemoryX) != getReason().has_value())
    return emitOpError() << "layer_c2: found " << (getReason() ? "a reason" : "no reason") << " on layer \"" << getName() << "\", expected one exactly when the "
                         << "layer is on <memoryx>";
  // layer_c3
  if (getShared().has_value() != getBody().empty())
    return emitOpError() << "layer_c3: found " << (getShared() ? "a body of its own and a shared one" : "no body") << " on layer \"" << getName() << "\", expected one of the two";
  if (getShared())
    return success();
  // layer_c1
  if (failed(verifySameTypes(*this, getBlock().getArgumentTypes(), getInputs().getTypes(), "block argument")))
    return failure();
  auto yield = dyn_cast<YieldOp>(getBlock().back());
  if (!yield)
    return emitOpError() << "layer_c1: expected the body to end with graph.yield";
  if (failed(verifySameTypes(*this, yield.getValues().getTypes(), getResultTypes(), "yielded value")))
    return failure();
  return success();
}

LogicalResult LayerOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!getShared())
    return success();
  auto body = symbols.lookupNearestSymbolFrom<BodyOp>(*this, getSharedAttr());
  if (!body)
    return emitOpError() << "layer_c3: found no graph.body " << getSharedAttr() << ", expected what layer \"" << getName() << "\" shares";
  size_t operations = 0;
  body.getBody().walk([&](Operation *) { ++operations; });
  if (!getLocations() || getLocations()->size() != operations || !llvm::all_of(*getLocations(), llvm::IsaPred<LocationAttr>))
    return emitOpError() << "layer_c3: found " << (getLocations() ? getLocations()->size() : 0) << " locations on layer \"" << getName() << "\", expected one for each of the "
                         << operations << " operations of " << getSharedAttr();
  // layer_c1
  if (failed(verifySameTypes(*this, body.getBody().getArgumentTypes(), getInputs().getTypes(), "block argument")))
    return failure();
  return verifySameTypes(*this, body.getBody().front().getTerminator()->getOperandTypes(), getResultTypes(), "yielded value");
}

Value wafer::graph::throughLayers(Value value) {
  while (true) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto layer = dyn_cast_or_null<LayerOp>(argument.getOwner()->getParentOp());
      if (!layer)
        return value;
      value = layer.getInputs()[argument.getArgNumber()];
      continue;
    }
    auto layer = value.getDefiningOp<LayerOp>();
    if (!layer)
      return value;
    value = cast<YieldOp>(layer.getBlock().back()).getValues()[cast<OpResult>(value).getResultNumber()];
  }
}

bool wafer::graph::isParameter(Value value) {
  auto argument = dyn_cast<BlockArgument>(throughLayers(value));
  if (!argument)
    return false;
  auto function = dyn_cast_or_null<FunctionOpInterface>(argument.getOwner()->getParentOp());
  if (!function || !argument.getOwner()->isEntryBlock())
    return false;
  auto role = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), roleAttr);
  return role && role.getValue() == parameterRole;
}

std::string wafer::graph::argumentName(BlockArgument argument) {
  auto function = cast<FunctionOpInterface>(argument.getOwner()->getParentOp());
  if (auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), nameAttr))
    return name.str();
  return "arg" + std::to_string(argument.getArgNumber());
}
