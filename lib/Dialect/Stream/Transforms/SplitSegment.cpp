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

SegmentOp splitSegment(SegmentOp segment) {
  SmallVector<Operation *> kernels;
  for (Operation &op : segment.getBody().front())
    if (!isa<SendOp, ReceiveOp>(op))
      kernels.push_back(&op);
  if (kernels.size() < 2)
    return nullptr;
  Operation *cut = kernels[kernels.size() / 2];

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
      Value again = SendOp::create(before, value.getLoc(), value.getType(), tensor);
      value.replaceUsesWithIf(again, isLater);
    }
  }
  // Sends whose readers are all in the second segment are not needed in the first.
  for (auto send : llvm::make_early_inc_range(first.getOps<SendOp>()))
    if (send.getResult().use_empty())
      send.erase();
  return second;
}

} // namespace wafer::stream
