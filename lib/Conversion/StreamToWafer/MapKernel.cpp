//===- MapKernel.cpp - pointwise bodies -------------------------------------===//
//
// A map body is a straight line of vector instructions over a chunk of rows. When the temporaries of a whole block would take much SRAM, the task handles a
// few rows and advances, and MemoryX commands it once per chunk: loops live in the stream.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"
#include "wafer/Machine/Chunks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace wafer {

namespace {


std::optional<Opcode> opcodeOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, std::optional<Opcode>>(op)
      .Case([](arith::AddFOp) { return Opcode::Add; })
      .Case([](arith::SubFOp) { return Opcode::Sub; })
      .Case([](arith::MulFOp) { return Opcode::Mul; })
      .Case([](arith::DivFOp) { return Opcode::Div; })
      .Case([](arith::MaximumFOp) { return Opcode::Max; })
      .Case([](arith::MinimumFOp) { return Opcode::Min; })
      .Case([](arith::NegFOp) { return Opcode::Neg; })
      .Case([](arith::SelectOp) { return Opcode::Select; })
      // Truth values are stored as 1 and 0.
      .Case([](arith::AndIOp) { return Opcode::Min; })
      .Case([](arith::OrIOp) { return Opcode::Max; })
      .Case([](arith::XOrIOp) { return Opcode::Cmpne; })
      .Case([](math::AbsFOp) { return Opcode::Abs; })
      .Case([](math::FloorOp) { return Opcode::Floor; })
      .Case([](math::CeilOp) { return Opcode::Ceil; })
      .Case([](math::RoundEvenOp) { return Opcode::Round; })
      .Case([](math::FmaOp) { return Opcode::Fma; })
      .Case([](math::ExpOp) { return Opcode::Exp; })
      .Case([](math::LogOp) { return Opcode::Log; })
      .Case([](math::TanhOp) { return Opcode::Tanh; })
      .Case([](math::ErfOp) { return Opcode::Erf; })
      .Case([](math::SqrtOp) { return Opcode::Sqrt; })
      .Case([](math::RsqrtOp) { return Opcode::Rsqrt; })
      .Case([](math::SinOp) { return Opcode::Sin; })
      .Case([](math::CosOp) { return Opcode::Cos; })
      .Default([](Operation *) { return std::nullopt; });
}

struct Comparison {
  Opcode opcode;
  bool swapped;
};

std::optional<Comparison> comparisonOf(arith::CmpFPredicate predicate) {
  switch (predicate) {
  case arith::CmpFPredicate::OEQ:
    return Comparison{Opcode::Cmpeq, false};
  case arith::CmpFPredicate::UNE:
    return Comparison{Opcode::Cmpne, false};
  case arith::CmpFPredicate::OLT:
    return Comparison{Opcode::Cmplt, false};
  case arith::CmpFPredicate::OLE:
    return Comparison{Opcode::Cmple, false};
  case arith::CmpFPredicate::OGT:
    return Comparison{Opcode::Cmplt, true};
  case arith::CmpFPredicate::OGE:
    return Comparison{Opcode::Cmple, true};
  default:
    return std::nullopt;
  }
}

class MapEmitter {
public:
  MapEmitter(SegmentContext &ctx, stream::MapOp op, ArrayRef<Block> inputs, const Block &result)
      : ctx_(ctx), image_(ctx.image), op_(op), inputs_(inputs), result_(result), body_(&op.getBody().front()) {}

  LogicalResult run();

private:
  /// What an instruction can name: a descriptor and the register that holds it.
  struct Place {
    FlatSymbolRefAttr descriptor;
    uint8_t reg;
    int temporary; ///< index of the temporary buffer, or -1
  };

  FailureOr<Place> newPlace(Location loc, FlatSymbolRefAttr descriptor, int temporary = -1);
  FailureOr<Place> temporary(Location loc, Type type);
  FailureOr<Place> placeOf(Location loc, Value root);
  bool endsInResult(Value value) const;
  bool isAlias(Operation *op) const;
  Value rootOf(Value value) const;
  void release(Value root);
  LogicalResult emit(Operation *op);

  SegmentContext &ctx_;
  ImageBuilder &image_;
  stream::MapOp op_;
  ArrayRef<Block> inputs_;
  const Block &result_;
  mlir::Block *body_;

  int64_t chunkRows_ = 1;
  unsigned nextRegister_ = 0;
  Place resultPlace_{};
  SmallVector<std::pair<uint8_t, FlatSymbolRefAttr>> loads_;
  llvm::DenseMap<Value, Place> places_;
  llvm::DenseMap<Value, unsigned> usesLeft_;
  SmallVector<FlatSymbolRefAttr> temporaryBuffers_;
  SmallVector<int> freeTemporaries_;
  SmallVector<Instruction> code_;
};

FailureOr<MapEmitter::Place> MapEmitter::newPlace(Location loc, FlatSymbolRefAttr descriptor, int temporary) {
  if (nextRegister_ == numDescriptorRegisters)
    return emitError(loc) << "pointwise body needs more than " << numDescriptorRegisters << " descriptor registers; split it into smaller operations";
  Place place{descriptor, static_cast<uint8_t>(nextRegister_++), temporary};
  loads_.push_back({place.reg, descriptor});
  return place;
}

FailureOr<MapEmitter::Place> MapEmitter::temporary(Location loc, Type type) {
  // All temporaries are f32 sized, so that any can be reused for any type.
  int index;
  if (freeTemporaries_.empty()) {
    index = temporaryBuffers_.size();
    temporaryBuffers_.push_back(image_.buffer(loc, "temporary", chunkRows_ * ctx_.tokens * 4, {ctx_.step, ctx_.step}));
  } else {
    index = freeTemporaries_.pop_back_val();
  }
  FlatSymbolRefAttr descriptor =
      image_.memory("temporary", type, temporaryBuffers_[index], {1, 1, chunkRows_, ctx_.tokens}, {0, 0, ctx_.tokens, 1});
  for (auto &[reg, loaded] : loads_)
    if (loaded == descriptor)
      return Place{descriptor, reg, index};
  return newPlace(loc, descriptor, index);
}

FailureOr<MapEmitter::Place> MapEmitter::placeOf(Location loc, Value root) {
  auto known = places_.find(root);
  if (known != places_.end())
    return known->second;
  // Only constants are made on demand.
  Attribute attr;
  if (!matchPattern(root, m_Constant(&attr)) || !isa<FloatAttr, IntegerAttr>(attr))
    return emitError(loc) << "operand is neither an operand of the map, a number nor computed in its body (map_c3)";
  float number = isa<FloatAttr>(attr) ? static_cast<float>(cast<FloatAttr>(attr).getValueAsDouble())
                                      : static_cast<float>(cast<IntegerAttr>(attr).getValue().getZExtValue());
  FailureOr<Place> place = newPlace(loc, image_.constant("constant", number));
  if (succeeded(place))
    places_[root] = *place;
  return place;
}

/// Whether the value's only use is to be yielded, at most through conversions, so that its instruction can write the result.
bool MapEmitter::endsInResult(Value value) const {
  if (!value.hasOneUse())
    return false;
  Operation *user = *value.user_begin();
  if (isa<stream::YieldOp>(user))
    return true;
  return isa<arith::TruncFOp, arith::ExtFOp, arith::UIToFPOp, arith::FPToSIOp>(user) && endsInResult(user->getResult(0));
}

/// Conversions that need no instruction: widening happens when a descriptor is read, the final narrowing when the result is written.
bool MapEmitter::isAlias(Operation *op) const {
  return isa<arith::ExtFOp, arith::UIToFPOp, arith::SIToFPOp>(op) || (isa<arith::TruncFOp, arith::FPToSIOp>(op) && endsInResult(op->getOperand(0)));
}

Value MapEmitter::rootOf(Value value) const {
  while (Operation *op = value.getDefiningOp()) {
    if (!isAlias(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

void MapEmitter::release(Value root) {
  auto left = usesLeft_.find(root);
  if (left == usesLeft_.end() || --left->second != 0)
    return;
  int temporary = places_.find(root)->second.temporary;
  if (temporary >= 0)
    freeTemporaries_.push_back(temporary);
}

LogicalResult MapEmitter::emit(Operation *op) {
  if (op->hasTrait<OpTrait::ConstantLike>() || isAlias(op))
    return success();
  Location loc = op->getLoc();

  SmallVector<uint8_t, 3> registers;
  for (Value operand : op->getOperands()) {
    FailureOr<Place> place = placeOf(loc, rootOf(operand));
    if (failed(place))
      return failure();
    registers.push_back(place->reg);
  }

  if (isa<stream::YieldOp>(op)) {
    // The instruction that made the value wrote the result, unless the body passes an operand or a number through.
    if (registers[0] != resultPlace_.reg)
      code_.push_back(vectorInsn(Opcode::Mov, ElementType::F32, resultPlace_.reg, registers[0]));
    return success();
  }

  Opcode opcode;
  if (auto compare = dyn_cast<arith::CmpFOp>(op)) {
    std::optional<Comparison> comparison = comparisonOf(compare.getPredicate());
    if (!comparison)
      return op->emitError() << "comparison '" << arith::stringifyCmpFPredicate(compare.getPredicate()) << "' has no wafer instruction (map_c3)";
    opcode = comparison->opcode;
    if (comparison->swapped)
      std::swap(registers[0], registers[1]);
  } else if (isa<arith::TruncFOp>(op)) {
    opcode = Opcode::Mov;
  } else if (std::optional<Opcode> found = opcodeOf(op)) {
    opcode = *found;
  } else {
    return op->emitError() << "'" << op->getName() << "' has no wafer instruction (map_c3)";
  }

  // The last operand has the type to compute in (a select's first is its condition). Truth values are kept as f32.
  Type computeType = op->getOperands().back().getType();
  ElementType type = computeType.isInteger(1) ? ElementType::F32 : elementTypeOf(computeType);
  if (type == ElementType::None)
    return op->emitError() << "type " << computeType << " is not a wafer type (map_c3)";

  // An operand's temporary may become the result's: an element is read before it is written.
  for (Value operand : op->getOperands())
    release(rootOf(operand));
  Value made = op->getResult(0);
  Type madeType = made.getType().isInteger(1) ? Float32Type::get(op->getContext()) : made.getType();
  FailureOr<Place> target = endsInResult(made) ? FailureOr<Place>(resultPlace_) : temporary(loc, madeType);
  if (failed(target))
    return failure();
  places_[made] = *target;
  registers.resize(3, 0);
  code_.push_back(vectorInsn(opcode, type, target->reg, registers[0], registers[1], registers[2]));
  return success();
}

LogicalResult MapEmitter::run() {
  Location loc = op_.getLoc();
  chunkRows_ = rowsPerChunk(result_.rows, ctx_.tokens, op_->getParentOfType<stream::SegmentOp>().getChunkBytes());
  int64_t chunks = result_.rows / chunkRows_;

  FailureOr<Place> place = newPlace(loc, ctx_.firstRows(result_, chunkRows_));
  resultPlace_ = *place;
  SmallVector<std::pair<uint8_t, int64_t>> advances = {{resultPlace_.reg, chunkRows_ * result_.rowBytes()}};
  for (auto [argument, input] : llvm::zip(body_->getArguments(), inputs_)) {
    bool perToken = input.featureBlock == 0 && result_.featureBlock != 0;
    Extents strides = {0, 0, perToken ? 0 : ctx_.tokens, 1};
    FlatSymbolRefAttr descriptor = image_.memory(input.buffer.getValue(), input.element, input.buffer, {1, 1, chunkRows_, ctx_.tokens}, strides);
    place = newPlace(loc, descriptor);
    if (failed(place))
      return failure();
    places_[argument] = *place;
    if (!perToken)
      advances.push_back({place->reg, chunkRows_ * input.rowBytes()});
  }

  for (Operation &op : *body_)
    if (!isAlias(&op))
      for (Value operand : op.getOperands())
        if (rootOf(operand).getDefiningOp())
          ++usesLeft_[rootOf(operand)];
  for (Operation &op : *body_)
    if (failed(emit(&op)))
      return failure();

  TaskBuilder begin(image_, loc, chunks > 1 ? "begin_map" : "map");
  for (auto [reg, descriptor] : loads_)
    begin.load(reg, descriptor);
  if (chunks == 1) {
    for (const Instruction &insn : code_)
      begin.emit(insn);
    wfr::CommandOp::create(ctx_.steps, loc, begin.finish());
    return success();
  }
  wfr::CommandOp::create(ctx_.steps, loc, begin.finish());
  TaskBuilder chunk(image_, loc, "map_rows");
  for (const Instruction &insn : code_)
    chunk.emit(insn);
  for (auto [reg, bytes] : advances)
    chunk.advance(reg, bytes);
  SymbolRefAttr task = chunk.finish();
  for (int64_t i = 0; i < chunks; ++i)
    wfr::CommandOp::create(ctx_.steps, loc, task);
  return success();
}

} // namespace

LogicalResult emitMap(SegmentContext &ctx, stream::MapOp op, ArrayRef<Block> inputs, const Block &result) {
  return MapEmitter(ctx, op, inputs, result).run();
}

} // namespace wafer
