//===- MaskOutputs.cpp - stream-mask-outputs ---------------------------------===//
//
// A result that the next map drops, whatever it is, need not be computed. What drops it is a condition in that map's body, over other operands, which becomes a map of
// its own in front of the contraction: its mask.
//
//===----------------------------------------------------------------------===//

#include "Zeros.h"

#include "wafer/Dialect/Stream/Transforms/Passes.h"

#include "wafer/Analysis/SegmentCost.h"
#include "wafer/Analysis/WeightLink.h"
#include "wafer/Machine/BatchEntries.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace wafer::stream {

#define GEN_PASS_DEF_MASKOUTPUTS
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"

namespace {

/// Something in a map's body by which a scalar may be dropped; where it holds, the scalar counts.
struct Condition {
  enum Kind { True, False, NotMinusInfinity } kind = True;
  Value scalar;

  bool operator==(const Condition &other) const { return kind == other.kind && scalar == other.scalar; }
};
using Conditions = SmallVector<Condition, 2>;

/// Which conditions drop an operand of a map: while one of them does not hold, no scalar of the body that is asked for depends on the operand.
class Dropping {
public:
  Dropping(MapOp map, Value operand, ZeroAnalysis &zeros) : map_(map), zeros_(zeros) {
    for (auto [argument, input] : llvm::zip_equal(map.getBody().getArguments(), map.getInputs()))
      if (input == operand)
        dependent_.insert(argument);
    for (Operation &op : map.getBody().front())
      if (llvm::any_of(op.getOperands(), [&](Value value) { return dependent_.contains(value); }))
        dependent_.insert(op.result_begin(), op.result_end());
  }

  Conditions of(Value scalar) {
    if (auto known = known_.find(scalar); known != known_.end())
      return known->second;
    Conditions found = compute(scalar);
    known_[scalar] = found;
    return found;
  }

private:
  bool isMinusInfinity(Value scalar) {
    // As the block has it that the scalar comes from, at most through a conversion: a finite number in its place would be rounded with what it is added to.
    if (auto wider = scalar.getDefiningOp<arith::ExtFOp>())
      scalar = wider.getIn();
    auto type = dyn_cast<FloatType>(scalar.getType());
    if (!type)
      return false;
    APFloat lowest(zeros_.ofScalar(map_, scalar).lowest);
    bool losesInformation = false;
    lowest.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInformation);
    return lowest.isInfinity();
  }

  Conditions compute(Value scalar) {
    Operation *op = scalar.getDefiningOp();
    if (!op)
      return {};
    // All operands that depend on the value have to be dropped.
    Conditions found;
    bool isFirst = true;
    for (Value operand : op->getOperands()) {
      if (!dependent_.contains(operand))
        continue;
      Conditions ofOperand = of(operand);
      if (isFirst)
        found = ofOperand;
      else
        llvm::erase_if(found, [&](const Condition &condition) { return !llvm::is_contained(ofOperand, condition); });
      isFirst = false;
    }
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      const bool first = dependent_.contains(select.getTrueValue()), second = dependent_.contains(select.getFalseValue());
      if (!dependent_.contains(select.getCondition()) && first != second && isConstant(first ? select.getFalseValue() : select.getTrueValue()))
        found.push_back({first ? Condition::True : Condition::False, select.getCondition()});
    } else if (auto add = dyn_cast<arith::AddFOp>(op)) {
      const Value mask = dependent_.contains(add.getLhs()) ? add.getRhs() : add.getLhs();
      if (!dependent_.contains(mask) && isMinusInfinity(mask))
        found.push_back({Condition::NotMinusInfinity, mask});
    }
    return found;
  }
  /// What is put in the place of masked values is a number; anything else is a choice between two values that both count.
  static bool isConstant(Value scalar) {
    Operation *op = scalar.getDefiningOp();
    return op && op->hasTrait<OpTrait::ConstantLike>();
  }

  MapOp map_;
  ZeroAnalysis &zeros_;
  llvm::DenseSet<Value> dependent_;
  llvm::DenseMap<Value, Conditions> known_;
};

/// What a mask is made of stands before the contraction; if it is not to be used after all, everything is put back.
class Attempt {
public:
  explicit Attempt(ContractOp contract) : contract_(contract) {}

  /// Whether the value is there before the contraction, or could be.
  bool moveBefore(Value operand) {
    Operation *op = operand.getDefiningOp();
    if (op->isBeforeInBlock(contract_))
      return true;
    if (!isa<SendOp, MapOp>(op) || !llvm::all_of(op->getOperands(), [&](Value value) { return moveBefore(value); }))
      return false;
    moved_.push_back({op, op->getNextNode()});
    op->moveBefore(contract_);
    return true;
  }
  void undo() {
    if (Value mask = contract_.getMask()) {
      contract_.getMaskMutable().clear();
      contract_.removeOutputZerosAttr();
      mask.getDefiningOp()->erase();
    }
    for (auto [op, next] : llvm::reverse(moved_))
      op->moveBefore(next);
  }

private:
  ContractOp contract_;
  SmallVector<std::pair<Operation *, Operation *>> moved_; ///< and what each stood before
};

/// The part of a map's body that some conditions are made of.
struct Part {
  explicit Part(ArrayRef<Condition> conditions) {
    SmallVector<Value> open;
    for (const Condition &condition : conditions)
      open.push_back(condition.scalar);
    while (!open.empty()) {
      Value scalar = open.pop_back_val();
      if (auto argument = dyn_cast<BlockArgument>(scalar))
        arguments.insert(argument);
      else if (operations.insert(scalar.getDefiningOp()).second)
        llvm::append_range(open, scalar.getDefiningOp()->getOperands());
    }
  }
  llvm::DenseSet<Operation *> operations;
  llvm::SmallSetVector<BlockArgument, 4> arguments;
};

/// 1 where all of the conditions hold, else 0.
MapOp makeMask(ContractOp contract, MapOp reader, ArrayRef<Condition> conditions, const Part &part) {
  OpBuilder builder(contract);
  Location loc = reader.getLoc();
  SmallVector<Value> inputs;
  SmallVector<Type> types;
  SmallVector<Location> locations;
  for (BlockArgument argument : part.arguments) {
    inputs.push_back(reader.getInputs()[argument.getArgNumber()]);
    types.push_back(argument.getType());
    locations.push_back(loc);
  }
  RankedTensorType result = contract.getResult().getType();
  auto mask = MapOp::create(builder, loc, RankedTensorType::get(result.getShape(), builder.getF16Type(), result.getEncoding()), inputs);
  Block *body = builder.createBlock(&mask.getBody(), {}, types, locations);
  IRMapping mapping;
  for (auto [argument, copy] : llvm::zip_equal(part.arguments, body->getArguments()))
    mapping.map(Value(argument), Value(copy));
  for (Operation &op : reader.getBody().front())
    if (part.operations.contains(&op))
      builder.clone(op, mapping);
  Value wanted;
  for (const Condition &condition : conditions) {
    Value scalar = mapping.lookup(condition.scalar), holds = scalar;
    if (condition.kind == Condition::False) {
      holds = arith::XOrIOp::create(builder, loc, scalar, arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true)));
    } else if (condition.kind == Condition::NotMinusInfinity) {
      auto type = cast<FloatType>(scalar.getType());
      auto infinity = arith::ConstantOp::create(builder, loc, builder.getFloatAttr(type, APFloat::getInf(type.getFloatSemantics(), /*Negative=*/true)));
      holds = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNE, scalar, infinity);
    }
    wanted = wanted ? Value(arith::AndIOp::create(builder, loc, wanted, holds)) : holds;
  }
  YieldOp::create(builder, loc, Value(arith::UIToFPOp::create(builder, loc, builder.getF16Type(), wanted)));
  return mask;
}

struct MaskOutputs : impl::MaskOutputsBase<MaskOutputs> {
  using MaskOutputsBase::MaskOutputsBase;

  void runOnOperation() override;
  bool mask(ContractOp contract, ZeroAnalysis &analysis);
  int64_t expectedZeros(MapOp reader, ArrayRef<Condition> conditions, ZeroAnalysis &analysis) const;
  bool pays(ContractOp contract, GridAttr grid) const;
  bool fits(SegmentOp segment) const;

  Machine machine;
};

GridShape shapeOf(GridAttr grid) {
  GridShape shape;
  shape.columns = grid.getColumns();
  shape.rows = grid.getRows();
  shape.groups = grid.getGroups();
  shape.tokenBlock = grid.getTokenBlock();
  shape.microBatches = grid.getMicroBatches();
  shape.batchesAtOnce = grid.getBatchesAtOnce();
  shape.bands = grid.getBands();
  return shape;
}

/// Whether the contraction and the making of its mask take fewer cycles than the contraction without.
bool MaskOutputs::pays(ContractOp contract, GridAttr grid) const {
  const GridShape shape = shapeOf(grid);
  const int64_t in = numFeatures(contract.getInput().getType()), out = numFeatures(contract.getResult().getType());
  WireCost masked = wireCost(contract, weightOf(contract), *contract.getWire());
  masked.streams = streamsAtOnce(contract.getBatchSizes(), contract.getBatchStrides(), shape.batchesAtOnce);
  WireCost full = masked;
  full.isMasked = false;
  full.together = static_cast<int64_t>(contract.getRowsTogether().value_or(1));
  full.nonzeros = 1 - contract.getInputZeros().value_or(0) / 1000.0;
  auto map = contract.getMask().getDefiningOp<MapOp>();
  const int64_t operations = llvm::range_size(map.getBody().front().without_terminator());
  const double making = mapCycles(machine, shape, ceilDiv(out, shape.columns), operations, /*functions=*/0, map->getParentOfType<SegmentOp>().getChunkBytes());
  return contractionCycles(machine, shape, in, out, masked) + making < contractionCycles(machine, shape, in, out, full);
}

/// Whether all values have room on the grid that was chosen without the mask, and all tasks a number.
bool MaskOutputs::fits(SegmentOp segment) const {
  const GridShape shape = shapeOf(*segment.getGrid());
  int64_t together = 1;
  for (auto contract : segment.getOps<ContractOp>())
    together = std::max<int64_t>(together, contract.getRowsTogether().value_or(1));
  const int64_t valueBytes = SegmentModel(segment).valueBytes(machine, shape, {static_cast<int64_t>(segment.getChunkBytes()), segment.getCompact(), together});
  return llvm::all_of(loadsOf(segment, segment.getLoads()), [&](ArrayRef<Operation *> load) {
    return estimateCodeBytes(load) + attentionCodeBytes(machine, shape, load) + valueBytes <= machine.sramBytes && estimateControlTasks(load) <= machine.controlTasks;
  });
}

/// Thousandths of the results that are expected to be dropped: counted where that is known.
int64_t MaskOutputs::expectedZeros(MapOp reader, ArrayRef<Condition> conditions, ZeroAnalysis &analysis) const {
  if (conditions.size() == 1 && conditions[0].kind == Condition::NotMinusInfinity)
    if (std::optional<double> share = analysis.ofScalar(reader, conditions[0].scalar).infinite)
      return std::clamp<int64_t>(std::llround(*share * 1000), 1, 1000);
  return zeros;
}

bool MaskOutputs::mask(ContractOp contract, ZeroAnalysis &analysis) {
  auto segment = cast<SegmentOp>(contract->getParentOp());
  if (contract.getMask() || !contract.getWire() || !segment.getGrid() || !contract->hasOneUse())
    return false;
  auto reader = dyn_cast<MapOp>(*contract->user_begin());
  if (!reader || reader.getType().getShape() != contract.getResult().getType().getShape())
    return false;
  Dropping dropping(reader, contract.getResult(), analysis);
  const Conditions conditions = dropping.of(cast<YieldOp>(reader.getBody().front().back()).getValue());
  if (conditions.empty())
    return false;
  Attempt attempt(contract);
  const Part part(conditions);
  if (llvm::all_of(part.arguments, [&](BlockArgument argument) { return attempt.moveBefore(reader.getInputs()[argument.getArgNumber()]); })) {
    contract.getMaskMutable().assign(makeMask(contract, reader, conditions, part));
    contract.setOutputZeros(expectedZeros(reader, conditions, analysis));
    if (pays(contract, *segment.getGrid()) && fits(segment)) {
      // Rows of a mask come one by one.
      contract.removeRowsTogetherAttr();
      return true;
    }
  }
  attempt.undo();
  return false;
}

void MaskOutputs::runOnOperation() {
  ProgramOp program = getOperation();
  if (zeros < 1 || zeros > 1000) {
    emitError(program.getLoc()) << "found " << zeros.getValue() << " thousandths of results that are hidden, expected 1 to 1000";
    return signalPassFailure();
  }
  try {
    machine = Machine::load(program.getMachine().str());
  } catch (const MachineError &error) {
    emitError(program.getLoc()) << error.what();
    return signalPassFailure();
  }
  ZeroAnalysis analysis(program);
  SmallVector<ContractOp> contracts;
  program.walk([&](ContractOp contract) { contracts.push_back(contract); });
  for (ContractOp contract : contracts)
    masked += mask(contract, analysis);
}

} // namespace

} // namespace wafer::stream
