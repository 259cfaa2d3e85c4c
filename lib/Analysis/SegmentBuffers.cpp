//===- SegmentBuffers.cpp - which values of a segment share SRAM, and when -===//

#include "wafer/Analysis/SegmentBuffers.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace wafer {

std::vector<SegmentBuffer> buffersOf(stream::SegmentOp segment, Leaving leaving, llvm::function_ref<bool(stream::SendOp)> isSentOnce) {
  Block &body = segment.getBody().front();
  llvm::DenseMap<Operation *, int64_t> stepOf;
  llvm::SmallVector<int64_t> receives;
  for (Operation &op : body) {
    if (isa<stream::ReceiveOp>(op))
      receives.push_back(stepOf.size());
    const int64_t step = stepOf.size();
    stepOf[&op] = step;
  }
  const int64_t end = static_cast<int64_t>(stepOf.size()) - 1;
  auto stays = [&](Value value) {
    auto send = value.getDefiningOp<stream::SendOp>();
    return send && isSentOnce(send);
  };

  std::vector<SegmentBuffer> buffers;
  llvm::DenseMap<Value, size_t> bufferOf;
  for (Operation &op : body)
    for (Value result : op.getResults()) {
      size_t place = buffers.size();
      if (auto map = dyn_cast<stream::MapOp>(op))
        for (Value input : map.getInputs())
          if (stream::isLastReader(map, input) && input.getType() == result.getType() && !stays(input))
            place = bufferOf.lookup(input);
      if (auto attend = dyn_cast<stream::AttendOp>(op); attend && attend.getGradient() && attend.isInPlace())
        place = bufferOf.lookup(attend.getQkv());
      if (place == buffers.size())
        buffers.push_back({{}, stepOf[&op], stepOf[&op]});
      bufferOf[result] = place;
      SegmentBuffer &buffer = buffers[place];
      buffer.values.push_back(result);
      for (Operation *user : result.getUsers()) {
        const int64_t step = stepOf[user];
        buffer.last = std::max(buffer.last, step);
        if (leaving == Leaving::Compact || !isa<stream::ReceiveOp>(user))
          continue;
        if (const int64_t *next = llvm::upper_bound(receives, step); next != receives.end())
          buffer.last = std::max(buffer.last, *next);
        else if (leaving == Leaving::Repeated)
          buffer.first = 0, buffer.last = end;
        else
          buffer.last = end;
      }
      if (stays(result))
        buffer.first = 0, buffer.last = end;
    }
  return buffers;
}

} // namespace wafer
