//===- ShortenLives.cpp - values that are made again instead of kept -------===//

#include "ShortenLives.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;

namespace wafer::stream {

namespace {

/// The least room that values can be given.
constexpr SegmentModel::Room room = {1024, true, 1};

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

/// One change after the other, each for the kernel with least room. How much a change gives is guessed by the lives of values, and looked up once it is made.
class Shortening {
public:
  Shortening(SegmentOp segment, const Machine &machine, const GridShape &grid, int64_t bytes) : segment_(segment), kernels_(segment.getBody().front()), machine_(machine), grid_(grid), bytes_(bytes) {}

  bool run() {
    for (read(); excess_ > 0; read())
      if (!moveOne() && !makeOneAgain())
        return false;
    return true;
  }

private:
  void read() {
    model_.emplace(segment_);
    taken_ = model_->bytesOfKernels(machine_, grid_, room);
    excess_ = excessOf(taken_);
    stepOf_.clear();
    int64_t step = 0;
    for (Operation &op : kernels_)
      stepOf_[&op] = step++;
    fullest_ = llvm::max_element(taken_) - taken_.begin();
  }
  int64_t beyond(int64_t step) const { return std::max<int64_t>(0, taken_[step] - bytes_); }
  /// Bytes that values take beyond those that there are, of all kernels.
  int64_t excessOf(ArrayRef<int64_t> taken) const {
    int64_t excess = 0;
    for (int64_t bytes : taken)
      excess += std::max<int64_t>(0, bytes - bytes_);
    return excess;
  }
  /// Makes the change, and takes it back if no kernel has more room then.
  template <typename Change>
  bool tryIt(Change change) {
    change.apply();
    if (excessOf(SegmentModel(segment_).bytesOfKernels(machine_, grid_, room)) < excess_)
      return true;
    change.undo();
    return false;
  }

  /// Values that live at the fullest kernel, or past it.
  template <typename Visit>
  void forLiving(Visit visit) {
    for (Operation &op : kernels_) {
      if (stepOf_[&op] >= fullest_)
        break;
      for (Value value : op.getResults())
        if (llvm::any_of(value.getUsers(), [&](Operation *user) { return stepOf_[user] >= fullest_; }))
          visit(value);
    }
  }

  /// Another order takes no cycles.
  bool moveOne() {
    SmallVector<std::pair<MapOp, Operation *>> moves;
    forLiving([&](Value value) {
      for (Operation *user : value.getUsers()) {
        auto map = dyn_cast<MapOp>(user);
        if (!map || stepOf_[map] < fullest_ || inVain_.contains({map, nullptr}))
          continue;
        Operation *after = *llvm::max_element(llvm::map_to_vector(map.getInputs(), [](Value input) { return input.getDefiningOp(); }), [&](Operation *a, Operation *b) { return stepOf_[a] < stepOf_[b]; });
        if (after != map->getPrevNode())
          moves.emplace_back(map, after);
      }
    });
    return llvm::any_of(moves, [&](auto &move) { return inVain_.insert({move.first, nullptr}).second && tryIt(Earlier(move.first, move.second)); });
  }

  bool makeOneAgain() {
    struct Possibility {
      double gain;
      Value value;
      Operation *reader;
    };
    SmallVector<Possibility> found;
    forLiving([&](Value value) {
      Operation *made = value.getDefiningOp(), *reader = nullptr;
      int64_t last = stepOf_[made];
      for (Operation *user : value.getUsers()) {
        const int64_t step = stepOf_[user];
        if (step <= fullest_)
          last = std::max(last, step);
        else if (!reader || step < stepOf_[reader])
          reader = user;
      }
      // What leaves has to be there as it was made.
      if (made->getNumResults() != 1 || isa<AttendOp>(made) || last == fullest_ || !reader || isa<ReceiveOp>(reader) || inVain_.contains({made, reader}))
        return;
      auto type = cast<RankedTensorType>(value.getType());
      const int64_t size = ceilDiv(numFeatures(type), grid_.columns) * grid_.tokenBlock * type.getElementTypeBitWidth() / 8;
      int64_t given = 0;
      for (int64_t step = last + 1; step < stepOf_[reader]; ++step)
        given += std::min(size, beyond(step));
      found.push_back({double(given) / (model_->cyclesOf(made, machine_, grid_, room) + 1), value, reader});
    });
    llvm::stable_sort(found, [](const Possibility &a, const Possibility &b) { return a.gain > b.gain; });
    for (const Possibility &each : found) {
      if (tryIt(Again(each.value, each.reader)))
        return true;
      inVain_.insert({each.value.getDefiningOp(), each.reader});
    }
    return false;
  }

  SegmentOp segment_;
  Block &kernels_;
  const Machine &machine_;
  const GridShape &grid_;
  const int64_t bytes_;
  std::optional<SegmentModel> model_;
  SmallVector<int64_t> taken_;
  int64_t excess_ = 0, fullest_ = 0;
  llvm::DenseMap<Operation *, int64_t> stepOf_;
  llvm::DenseSet<std::pair<Operation *, Operation *>> inVain_; ///< maps that a move was tried of, and values for readers
};

} // namespace

bool shortenLives(SegmentOp segment, const Machine &machine, const GridShape &grid, int64_t bytes) { return Shortening(segment, machine, grid, bytes).run(); }

} // namespace wafer::stream
