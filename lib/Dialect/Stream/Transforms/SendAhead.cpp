//===- SendAhead.cpp - sends beside the kernels before their reader --------===//

#include "SendAhead.h"

using namespace mlir;

namespace wafer::stream {

/// Kernels that a send may go ahead of, upwards. One send at a time comes beside others, and none before its tensor is there.
static SmallVector<Operation *> kernelsAbove(SendOp send) {
  SmallVector<Operation *> kernels;
  for (Operation *op = send->getPrevNode(); op; op = op->getPrevNode()) {
    if (auto receive = dyn_cast<ReceiveOp>(op); receive && receive.getTensor() == send.getTensor())
      return kernels;
    if (auto other = dyn_cast<SendOp>(op)) {
      // Its own kernels end in front of the first that reads it.
      auto reads = [&](Operation *kernel) { return llvm::is_contained(kernel->getOperands(), other.getResult()); };
      if (other.getAhead())
        while (!kernels.empty() && !reads(kernels.back()))
          kernels.pop_back();
      return kernels;
    }
    kernels.push_back(op);
  }
  return kernels;
}

/// What takes long.
static bool isLong(Operation *kernel) { return isa<ContractOp, SampleOp, AttendOp>(kernel); }

bool maySendAhead(SegmentOp segment) {
  return llvm::any_of(segment.getOps<SendOp>(), [](SendOp send) { return !send.getAhead() && llvm::any_of(kernelsAbove(send), isLong); });
}

void sendAhead(SegmentOp segment, llvm::function_ref<std::optional<double>()> cyclesNow) {
  /// Fewer cycles are no reason for a value to be there longer.
  constexpr double worthwhile = 256;
  std::optional<double> least = cyclesNow();
  for (SendOp send : llvm::to_vector(segment.getOps<SendOp>())) {
    if (!least || send.getAhead())
      continue;
    Operation *const place = send->getNextNode(), *best = place;
    const SmallVector<Operation *> kernels = kernelsAbove(send);
    send.setAhead(true);
    for (Operation *kernel : kernels) {
      // Others are over before much has come.
      if (!isLong(kernel) && kernel != kernels.back())
        continue;
      send->moveBefore(kernel);
      const std::optional<double> cycles = cyclesNow();
      if (!cycles)
        break;
      if (*cycles < *least - worthwhile) {
        best = kernel;
        least = cycles;
      }
    }
    send->moveBefore(best);
    send.setAhead(best != place);
  }
}

} // namespace wafer::stream
