//===- SegmentPlan.cpp - which kernels share a segment ----------------------===//

#include "SegmentPlan.h"

using namespace mlir;

namespace wafer {

llvm::SmallVector<Value> PlannedKernel::activations() const {
  llvm::SmallVector<Value> values;
  if (kernel.source)
    values.push_back(originOf(kernel.source));
  for (const KernelOperand &operand : kernel.operands)
    if (operand.isActivation())
      values.push_back(originOf(operand.value));
  return values;
}

llvm::SmallVector<Value> PlannedKernel::repeated() const {
  llvm::SmallVector<Value> values;
  for (const KernelOperand &operand : kernel.operands)
    if (operand.use == OperandUse::Repeated)
      values.push_back(originOf(operand.value));
  return values;
}

llvm::SmallVector<Value> PlannedKernel::streamed() const {
  llvm::SmallVector<Value> values;
  if (kernel.weight)
    values.push_back(kernel.weight);
  for (const KernelOperand &operand : kernel.operands)
    if (operand.use == OperandUse::PerFeature)
      values.push_back(operand.streamed);
  return values;
}

bool PlannedSegment::takes(const WaferKernel &kernel) const {
  if (tokens != kernel.block.tokens)
    return false;
  if (kernel.kind == KernelKind::Attend)
    return (attended == 0 || attended == kernel.entries) && (!contracts || batches == 1 || batches == kernel.entries);
  const bool isFixed = kernel.kind == KernelKind::Sample || kernel.kind == KernelKind::Contract;
  return !isFixed || ((!contracts || batches == kernel.batches()) && (attended == 0 || kernel.batches() == 1 || kernel.batches() == attended));
}

int64_t PlannedSegment::entries() const {
  if (attended > 0)
    return attended;
  /// Fewer tokens to an entry would be more work than they save.
  constexpr int64_t fewestTokens = 16;
  int64_t period = 0;
  for (const PlannedKernel &planned : kernels)
    for (Value value : planned.repeated()) {
      const int64_t own = cast<RankedTensorType>(value.getType()).getNumElements() / std::max<int64_t>(1, planned.kernel.block.features);
      if (own > 1 && period > 0 && own != period)
        return batches;
      period = std::max(period, own);
    }
  return contracts || period < fewestTokens || tokens % period != 0 ? batches : tokens / period;
}

void SegmentPlan::add(Operation *op, const WaferKernel &kernel) {
  if (kernel.kind == KernelKind::Reshape)
    return;
  PlannedKernel planned = {op, kernel};
  size_t earliest = 0;
  auto comesAfter = [&](ArrayRef<Value> values, size_t distance) {
    for (Value value : values)
      if (auto defined = segmentOf_.find(value); defined != segmentOf_.end())
        earliest = std::max(earliest, defined->second + distance);
  };
  comesAfter(planned.activations(), 0);
  comesAfter(planned.repeated(), 1);
  comesAfter(planned.streamed(), 1);
  const bool samples = kernel.kind == KernelKind::Sample;
  bool contracts = samples || kernel.kind == KernelKind::Contract;
  size_t place = earliest;
  while (place < segments_.size() && !segments_[place].takes(kernel))
    ++place;
  if (place == segments_.size())
    segments_.emplace_back();
  PlannedSegment &segment = segments_[place];
  segment.tokens = kernel.block.tokens;
  if (contracts) {
    segment.contracts = true;
    segment.batches = kernel.batches();
  }
  if (kernel.kind == KernelKind::Attend)
    segment.attended = kernel.entries;
  segment.kernels.push_back(std::move(planned));
  // What leaves for MemoryX is there for the next one.
  segmentOf_[op->getResult(0)] = place + (samples ? 1 : 0);
}

} // namespace wafer
