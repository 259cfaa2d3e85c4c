//===- StreamToWafer.cpp - kernels become machine code ----------------------===//
//
// Walks the segments and calls of a stream.program in order, gives every value a buffer, and lets the kernels write their code and steps.
//
//===----------------------------------------------------------------------===//

#include "wafer/Conversion/StreamToWafer.h"

#include "Kernels.h"

#include "wafer/Analysis/SegmentBuffers.h"
#include "wafer/Analysis/SegmentCost.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace wafer {

#define GEN_PASS_DEF_CONVERTSTREAMTOWAFER
#include "wafer/Conversion/StreamToWafer.h.inc"

namespace {

class ProgramLowering {
public:
  explicit ProgramLowering(stream::ProgramOp program) : source_(program) {}
  LogicalResult run();

private:
  LogicalResult lowerSegment(stream::SegmentOp segment);
  LogicalResult lowerLoad(stream::SegmentOp segment, stream::GridAttr grid, wfr::GridAttr placed, ArrayRef<Operation *> kernels, ArrayRef<Operation *> next);
  LogicalResult lowerKernel(SegmentContext &ctx, Operation *op);
  void assignBlocks(stream::SegmentOp segment, stream::GridAttr grid, int64_t first, int64_t last);
  Block blockOf(Value value, stream::GridAttr grid) const;
  void startImage(Location loc);
  void writeChannels();

  stream::ProgramOp source_;
  wfr::ProgramOp target_;
  wfr::EntryOp entry_;
  std::unique_ptr<ImageBuilder> image_; ///< of the segment at hand
  llvm::StringSet<> channels_;          ///< that any image uses
  int64_t loads_ = 0;
  llvm::DenseMap<Value, Block> blocks_;
  int64_t step_ = 0;
  /// Of which some features come in the next load.
  struct GoingOn {
    stream::SendOp send;
    size_t parts = 0; ///< that came by the end of the load at hand
    int64_t rows = 0; ///< of the block in them
  } goingOn_;
};

/// The entry's inputs or outputs: the program's tensors of that role, in order.
ArrayAttr tensorsOf(stream::ProgramOp program, stream::Role role) {
  SmallVector<Attribute> names;
  for (auto tensor : program.getOps<stream::TensorOp>())
    if (tensor.getRole() == role)
      names.push_back(FlatSymbolRefAttr::get(tensor.getSymNameAttr()));
  return ArrayAttr::get(program.getContext(), names);
}

Block ProgramLowering::blockOf(Value value, stream::GridAttr grid) const {
  auto type = cast<RankedTensorType>(value.getType());
  Block block;
  block.element = type.getElementType();
  block.tokens = grid.getTokenBlock();
  block.features = type.getShape().back();
  block.featureBlock = cast<stream::LayoutAttr>(type.getEncoding()).getFeatureBlock();
  block.rows = std::max<int64_t>(block.featureBlock, 1);
  return block;
}

/// Whether one sending serves all micro-batches, each of which has all tokens of its batch entries.
static bool isSentOnce(stream::SendOp send, stream::GridAttr grid) {
  return grid.getMicroBatches() > 1 && grid.getMicroBatches() * grid.getBatchesAtOnce() == static_cast<int64_t>(send->getParentOfType<stream::SegmentOp>().getBatches()) && stream::isSameForEveryBatch(send);
}

/// Buffers of the values that kernels `first` to `last` of the segment read or make, in the image at hand.
void ProgramLowering::assignBlocks(stream::SegmentOp segment, stream::GridAttr grid, int64_t first, int64_t last) {
  const Leaving leaving = leavingOf(segment.getCompact(), grid.getMicroBatches());
  for (auto [number, buffer] : llvm::enumerate(buffersOf(segment, leaving, [&](stream::SendOp send) { return isSentOnce(send, grid); }))) {
    if (buffer.last < first || buffer.first > last)
      continue;
    Value owner = buffer.values.front();
    Block block = blockOf(owner, grid);
    const LiveRange live = {buffer.first, buffer.last};
    std::string name = (owner.getDefiningOp()->getName().stripDialect() + "_value").str();
    // A contraction's last results come with others behind the block.
    auto contract = owner.getDefiningOp<stream::ContractOp>();
    const int64_t bytes = llvm::alignTo(block.rows, contract ? contract.getRowsTogether().value_or(1) : 1) * block.rowBytes();
    block.buffer = segment.getLoads() > 1 ? image_->keptBuffer(owner.getLoc(), name + "_" + std::to_string(number), bytes, live) : image_->buffer(owner.getLoc(), name, bytes, live);
    for (Value value : buffer.values)
      blocks_[value] = block;
  }
}

LogicalResult ProgramLowering::lowerKernel(SegmentContext &ctx, Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](stream::SendOp send) {
        const Block &block = blocks_[send.getResult()];
        emitSend(ctx, send, block, 0, send == goingOn_.send ? goingOn_.rows : block.rows);
        return success();
      })
      .Case([&](stream::ReceiveOp receive) {
        emitReceive(ctx, receive, blocks_[receive.getValue()]);
        return success();
      })
      .Case([&](stream::ContractOp contract) {
        if (!contract.getWire())
          return LogicalResult(contract.emitOpError("has no wire format; run stream-choose-wire-format first"));
        emitContract(ctx, contract, blocks_[contract.getInput()], contract.getMask() ? &blocks_[contract.getMask()] : nullptr, blocks_[contract.getResult()]);
        return success();
      })
      .Case([&](stream::ScaleOp scale) {
        if (!scale.getWire())
          return LogicalResult(scale.emitOpError("has no wire format; run stream-choose-wire-format first"));
        emitScale(ctx, scale, blocks_[scale.getInput()], blocks_[scale.getResult()]);
        return success();
      })
      .Case([&](stream::SampleOp sample) {
        emitSample(ctx, sample, blocks_[sample.getRows()], sample.getInput() ? &blocks_[sample.getInput()] : nullptr);
        return success();
      })
      .Case([&](stream::AttendOp attend) {
        auto ofOptional = [&](Value value) { return value ? &blocks_[value] : nullptr; };
        return emitAttend(ctx, attend, blocks_[attend.getQkv()], ofOptional(attend.getGradient()), ofOptional(attend.getRotation()), blocks_[attend.getResult()]);
      })
      .Case([&](stream::ReduceOp reduce) {
        emitReduce(ctx, reduce, blocks_[reduce.getInput()], blocks_[reduce.getResult()]);
        return success();
      })
      .Case([&](stream::MapOp map) {
        SmallVector<Block> inputs;
        for (Value input : map.getInputs())
          inputs.push_back(blocks_[input]);
        return emitMap(ctx, map, inputs, blocks_[map.getResult()]);
      })
      .Default([](Operation *other) { return LogicalResult(other->emitOpError("is not a kernel that convert-stream-to-wafer knows")); });
}

LogicalResult ProgramLowering::lowerSegment(stream::SegmentOp segment) {
  std::optional<stream::GridAttr> grid = segment.getGrid();
  if (!grid)
    return segment.emitOpError("has no grid; run stream-assign-layout first");
  int64_t tokens = 0;
  for (Operation &op : segment.getBody().front())
    for (Value result : op.getResults()) {
      auto type = cast<RankedTensorType>(result.getType());
      if (!isa_and_present<stream::LayoutAttr>(type.getEncoding()))
        return op.emitOpError("has no layout; run stream-assign-layout first");
      tokens = type.getNumElements() / type.getShape().back();
    }

  auto placed = wfr::GridAttr::get(segment.getContext(), 0, 0, grid->getColumns(), grid->getRows(), grid->getGroups(), grid->getTokenBlock(), tokens,
                                   grid->getMicroBatches(), segment.getBatches(), grid->getBatchesAtOnce(), grid->getBands());
  step_ = 0;
  const auto loads = loadsOf(segment, segment.getLoads());
  for (auto [number, kernels] : llvm::enumerate(loads))
    if (failed(lowerLoad(segment, *grid, placed, kernels, number + 1 < loads.size() ? ArrayRef(loads[number + 1]) : ArrayRef<Operation *>())))
      return failure();
  return success();
}

/// The kernels of a segment that are in one load; `next`: those of the one behind it.
LogicalResult ProgramLowering::lowerLoad(stream::SegmentOp segment, stream::GridAttr grid, wfr::GridAttr placed, ArrayRef<Operation *> kernels, ArrayRef<Operation *> next) {
  OpBuilder builder = OpBuilder::atBlockEnd(&entry_.getBody().front());
  auto phase = wfr::PhaseOp::create(builder, segment.getLoc(), placed, FlatSymbolRefAttr::get(builder.getContext(), channels::command), builder.getI64IntegerAttr(loads_));
  phase.setContinues(step_ > 0);
  OpBuilder steps = OpBuilder::atBlockEnd(&phase.getBody().emplaceBlock());

  startImage(segment.getLoc());
  const int64_t last = step_ + static_cast<int64_t>(kernels.size()) - 1;
  assignBlocks(segment, grid, step_, last);
  int64_t mostTogether = 1;
  for (Operation *op : kernels)
    if (auto contract = dyn_cast<stream::ContractOp>(op))
      mostTogether = std::max<int64_t>(mostTogether, contract.getRowsTogether().value_or(1));
  SegmentContext ctx(*image_, steps, grid.getTokenBlock(), mostTogether, {step_, last});
  const GoingOn before = std::exchange(goingOn_, {});
  // A later pass may have moved the ends of loads: then what would go on comes at once.
  if (stream::SendOp send = goingOn(before.send, kernels, next)) {
    const GoingOn came = send == before.send ? before : GoingOn();
    if (std::optional<ArrayRef<int64_t>> parts = send.getParts(); parts && came.parts < parts->size())
      goingOn_ = {send, came.parts + 1, came.rows + (*parts)[came.parts]};
  }
  // What is sent once comes first.
  auto isOnce = [&](Operation *op) {
    auto send = dyn_cast<stream::SendOp>(op);
    return send && isSentOnce(send, grid);
  };
  for (Operation *op : kernels)
    if (isOnce(op)) {
      ctx.step = step_;
      if (failed(lowerKernel(ctx, op)))
        return failure();
    }
  phase.setPrologue(llvm::range_size(steps.getBlock()->getOperations()));
  auto countSteps = [&] { return static_cast<int64_t>(llvm::range_size(steps.getBlock()->getOperations())); };
  if (before.send) {
    ctx.step = step_;
    stream::SendOp send = before.send;
    const Block &block = blocks_[send.getResult()];
    emitSend(ctx, send, block, before.rows, (send == goingOn_.send ? goingOn_.rows : block.rows) - before.rows);
  }
  SmallVector<int64_t> begins;
  for (Operation *op : kernels) {
    ctx.step = step_++;
    begins.push_back(countSteps());
    if (!isOnce(op) && failed(lowerKernel(ctx, op)))
      return failure();
  }
  begins.push_back(countSteps());
  auto setBeside = [&](stream::SendOp send, int64_t step, size_t behind) {
    const int64_t beside = kernelsBeside(send, kernels.drop_front(behind));
    cast<wfr::SendOp>(*std::next(steps.getBlock()->begin(), step)).setBeside(begins[behind + beside] - begins[behind]);
  };
  if (before.send)
    setBeside(before.send, begins.front() - 1, 0);
  for (auto [number, op] : llvm::enumerate(kernels))
    if (auto send = dyn_cast<stream::SendOp>(op); send && !isOnce(op))
      setBeside(send, begins[number], number + 1);
  for (const auto &used : image_->channels())
    channels_.insert(used.getKey());
  ++loads_;
  return success();
}

/// Every segment is a load of its own, or several, so that neither code nor tasks grow with the model.
void ProgramLowering::startImage(Location loc) {
  OpBuilder builder(entry_);
  auto image = wfr::ImageOp::create(builder, loc, loads_ == 0 ? "wafer.core" : ("wafer.core_" + Twine(loads_)).str(), channels::command, loads_);
  image.getBody().emplaceBlock();
  image_ = std::make_unique<ImageBuilder>(image);
}

void ProgramLowering::writeChannels() {
  OpBuilder builder = OpBuilder::atBlockBegin(&target_.getBody().front());
  auto channel = [&](StringRef name, wfr::ChannelKind kind, bool weight) {
    wfr::ChannelOp::create(builder, target_.getLoc(), builder.getStringAttr(name), wfr::ChannelKindAttr::get(builder.getContext(), kind),
                           weight ? builder.getUnitAttr() : UnitAttr());
  };
  channel(channels::command, wfr::ChannelKind::ColumnMulticast, /*weight=*/true);
  for (auto [name, kind] : {std::pair(channels::input, wfr::ChannelKind::RelayIn), std::pair(channels::output, wfr::ChannelKind::RelayOut),
                            std::pair(channels::chainEast, wfr::ChannelKind::ChainEast), std::pair(channels::chainWest, wfr::ChannelKind::ChainWest),
                            std::pair(channels::maskEast, wfr::ChannelKind::ChainEast), std::pair(channels::maskWest, wfr::ChannelKind::ChainWest),
                            std::pair(channels::castWest, wfr::ChannelKind::MulticastWest), std::pair(channels::chainSouth, wfr::ChannelKind::ChainSouth),
                            std::pair(channels::groupSums, wfr::ChannelKind::GroupSums),
                            std::pair(channels::ring, wfr::ChannelKind::ColumnRing), std::pair(channels::pairs, wfr::ChannelKind::ColumnPairs)})
    if (channels_.contains(name))
      channel(name, kind, /*weight=*/false);
}

LogicalResult ProgramLowering::run() {
  OpBuilder builder(source_);
  target_ = wfr::ProgramOp::create(builder, source_.getLoc(), source_.getSymNameAttr(), source_.getMachineAttr());
  OpBuilder inside = OpBuilder::atBlockBegin(&target_.getBody().emplaceBlock());
  for (auto tensor : source_.getOps<stream::TensorOp>())
    wfr::TensorOp::create(inside, tensor.getLoc(), tensor.getSymNameAttr(), tensor.getRoleAttr(), tensor.getTypeAttr(), tensor.getNonzerosAttr(),
                          tensor.getUpdatesAttr(), /*outside=*/StringAttr());
  for (auto function : source_.getOps<func::FuncOp>())
    inside.clone(*function);
  entry_ = wfr::EntryOp::create(inside, source_.getLoc(), source_.getSymName(), tensorsOf(source_, stream::Role::Input),
                                tensorsOf(source_, stream::Role::Output));
  OpBuilder entry = OpBuilder::atBlockBegin(&entry_.getBody().emplaceBlock());

  for (Operation &op : source_.getBody().front()) {
    if (auto segment = dyn_cast<stream::SegmentOp>(op)) {
      if (segment.getBody().front().empty())
        continue;
      if (failed(lowerSegment(segment)))
        return failure();
    } else if (auto call = dyn_cast<stream::CallOp>(op)) {
      entry.setInsertionPointToEnd(&entry_.getBody().front());
      wfr::CallOp::create(entry, call.getLoc(), call.getCalleeAttr(), call.getInputsAttr(), call.getOutputsAttr(), call.getReasonAttr());
    }
  }
  if (loads_ > 0)
    writeChannels();
  source_.erase();
  return success();
}

struct ConvertStreamToWafer : impl::ConvertStreamToWaferBase<ConvertStreamToWafer> {
  void runOnOperation() override {
    for (auto program : llvm::make_early_inc_range(getOperation().getOps<stream::ProgramOp>()))
      if (failed(ProgramLowering(program).run()))
        return signalPassFailure();
  }
};

} // namespace

} // namespace wafer
