//===- SplitSegment.cpp - a segment in two -----------------------------------===//

#include "SplitSegment.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace wafer::stream {

/// A new tensor in MemoryX for a value that leaves one segment for the next.
static FlatSymbolRefAttr makeIntermediate(ProgramOp program, Value value) {
  std::string name;
  for (unsigned i = 0; name.empty() || program.lookupSymbol(name); ++i)
    name = "spilled_" + std::to_string(i);
  OpBuilder builder = OpBuilder::atBlockBegin(&program.getBody().front());
  auto type = cast<RankedTensorType>(value.getType());
  TensorOp::create(builder, value.getLoc(), builder.getStringAttr(name), RoleAttr::get(program.getContext(), Role::Intermediate),
                   TypeAttr::get(RankedTensorType::get(type.getShape(), type.getElementType())));
  return FlatSymbolRefAttr::get(program.getContext(), name);
}

/// Elements of a token that cross the link because of a cut in front of an operation: what is made before it leaves and comes again, what MemoryX has comes again.
static int64_t crossing(Operation *cut) {
  int64_t elements = 0;
  for (Operation &op : *cut->getBlock()) {
    if (&op == cut)
      break;
    for (Value value : op.getResults())
      if (llvm::any_of(value.getUsers(), [&](Operation *user) { return !user->isBeforeInBlock(cut); })) {
        const bool isUsedBefore = llvm::any_of(value.getUsers(), [&](Operation *user) { return user->isBeforeInBlock(cut); });
        elements += (isa<SendOp>(op) ? isUsedBefore : 2) * numFeatures(cast<RankedTensorType>(value.getType()));
      }
  }
  return elements;
}

/// Where least crosses, in the middle half of the kernels, and nearest to the middle of them.
static Operation *bestCut(ArrayRef<Operation *> kernels) {
  const size_t middle = kernels.size() / 2, reach = std::max<size_t>(1, kernels.size() / 4);
  Operation *best = kernels[middle];
  int64_t least = crossing(best);
  for (size_t distance = 1; distance < reach; ++distance)
    for (size_t place : {middle - distance, middle + distance})
      if (const int64_t elements = crossing(kernels[place]); elements < least) {
        least = elements;
        best = kernels[place];
      }
  return best;
}

/// Batch entries that the kernels of a segment tell apart, or whose tokens MemoryX repeats; 1 if all tokens are alike.
static uint64_t batchesNeeded(SegmentOp segment) {
  auto tellsApart = [](Operation &op) {
    if (auto contract = dyn_cast<ContractOp>(op))
      return !contract.getBatchSizes().empty();
    if (auto sample = dyn_cast<SampleOp>(op))
      return !sample.getBatchSizes().empty();
    auto send = dyn_cast<SendOp>(op);
    return isa<AttendOp>(op) || (send && isSameForEveryBatch(send));
  };
  return llvm::any_of(segment.getBody().front(), tellsApart) ? segment.getBatches() : 1;
}

SegmentOp splitSegment(SegmentOp segment) {
  SmallVector<Operation *> kernels;
  for (Operation &op : segment.getBody().front())
    if (!isa<SendOp, ReceiveOp>(op))
      kernels.push_back(&op);
  if (kernels.size() < 2)
    return nullptr;
  Operation *cut = bestCut(kernels);

  OpBuilder builder(segment);
  builder.setInsertionPointAfter(segment);
  auto second = SegmentOp::create(builder, cut->getLoc(), GridAttr(), segment.getBatches(), segment.getChunkBytes());
  Block &first = segment.getBody().front(), &block = second.getBody().emplaceBlock();
  block.getOperations().splice(block.end(), first.getOperations(), cut->getIterator(), first.end());

  auto program = segment->getParentOfType<ProgramOp>();
  OpBuilder end = OpBuilder::atBlockEnd(&first);
  for (Operation &op : llvm::make_early_inc_range(first)) {
    for (Value value : op.getResults()) {
      auto isLater = [&](OpOperand &use) { return use.getOwner()->getBlock() == &block; };
      if (llvm::none_of(value.getUses(), isLater))
        continue;
      // What MemoryX holds anyway is sent again.
      auto send = dyn_cast<SendOp>(op);
      FlatSymbolRefAttr tensor = send ? send.getTensorAttr() : makeIntermediate(program, value);
      if (!send)
        ReceiveOp::create(end, value.getLoc(), value, tensor);
      // Sent as late as may be, so that it takes room for as short as may be.
      Operation *reader = nullptr;
      for (OpOperand &use : value.getUses())
        if (isLater(use) && (!reader || use.getOwner()->isBeforeInBlock(reader)))
          reader = use.getOwner();
      OpBuilder before(reader);
      Value again = SendOp::create(before, value.getLoc(), value.getType(), tensor, UnitAttr(), DenseI64ArrayAttr());
      value.replaceUsesWithIf(again, isLater);
    }
  }
  // Sends whose readers are all in the second segment are not needed in the first.
  for (auto send : llvm::make_early_inc_range(first.getOps<SendOp>()))
    if (send.getResult().use_empty())
      send.erase();
  for (SegmentOp part : {segment, second})
    part.setBatches(batchesNeeded(part));
  return second;
}

} // namespace wafer::stream
