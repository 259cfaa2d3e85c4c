//===- ShortenLives.cpp - values that are made again instead of kept -------===//

#include "ShortenLives.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace wafer::stream {

namespace {

/// The least room that values can be given.
constexpr SegmentModel::Room room = {1024, true};

/// A value and the first of its readers that would get it anew.
class Again {
public:
  Again(Value value, Operation *reader) : value_(value), reader_(reader) {}

  /// With what the value is made of, where nobody needs that any more.
  void apply() { again(value_); }
  void undo() {
    for (auto [before, copy] : llvm::reverse(copies_)) {
      copy->getResult(0).replaceAllUsesWith(before);
      copy->erase();
    }
    copies_.clear();
  }
  /// In cycles.
  double cost(const SegmentModel &model, const Machine &machine, const GridShape &grid) const {
    double cycles = 0;
    for (auto [before, copy] : copies_)
      cycles += model.cyclesOf(before.getDefiningOp(), machine, grid, room);
    return cycles;
  }

private:
  Operation *again(Value value) {
    Operation *copy = OpBuilder(copies_.empty() ? reader_ : copies_.back().second).clone(*value.getDefiningOp());
    auto isLater = [&](Operation *op) { return op == reader_ || reader_->isBeforeInBlock(op); };
    value.replaceUsesWithIf(copy->getResult(0), [&](OpOperand &use) { return isLater(use.getOwner()); });
    copies_.emplace_back(value, copy);
    for (OpOperand &operand : copy->getOpOperands()) {
      Value from = operand.get();
      if (isa<AttendOp, ContractOp>(from.getDefiningOp()) || llvm::any_of(from.getUsers(), isLater))
        continue;
      Operation *made = again(from);
      operand.set(made->getResult(0));
    }
    return copy;
  }

  Value value_;
  Operation *reader_;
  SmallVector<std::pair<Value, Operation *>> copies_; ///< and what they are copies of; each stands before those that were made before it
};

/// A map that stands right behind what it reads.
class Earlier {
public:
  /// `after`: the last of what it reads.
  Earlier(Operation *map, Operation *after) : map_(map), after_(after), before_(map->getPrevNode()) {}

  void apply() { map_->moveAfter(after_); }
  void undo() { map_->moveAfter(before_); }

private:
  Operation *map_, *after_, *before_;
};

/// Bytes that values take beyond those that there are, of all kernels.
int64_t excessOf(ArrayRef<int64_t> bytesOfKernels, int64_t bytes) {
  int64_t excess = 0;
  for (int64_t taken : bytesOfKernels)
    excess += std::max<int64_t>(0, taken - bytes);
  return excess;
}

/// Values that live past a kernel with too little room, and who reads them next.
SmallVector<Again> possibilities(Block &kernels, ArrayRef<int64_t> bytesOfKernels, int64_t bytes) {
  SmallVector<Again> found;
  for (Operation &op : kernels) {
    if (op.getNumResults() != 1 || isa<AttendOp>(op))
      continue;
    Value value = op.getResult(0);
    SmallVector<Operation *> readers(value.getUsers());
    llvm::sort(readers, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    Operation *last = &op;
    for (Operation *reader : readers) {
      bool isTight = false;
      for (auto [between, taken] : llvm::zip(kernels, bytesOfKernels))
        isTight |= taken > bytes && last->isBeforeInBlock(&between) && between.isBeforeInBlock(reader);
      // What leaves has to be there as it was made.
      if (isTight && !isa<ReceiveOp>(reader))
        found.emplace_back(value, reader);
      last = reader;
    }
  }
  return found;
}

/// Of maps that could stand before others than what they read.
SmallVector<Earlier> movesOf(Block &kernels) {
  SmallVector<Earlier> found;
  for (auto map : kernels.getOps<MapOp>()) {
    Operation *after = nullptr;
    for (Value input : map.getInputs())
      if (Operation *made = input.getDefiningOp(); !after || after->isBeforeInBlock(made))
        after = made;
    if (after && after != map->getPrevNode())
      found.emplace_back(map, after);
  }
  return found;
}

} // namespace

bool shortenLives(SegmentOp segment, const Machine &machine, const GridShape &grid, int64_t bytes) {
  Block &kernels = segment.getBody().front();
  for (;;) {
    SegmentModel model(segment);
    const SmallVector<int64_t> taken = model.bytesOfKernels(machine, grid, room);
    const int64_t excess = excessOf(taken, bytes);
    if (excess == 0)
      return true;
    auto left = [&] { return excessOf(SegmentModel(segment).bytesOfKernels(machine, grid, room), bytes); };
    // Another order takes no cycles.
    std::optional<Earlier> move;
    int64_t least = excess;
    for (Earlier earlier : movesOf(kernels)) {
      earlier.apply();
      if (const int64_t rest = left(); rest < least) {
        least = rest;
        move = earlier;
      }
      earlier.undo();
    }
    if (move) {
      move->apply();
      continue;
    }
    std::optional<Again> best;
    double most = 0;
    for (Again again : possibilities(kernels, taken, bytes)) {
      again.apply();
      const double gain = double(excess - left()) / (again.cost(model, machine, grid) + 1);
      again.undo();
      if (gain <= most)
        continue;
      most = gain;
      best = again;
    }
    if (!best)
      return false;
    best->apply();
  }
}

} // namespace wafer::stream
