//===- SegmentPlan.cpp - which kernels share a segment ----------------------===//

#include "SegmentPlan.h"

using namespace mlir;

namespace wafer {

llvm::SmallVector<Value> PlannedKernel::reads() const {
  llvm::SmallVector<Value> values;
  if (kernel.source)
    values.push_back(kernel.source);
  if (kernel.weight)
    values.push_back(kernel.weight);
  for (const KernelOperand &operand : kernel.operands)
    if (operand.isActivation())
      values.push_back(operand.value);
  return values;
}

void SegmentPlan::add(Operation *op, const WaferKernel &kernel) {
  if (kernel.kind == KernelKind::Reshape)
    return;
  PlannedKernel planned = {op, kernel};
  size_t earliest = 0;
  for (Value value : planned.reads()) {
    auto defined = segmentOf_.find(originOf(value));
    if (defined != segmentOf_.end())
      earliest = std::max(earliest, defined->second + (value == kernel.weight));
  }
  bool contracts = kernel.kind == KernelKind::Contract;
  auto takes = [&](const PlannedSegment &segment) {
    return segment.tokens == kernel.block.tokens && (!contracts || !segment.contracts || segment.batches == kernel.batches());
  };
  size_t place = earliest;
  while (place < segments_.size() && !takes(segments_[place]))
    ++place;
  if (place == segments_.size())
    segments_.emplace_back();
  PlannedSegment &segment = segments_[place];
  segment.tokens = kernel.block.tokens;
  if (contracts) {
    segment.contracts = true;
    segment.batches = kernel.batches();
  }
  segment.kernels.push_back(std::move(planned));
  segmentOf_[op->getResult(0)] = place;
}

} // namespace wafer
