//===- SendAhead.cpp - sends beside the kernels before their reader --------===//

#include "SendAhead.h"

using namespace mlir;

namespace wafer::stream {

/// What takes long.
static bool isLong(Operation *kernel) { return isa<ContractOp, SampleOp, AttendOp>(kernel); }

static int64_t bitsOf(SendOp send) {
  auto type = cast<RankedTensorType>(send.getType());
  return type.getNumElements() * type.getElementTypeBitWidth();
}

namespace {

/// A send and what stands in front of it, upwards, as far as it may go. Sends that it passes go with it, in front of it: one at a time comes beside kernels.
class WayUp {
public:
  explicit WayUp(SendOp send) : send_(send), behind_(send->getNextNode()) {
    llvm::SmallDenseSet<Attribute> tensors = {send.getTensorAttr()};
    for (Operation *op = send->getPrevNode(); op; op = op->getPrevNode()) {
      // None goes before its tensor is there.
      if (auto receive = dyn_cast<ReceiveOp>(op); receive && tensors.contains(receive.getTensorAttr()))
        break;
      if (auto other = dyn_cast<SendOp>(op))
        tensors.insert(other.getTensorAttr());
      above_.push_back(op);
    }
  }

  /// Kernels that it may stand in front of. Others than long ones are over before much has come.
  SmallVector<Operation *> places() const {
    SmallVector<Operation *> places;
    for (Operation *op : above_)
      if (isLong(op) || (op == above_.back() && !isa<SendOp>(op)))
        places.push_back(op);
    return places;
  }

  /// Moves it, and the sends between, to the front of one of its places, or back if there is none.
  void moveTo(Operation *place) {
    for (Operation *op : llvm::reverse(above_))
      op->moveBefore(behind_);
    send_->moveBefore(behind_);
    if (!place)
      return;
    send_->moveBefore(place);
    Operation *last = send_;
    for (Operation *op : above_) {
      if (op == place)
        break;
      if (isa<SendOp>(op)) {
        op->moveBefore(last);
        last = op;
      }
    }
  }

private:
  SendOp send_;
  Operation *behind_;
  SmallVector<Operation *> above_; ///< nearest first
};

} // namespace

bool maySendAhead(SegmentOp segment) {
  return llvm::any_of(segment.getOps<SendOp>(), [](SendOp send) { return !send.getAhead() && !WayUp(send).places().empty(); });
}

void sendAhead(SegmentOp segment, llvm::function_ref<std::optional<double>()> cyclesNow) {
  /// Fewer cycles are no reason for a value to be there longer. Places higher up are looked at until so many in a row are no better.
  constexpr double worthwhile = 256;
  constexpr int patience = 4;
  std::optional<double> least = cyclesNow();
  if (!least)
    return;
  auto sends = llvm::to_vector(segment.getOps<SendOp>());
  llvm::stable_sort(sends, [](SendOp a, SendOp b) { return bitsOf(a) > bitsOf(b); });
  for (SendOp send : sends) {
    if (send.getAhead())
      continue;
    WayUp way(send);
    Operation *best = nullptr;
    send.setAhead(true);
    int worse = 0;
    for (Operation *place : way.places()) {
      way.moveTo(place);
      const std::optional<double> cycles = cyclesNow();
      if (worse++ == patience)
        break;
      // Where a place leaves no room, the next one, in a load with less code, may.
      if (cycles && *cycles < *least - worthwhile) {
        best = place;
        least = cycles;
        worse = 0;
      }
    }
    way.moveTo(best);
    send.setAhead(best != nullptr);
  }
}

} // namespace wafer::stream
