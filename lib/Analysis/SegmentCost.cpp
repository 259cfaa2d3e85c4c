//===- SegmentCost.cpp - cycles and SRAM of a segment on a grid ------------===//

#include "wafer/Analysis/SegmentCost.h"
#include "wafer/Analysis/WeightLink.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/TypeSwitch.h"

#include "wafer/Machine/BatchEntries.h"
#include "wafer/Machine/RepeatedTokens.h"

#include <algorithm>
#include <set>

using namespace mlir;

namespace wafer {

namespace {

// Sizes of the machine's formats (docs/spec/machine.md sections 2 and 3).
constexpr int64_t instructionBytes = 8, descriptorBytes = 32;
/// Addresses are rounded up and buffers of different sizes leave gaps.
constexpr double margin = 1.05;

int64_t elementBytesOf(RankedTensorType type) { return type.getElementTypeBitWidth() / 8; }

/// Conversions and constants need no instruction of their own in most places.
bool isCheap(Operation *op) {
  return op->hasTrait<OpTrait::ConstantLike>() || isa<arith::ExtFOp, arith::TruncFOp, arith::UIToFPOp, arith::SIToFPOp, arith::FPToSIOp, stream::YieldOp>(op);
}

bool isFunction(Operation *op) {
  return isa<math::ExpOp, math::LogOp, math::TanhOp, math::ErfOp, math::SqrtOp, math::RsqrtOp, math::SinOp, math::CosOp>(op);
}

} // namespace

WireCost wireCost(stream::ContractOp contract, stream::WireFormat format) {
  WireCost wire;
  wire.wide = contract.getInput().getType().getElementType().isF32();
  wire.waveletsEach = format == stream::WireFormat::Indexed32 ? 2 : 1;
  wire.perWavelet = format == stream::WireFormat::Packed8 ? 4 : format == stream::WireFormat::Packed16 ? 2 : 1;
  if (format == stream::WireFormat::Indexed16 || format == stream::WireFormat::Indexed32)
    wire.density = densityOf(contract).value_or(1);
  if (const LinkForm link = shortestLink(contract, format); link.kind != LinkForm::Wavelets)
    wire.linkWords = static_cast<int64_t>(wordsOfRow(contract, link));
  wire.isMasked = contract.getMask() != nullptr;
  wire.nonzeros = (1 - contract.getInputZeros().value_or(0) / 1000.0) * (1 - contract.getOutputZeros().value_or(0) / 1000.0);
  return wire;
}

/// Counts instructions, and the results that are needed later at the body's fullest point.
void SegmentModel::readMap(stream::MapOp map, Kernel &kernel) const {
  Block &body = map.getBody().front();
  llvm::DenseMap<Operation *, int64_t> lastUse;
  int64_t position = 0;
  for (Operation &op : body) {
    ++position;
    for (Value operand : op.getOperands())
      if (Operation *definition = operand.getDefiningOp(); definition && !definition->hasTrait<OpTrait::ConstantLike>())
        lastUse[definition] = position;
  }
  position = 0;
  for (Operation &op : body) {
    ++position;
    if (!isCheap(&op))
      ++(isFunction(&op) ? kernel.functions : kernel.operations);
    int64_t alive = llvm::count_if(lastUse, [&](auto &entry) { return entry.first->isBeforeInBlock(&op) && entry.second > position; });
    kernel.temporaries = std::max(kernel.temporaries, alive + 1);
  }
}

/// A buffer per value, alive from its kernel to its last reader; a map writes over an operand of its type that nobody needs any more.
void SegmentModel::readBuffers(stream::SegmentOp segment) {
  llvm::DenseMap<Operation *, int64_t> step;
  for (Operation &op : segment.getBody().front()) {
    int64_t index = step.size();
    step[&op] = index;
  }
  auto isKept = [](Value value) {
    auto send = value.getDefiningOp<stream::SendOp>();
    return send && stream::isSameForEveryBatch(send);
  };
  llvm::DenseMap<Value, size_t> bufferOf;
  for (Operation &op : segment.getBody().front()) {
    for (Value result : op.getResults()) {
      int64_t last = step[&op];
      for (Operation *user : result.getUsers())
        last = std::max(last, step[user]);
      auto type = cast<RankedTensorType>(result.getType());
      std::optional<size_t> reused;
      if (auto map = dyn_cast<stream::MapOp>(op))
        for (Value input : map.getInputs())
          if (input.hasOneUse() && input.getType() == type && !isKept(input))
            reused = bufferOf[input];
      if (reused) {
        buffers_[*reused].last = std::max(buffers_[*reused].last, last);
        bufferOf[result] = *reused;
        continue;
      }
      bufferOf[result] = buffers_.size();
      // What is sent once stays for all micro-batches.
      const bool stays = isKept(result);
      buffers_.push_back({stream::numFeatures(type), elementBytesOf(type), stays ? 0 : step[&op], stays ? INT64_MAX : last});
    }
  }
}

SegmentModel::SegmentModel(stream::SegmentOp segment) : batches_(segment.getBatches()) {
  std::set<int64_t> features;
  auto typeOf = [](Value value) { return cast<RankedTensorType>(value.getType()); };
  auto featuresOf = [&](Value value) { return stream::numFeatures(typeOf(value)); };
  for (Operation &op : segment.getBody().front()) {
    Kernel kernel{};
    llvm::TypeSwitch<Operation *>(&op)
        .Case([&](stream::SendOp send) {
          kernel.kind = Kernel::Send;
          kernel.elementBytes = elementBytesOf(send.getResult().getType());
          kernel.isSameForEveryBatch = stream::isSameForEveryBatch(send);
          auto tensor = send->getParentOfType<stream::ProgramOp>().lookupSymbol<stream::TensorOp>(send.getTensorAttr().getAttr());
          kernel.tokens = cast<RankedTensorType>(tensor.getType()).getNumElements() / std::max<int64_t>(1, featuresOf(send.getResult()));
        })
        .Case([&](stream::ReceiveOp receive) {
          kernel.kind = Kernel::Receive;
          kernel.in = featuresOf(receive.getValue());
          kernel.elementBytes = elementBytesOf(typeOf(receive.getValue()));
        })
        .Case([&](stream::ContractOp contract) {
          kernel.kind = Kernel::Contract;
          kernel.in = featuresOf(contract.getInput());
          kernel.batchSizes = contract.getBatchSizes();
          kernel.batchStrides = contract.getBatchStrides();
          kernel.wire = wireCost(contract, contract.getWire().value_or(stream::denseWireFormat(contract.getInput().getType().getElementType())));
        })
        .Case([&](stream::ScaleOp) { kernel.kind = Kernel::Scale; })
        .Case([&](stream::MapOp map) {
          kernel.kind = Kernel::Map;
          readMap(map, kernel);
        })
        .Case([&](stream::SampleOp sample) {
          kernel.kind = Kernel::Sample;
          kernel.in = sample.getColumns();
          kernel.out = featuresOf(sample.getRows());
          kernel.elementBytes = elementBytesOf(sample.getRows().getType());
          kernel.wire.wide = kernel.elementBytes == 4;
          FlatSymbolRefAttr name = sample.getPatternAttr();
          kernel.wire.isImplicit = !name;
          auto pattern = name ? sample->getParentOfType<stream::ProgramOp>().lookupSymbol<stream::TensorOp>(name.getAttr()) : stream::TensorOp();
          if (pattern && pattern.getNonzeros())
            kernel.wire.density = double(*pattern.getNonzeros()) / std::max<int64_t>(1, cast<RankedTensorType>(pattern.getType()).getNumElements());
        })
        .Case([&](stream::ReduceOp reduce) {
          kernel.kind = Kernel::Reduce;
          kernel.in = featuresOf(reduce.getInput());
        });
    for (Value result : op.getResults()) {
      kernel.out = featuresOf(result);
      features.insert(kernel.out);
      tokens_ = stream::numTokens(typeOf(result));
      if (!largest_ || kernel.out > featuresOf(largest_->getResult(0)))
        largest_ = &op;
    }
    kernels_.push_back(kernel);
  }
  features_.assign(features.begin(), features.end());
  readBuffers(segment);
}

bool SegmentModel::addsTokens() const {
  return llvm::any_of(kernels_, [](const Kernel &kernel) { return kernel.kind == Kernel::Sample; });
}

/// Groups that differ in what is sent.
int64_t SegmentModel::groupsSent(const Kernel &send, const GridShape &grid) const {
  auto u64 = [](int64_t n) { return static_cast<uint64_t>(n); };
  return static_cast<int64_t>(groupsThatDiffer({u64(grid.groups), u64(grid.batchesAtOnce), u64(grid.rows * grid.tokenBlock), u64(tokens_ / batches_),
                                                u64(grid.microBatches * grid.batchesAtOnce / batches_)}, u64(send.tokens)));
}

SegmentCost SegmentModel::estimate(const Machine &machine, const GridShape &grid, int64_t chunkBytes) const {
  SegmentCost cost;
  auto blockOf = [&](int64_t features) { return ceilDiv(features, grid.columns); };
  double longest = 0;
  int64_t step = 0;
  for (const Kernel &kernel : kernels_) {
    int64_t temporaries = 0;
    switch (kernel.kind) {
    case Kernel::Send:
    case Kernel::Receive: {
      const bool in = kernel.kind == Kernel::Send;
      const int64_t groups = in ? groupsSent(kernel, grid) : grid.groups;
      double cycles = transferCycles(machine, grid, groups, blockOf(in ? kernel.out : kernel.in), kernel.elementBytes, in);
      if (kernel.isSameForEveryBatch && grid.microBatches * grid.batchesAtOnce == batches_)
        cycles /= grid.microBatches;
      cost.cycles += cycles;
      cost.transfers += cycles;
      break;
    }
    case Kernel::Contract: {
      WireCost wire = kernel.wire;
      wire.streams = streamsAtOnce(kernel.batchSizes, kernel.batchStrides, grid.batchesAtOnce);
      double cycles = contractionCycles(machine, grid, kernel.in, kernel.out, wire);
      cost.cycles += cycles;
      cost.contractions += cycles;
      if (cycles > longest) {
        longest = cycles;
        cost.binds = contractionRow(machine, grid, kernel.in, wire).binds();
      }
      // The row of the mask at work and the one before.
      temporaries = wire.isMasked ? 2 * grid.tokenBlock * 2 : 0;
      break;
    }
    case Kernel::Scale:
      cost.cycles += scaleCycles(machine, grid, kernel.out);
      break;
    case Kernel::Map: {
      cost.cycles += mapCycles(machine, grid, blockOf(kernel.out), kernel.operations, kernel.functions, chunkBytes);
      int64_t rowBytes = grid.tokenBlock * 4;
      temporaries = kernel.temporaries * std::min(blockOf(kernel.out) * rowBytes, std::max(chunkBytes, rowBytes));
      break;
    }
    case Kernel::Sample: {
      const double cycles = sampleCycles(machine, grid, kernel.in, kernel.out, kernel.wire);
      cost.cycles += cycles;
      cost.contractions += cycles;
      // The row at work and the one before.
      temporaries = 2 * grid.tokenBlock * kernel.elementBytes;
      break;
    }
    case Kernel::Reduce:
      cost.cycles += reduceCycles(machine, grid, blockOf(kernel.in));
      temporaries = grid.tokenBlock * 4;
      break;
    }
    int64_t live = temporaries;
    for (const Buffer &buffer : buffers_)
      if (buffer.first <= step && step <= buffer.last)
        live += blockOf(buffer.features) * grid.tokenBlock * buffer.elementBytes;
    cost.valueBytes = std::max(cost.valueBytes, live);
    ++step;
  }
  // Two sums that owners build and a row of ones are there all the time.
  cost.valueBytes = static_cast<int64_t>(cost.valueBytes * margin) + 3 * grid.tokenBlock * 4;
  cost.cycles *= grid.microBatches;
  cost.contractions *= grid.microBatches;
  cost.transfers *= grid.microBatches;
  for (const Kernel &kernel : kernels_)
    if (kernel.kind == Kernel::Contract || kernel.kind == Kernel::Sample)
      cost.macs += double(kernel.in) * kernel.out * tokens_;
  return cost;
}

int64_t estimateControlTasks(stream::SegmentOp segment) {
  // Tasks that differ in what they name are tasks of their own; those that pass sums on or take a result are shared by kernels of equal types.
  int64_t tasks = 0;
  std::set<std::tuple<bool, const void *, const void *, bool>> results;
  std::set<const void *> passes, biases, samples, masks;
  for (Operation &op : segment.getBody().front()) {
    ++tasks;
    auto ofRows = [&](Value input, Value result, bool hasBias) {
      auto element = [](Value value) { return cast<RankedTensorType>(value.getType()).getElementType().getAsOpaquePointer(); };
      results.insert({isa<stream::ContractOp>(op), element(input), element(result), hasBias});
      if (hasBias)
        biases.insert(element(input));
      return element(input);
    };
    if (auto sample = dyn_cast<stream::SampleOp>(op))
      samples.insert(sample.getRows().getType().getElementType().getAsOpaquePointer());
    if (auto contract = dyn_cast<stream::ContractOp>(op); contract && contract.getMask())
      masks.insert(contract.getMask().getType().getElementType().getAsOpaquePointer());
    if (auto contract = dyn_cast<stream::ContractOp>(op))
      passes.insert(ofRows(contract.getInput(), contract.getResult(), contract.getBiasAttr() != nullptr));
    else if (auto scale = dyn_cast<stream::ScaleOp>(op))
      ofRows(scale.getInput(), scale.getResult(), scale.getBetaAttr() != nullptr);
  }
  return tasks + static_cast<int64_t>(results.size() + biases.size() + 2 * passes.size() + 4 * (samples.size() + masks.size()));
}

int64_t estimateCodeBytes(stream::SegmentOp segment) {
  // Shared by all kernels: data tasks, the tasks that pass sums on, their descriptors.
  int64_t instructions = 12, descriptors = 12;
  segment.walk([&](Operation *op) {
    llvm::TypeSwitch<Operation *>(op)
        .Case<stream::SendOp, stream::ReceiveOp>([&](auto) { instructions += 7, descriptors += 4; })
        .Case([&](stream::ContractOp contract) {
          instructions += 24 + (contract.getMask() ? 36 : 0);
          descriptors += 3 + (contract.getMask() ? 11 : 0);
        })
        .Case([&](stream::ScaleOp) { instructions += 18, descriptors += 3; })
        .Case([&](stream::SampleOp) { instructions += 44, descriptors += 14; })
        .Case([&](stream::ReduceOp) { instructions += 20, descriptors += 10; })
        .Case([&](stream::MapOp map) {
          int64_t constants = 0, others = 0;
          for (Operation &nested : map.getBody().front().without_terminator())
            ++(nested.hasTrait<OpTrait::ConstantLike>() ? constants : others);
          int64_t places = map.getInputs().size() + 1 + constants + std::min<int64_t>(others, 4);
          instructions += 2 * places + others + 2;
          descriptors += places;
        });
  });
  return instructions * instructionBytes + descriptors * descriptorBytes;
}

} // namespace wafer
