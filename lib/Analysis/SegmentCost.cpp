//===- SegmentCost.cpp - cycles and SRAM of a segment on a grid ------------===//

#include "wafer/Analysis/SegmentCost.h"

#include "AttentionCost.h"
#include "SegmentClock.h"

#include "wafer/Analysis/WeightLink.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

#include "wafer/Machine/BatchEntries.h"
#include "wafer/Machine/RepeatedTokens.h"

#include <algorithm>
#include <numeric>
#include <set>

using namespace mlir;

namespace wafer {

namespace {

// Sizes of the machine's formats (docs/spec/machine.md sections 2 and 3).
constexpr int64_t instructionBytes = 8, descriptorBytes = 32;

int64_t elementBytesOf(RankedTensorType type) { return type.getElementTypeBitWidth() / 8; }

/// Conversions and constants need no instruction of their own in most places.
bool isCheap(Operation *op) {
  return op->hasTrait<OpTrait::ConstantLike>() || isa<arith::ExtFOp, arith::TruncFOp, arith::UIToFPOp, arith::SIToFPOp, arith::FPToSIOp, stream::YieldOp>(op);
}

bool isFunction(Operation *op) {
  return isa<math::ExpOp, math::LogOp, math::TanhOp, math::ErfOp, math::SqrtOp, math::RsqrtOp, math::SinOp, math::CosOp>(op);
}

} // namespace

WireCost wireCost(stream::ContractOp contract, stream::TensorOp weight, stream::WireFormat format) {
  WireCost wire;
  wire.wide = contract.getInput().getType().getElementType().isF32();
  wire.waveletsEach = format == stream::WireFormat::Indexed32 ? 2 : 1;
  wire.perWavelet = format == stream::WireFormat::Packed8 ? 4 : format == stream::WireFormat::Packed16 ? 2 : 1;
  if (format == stream::WireFormat::Indexed16 || format == stream::WireFormat::Indexed32)
    wire.density = densityOf(weight).value_or(1);
  if (const LinkForm link = shortestLink(contract, weight, format); link.kind != LinkForm::Wavelets)
    wire.linkWords = static_cast<int64_t>(wordsOfRow(contract, weight, link));
  wire.isMasked = contract.getMask() != nullptr;
  wire.hasBias = contract.getBiasAttr() != nullptr;
  wire.nonzeros = (1 - contract.getInputZeros().value_or(0) / 1000.0) * (1 - contract.getOutputZeros().value_or(0) / 1000.0);
  return wire;
}

/// Counts instructions, and the results that are needed later at the body's fullest point.
void SegmentModel::readMap(stream::MapOp map, Kernel &kernel) const {
  Block &body = map.getBody().front();
  llvm::DenseMap<Operation *, Operation *> lastUse;
  for (Operation &op : body)
    for (Value operand : op.getOperands())
      if (Operation *definition = operand.getDefiningOp(); definition && !definition->hasTrait<OpTrait::ConstantLike>())
        lastUse[definition] = &op;
  llvm::DenseMap<Operation *, int64_t> ends; // of results, at their last use
  int64_t alive = 0;
  for (Operation &op : body) {
    if (!isCheap(&op))
      ++(isFunction(&op) ? kernel.functions : kernel.operations);
    alive -= ends.lookup(&op);
    kernel.temporaries = std::max(kernel.temporaries, alive + 1);
    if (auto last = lastUse.find(&op); last != lastUse.end()) {
      ++alive;
      ++ends[last->second];
    }
  }
}

static AttentionShape shapeOf(stream::AttendOp attend) {
  const int64_t parts = attend.numParts();
  return {parts, stream::numFeatures(attend.getQkv().getType()) / 3 / parts, attend.getAcross() > 1, attend.getCausal(), attend.getGradient() != nullptr, attend.isInPlace(), attend.getRotation() != nullptr, elementBytesOf(attend.getQkv().getType())};
}

bool SegmentModel::areAlike(const Kernel &one, const Kernel &other) {
  auto tie = [](const Kernel &kernel) { return std::tie(kernel.kind, kernel.in, kernel.out, kernel.elementBytes, kernel.batchSizes, kernel.batchStrides, kernel.operations, kernel.functions, kernel.tokens); };
  return tie(one) == tie(other) && one.wire == other.wire && (!one.attend || shapeOf(one.attend) == shapeOf(other.attend));
}

void SegmentModel::readBuffers(stream::SegmentOp segment) {
  llvm::DenseSet<Operation *> sameForEveryBatch;
  for (const Kernel &kernel : kernels_)
    if (kernel.isSameForEveryBatch)
      sameForEveryBatch.insert(kernel.op);
  for (auto [isCompact, isRepeated] : {std::pair(false, false), std::pair(false, true), std::pair(true, false), std::pair(true, true)}) {
    llvm::DenseMap<Value, size_t> bufferOf;
    std::vector<Buffer> &buffers = buffers_[isCompact][isRepeated];
    buffers.clear();
    auto isSentOnce = [&, isRepeated = isRepeated](stream::SendOp send) { return isRepeated && sameForEveryBatch.contains(send); };
    for (const SegmentBuffer &buffer : buffersOf(segment, leavingOf(isCompact, isRepeated ? 2 : 1), isSentOnce)) {
      auto type = cast<RankedTensorType>(buffer.values.front().getType());
      for (Value value : buffer.values)
        bufferOf[value] = buffers.size();
      buffers.push_back({stream::numFeatures(type), elementBytesOf(type), buffer.first, buffer.last, bool(buffer.values.front().getDefiningOp<stream::ContractOp>())});
    }
    for (auto [op, kernel] : llvm::zip_equal(segment.getBody().front(), kernels_)) {
      auto receive = dyn_cast<stream::ReceiveOp>(op);
      if (receive || op.getNumResults() > 0)
        kernel.buffer = bufferOf.lookup(receive ? Value(receive.getValue()) : op.getResult(0));
    }
  }
}

SegmentModel::SegmentModel(stream::SegmentOp segment) : batches_(segment.getBatches()) {
  std::set<int64_t> features;
  llvm::SmallVector<size_t> firsts; // of kernels that are alike
  llvm::DenseMap<StringAttr, stream::TensorOp> tensors;
  for (auto tensor : segment->getParentOfType<stream::ProgramOp>().getOps<stream::TensorOp>())
    tensors[tensor.getSymNameAttr()] = tensor;
  auto typeOf = [](Value value) { return cast<RankedTensorType>(value.getType()); };
  auto featuresOf = [&](Value value) { return stream::numFeatures(typeOf(value)); };
  for (Operation &op : segment.getBody().front()) {
    Kernel kernel{};
    kernel.op = &op;
    llvm::TypeSwitch<Operation *>(&op)
        .Case([&](stream::SendOp send) {
          kernel.kind = Kernel::Send;
          kernel.elementBytes = elementBytesOf(send.getResult().getType());
          auto tensor = tensors.lookup(send.getTensorAttr().getAttr());
          kernel.isSameForEveryBatch = stream::isSameForEveryBatch(send, tensor);
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
          kernel.wire = wireCost(contract, tensors.lookup(contract.getWeightAttr().getAttr()), contract.getWire().value_or(stream::denseWireFormat(contract.getInput().getType().getElementType())));
        })
        .Case([&](stream::ScaleOp scale) {
          kernel.kind = Kernel::Scale;
          kernel.wire.wide = scale.getInput().getType().getElementType().isF32();
          kernel.wire.hasBias = scale.getBeta().has_value();
        })
        .Case([&](stream::MapOp map) {
          kernel.kind = Kernel::Map;
          readMap(map, kernel);
        })
        .Case([&](stream::SampleOp sample) {
          kernel.kind = Kernel::Sample;
          kernel.in = featuresOf(sample.getInput() ? sample.getInput() : sample.getRows());
          kernel.out = sample.getInput() ? featuresOf(sample.getRows()) : 1;
          kernel.batchSizes = sample.getBatchSizes();
          kernel.batchStrides = sample.getBatchStrides();
          kernel.elementBytes = elementBytesOf(sample.getRows().getType());
          kernel.wire.wide = kernel.elementBytes == 4;
          FlatSymbolRefAttr name = sample.getPatternAttr();
          kernel.wire.isImplicit = !name;
          auto pattern = name ? tensors.lookup(name.getAttr()) : stream::TensorOp();
          if (pattern && pattern.getNonzeros())
            kernel.wire.density = double(*pattern.getNonzeros()) / std::max<int64_t>(1, cast<RankedTensorType>(pattern.getType()).getNumElements());
        })
        .Case([&](stream::AttendOp attend) {
          kernel.kind = Kernel::Attend;
          kernel.attend = attend;
          partsOfHeads_ = std::gcd(partsOfHeads_, attend.numParts());
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
    const auto *like = llvm::find_if(firsts, [&](size_t number) { return areAlike(kernels_[number], kernel); });
    kernel.like = like - firsts.begin();
    if (like == firsts.end())
      firsts.push_back(kernels_.size());
    kernels_.push_back(kernel);
  }
  kinds_ = firsts.size();
  features_.assign(features.begin(), features.end());
  readOrder(segment);
}

void SegmentModel::readOrder(stream::SegmentOp segment) {
  llvm::DenseMap<Operation *, int64_t> stepOf;
  for (Operation &op : segment.getBody().front()) {
    const auto step = static_cast<int64_t>(stepOf.size());
    stepOf[&op] = step;
  }
  llvm::sort(kernels_, [&](const Kernel &a, const Kernel &b) { return stepOf.lookup(a.op) < stepOf.lookup(b.op); });
  readBuffers(segment);
  size_t number = 0;
  Kernel *before = nullptr;
  const auto loads = loadsOf(segment, segment.getLoads());
  for (auto [load, kernels] : llvm::enumerate(loads)) {
    const size_t first = number;
    for (auto [place, op] : llvm::enumerate(kernels)) {
      Kernel &kernel = kernels_[number++];
      kernel.loadEnds.clear();
      if (auto send = dyn_cast<stream::SendOp>(op))
        kernel.beside = kernelsBeside(send, ArrayRef(kernels).drop_front(place + 1));
    }
    const ArrayRef<Operation *> next = load + 1 < loads.size() ? ArrayRef(loads[load + 1]) : ArrayRef<Operation *>();
    const stream::SendOp send = goingOn(before ? cast<stream::SendOp>(before->op) : stream::SendOp(), kernels, next);
    if (!send)
      before = nullptr;
    else if (!before || before->op != send)
      before = &kernels_[first + (llvm::find(kernels, send) - kernels.begin())];
    if (before) {
      before->loadEnds.push_back(before->beside);
      before->beside += kernelsBeside(send, next);
    }
  }
}

int64_t SegmentModel::columnsOfHead() const {
  int64_t columns = 1;
  for (const Kernel &kernel : kernels_)
    columns = std::lcm(columns, kernel.attend ? static_cast<int64_t>(stream::AttendOp(kernel.attend).getAcross()) : 1);
  return columns;
}

bool SegmentModel::entriesHaveWeights() const {
  return llvm::any_of(kernels_, [](const Kernel &kernel) { return !kernel.batchSizes.empty(); });
}

bool SegmentModel::addsTokens() const {
  return llvm::any_of(kernels_, [](const Kernel &kernel) { return kernel.kind == Kernel::Sample; });
}

/// Groups that differ in what is sent.
int64_t SegmentModel::groupsSent(const Kernel &send, const GridShape &grid) const {
  auto u64 = [](int64_t n) { return static_cast<uint64_t>(n); };
  return static_cast<int64_t>(groupsThatDiffer({u64(grid.groups), u64(grid.batchesAtOnce), u64(grid.rowsOfBand() * grid.tokenBlock), u64(tokens_ / batches_),
                                                u64(grid.microBatches * grid.batchesAtOnce / batches_), u64(grid.bands)}, u64(send.tokens)));
}

SegmentModel::Known &SegmentModel::knownOf(const Kernel &kernel, const GridShape &grid) const {
  if (known_.empty() || !(grid_ == grid)) {
    known_.assign(kinds_, {});
    grid_ = grid;
  }
  return known_[kernel.like];
}

const WireCost &SegmentModel::wireOn(const Kernel &kernel, const Machine &machine, const GridShape &grid) const {
  Known &known = knownOf(kernel, grid);
  if (known.wire)
    return *known.wire;
  WireCost &wire = known.wire.emplace(kernel.wire);
  wire.groupsAdded = groupSumsPay(machine, grid) && (kernel.batchSizes.empty() || grid.batchesAtOnce == 1);
  wire.streams = streamsAtOnce(kernel.batchSizes, kernel.batchStrides, grid.batchesAtOnce);
  // One where rows of a mask pass the columns between the sums, and where batch entries take turns.
  if (kernel.kind == Kernel::Contract && !kernel.wire.isMasked && kernel.batchSizes.empty())
    wire.together = wafer::rowsTogether(machine, grid, kernel.in, kernel.out, kernel.wire, together_);
  return wire;
}

void SegmentModel::limitTogether(int64_t most) const {
  if (most == together_)
    return;
  together_ = most;
  for (const Kernel &kernel : kernels_)
    if (kernel.kind == Kernel::Contract && !known_.empty())
      known_[kernel.like] = {};
}

llvm::SmallVector<int64_t> SegmentModel::rowsTogether(const Machine &machine, const GridShape &grid, Room room) const {
  limitTogether(room.together);
  llvm::SmallVector<int64_t> rows;
  for (const Kernel &kernel : kernels_)
    if (kernel.kind == Kernel::Contract)
      rows.push_back(wireOn(kernel, machine, grid).together);
  return rows;
}

double SegmentModel::cyclesOf(const Kernel &kernel, const Machine &machine, const GridShape &grid, int64_t chunkBytes) const {
  Known &known = knownOf(kernel, grid);
  if (!known.cycles || (kernel.kind == Kernel::Map && known.chunkBytes != chunkBytes)) {
    known.cycles = computedCycles(kernel, machine, grid, chunkBytes);
    known.chunkBytes = chunkBytes;
  }
  return *known.cycles;
}

double SegmentModel::computedCycles(const Kernel &kernel, const Machine &machine, const GridShape &grid, int64_t chunkBytes) const {
  auto blockOf = [&](int64_t features) { return ceilDiv(features, grid.columns); };
  switch (kernel.kind) {
  case Kernel::Send:
    return transferCycles(machine, grid, groupsSent(kernel, grid), blockOf(kernel.out), kernel.elementBytes, /*in=*/true);
  case Kernel::Receive:
    return transferCycles(machine, grid, grid.groups, blockOf(kernel.in), kernel.elementBytes, /*in=*/false);
  case Kernel::Contract:
    return contractionCycles(machine, grid, kernel.in, kernel.out, wireOn(kernel, machine, grid));
  case Kernel::Scale:
    return scaleCycles(machine, grid, kernel.out, kernel.wire.wide, kernel.wire.hasBias);
  case Kernel::Map:
    return mapCycles(machine, grid, blockOf(kernel.out), kernel.operations, kernel.functions, chunkBytes);
  case Kernel::Sample:
    return sampleCycles(machine, grid, kernel.in, kernel.out, wireOn(kernel, machine, grid));
  case Kernel::Reduce:
    return reduceCycles(machine, grid, blockOf(kernel.in));
  case Kernel::Attend:
    return attentionCycles(machine, grid, shapeOf(kernel.attend));
  }
  return 0;
}

/// What of the cycles of a kernel the link from MemoryX takes at least.
double SegmentModel::ingestCycles(const Kernel &kernel, const Machine &machine, const GridShape &grid) const {
  Known &known = knownOf(kernel, grid);
  if (!known.ingest)
    known.ingest = computedIngest(kernel, machine, grid);
  return *known.ingest;
}

double SegmentModel::computedIngest(const Kernel &kernel, const Machine &machine, const GridShape &grid) const {
  if (kernel.kind == Kernel::Contract)
    return double(kernel.out) * contractionRow(machine, grid, kernel.in, wireOn(kernel, machine, grid)).ingest;
  if (kernel.kind == Kernel::Sample)
    return double(kernel.out) * sampleIngestCycles(machine, grid, kernel.in, kernel.wire);
  return kernel.kind == Kernel::Scale ? scaleIngestCycles(machine, kernel.out) : 0;
}

double SegmentModel::cyclesTogether(const Machine &machine, const GridShape &grid, bool isCompact, llvm::ArrayRef<double> each, llvm::DenseMap<Operation *, llvm::SmallVector<double>> *came) const {
  /// Micro-batches after which the next one takes as long as the last.
  constexpr int64_t enough = 4;
  // Two microthreads for each value on its way out, and some that the other kernels take turns with.
  SegmentClock clock(buffers_[0][0].size(), isCompact ? 0 : std::max<int64_t>(1, (int64_t(machine.microthreads) - 2) / 2));
  auto leavingOf = [&](const Kernel &kernel, double cycles) {
    GridShape column = grid;
    column.columns = 1;
    const int64_t block = ceilDiv(kernel.in, grid.columns);
    SegmentClock::Leaving value;
    value.cycles = cycles;
    value.ofColumn = transferCycles(machine, column, /*groups=*/1, block, kernel.elementBytes, /*in=*/false);
    value.wavelets = handedOnWavelets(grid, block, kernel.elementBytes);
    value.datapath = handOnCycles(machine, grid, block, kernel.elementBytes);
    return value;
  };
  // Sent in front of all others, and beside nothing.
  auto isSentOnce = [&, areSentOnce = grid.microBatches > 1 && grid.microBatches * grid.batchesAtOnce == batches_](const Kernel &kernel) { return areSentOnce && kernel.isSameForEveryBatch; };
  llvm::SmallVector<SegmentClock::Work> works;
  for (auto [kernel, cycles] : llvm::zip_equal(kernels_, each)) {
    SegmentClock::Work &work = works.emplace_back();
    work.cycles = cycles;
    work.ingest = ingestCycles(kernel, machine, grid);
    if (kernel.kind != Kernel::Contract)
      continue;
    const RowCost row = contractionRow(machine, grid, kernel.in, wireOn(kernel, machine, grid));
    work.slack = std::max(0.0, cycles - double(kernel.out) * row.issue);
    work.datapath = row.products / row.issue;
    work.ramp = double(kernel.out) * row.ramp;
  }
  double before = 0;
  for (int64_t microBatch = 0; microBatch < std::min(enough, grid.microBatches); ++microBatch) {
    before = clock.end();
    int64_t beside = 0; // kernels that something still comes beside
    const Kernel *coming = nullptr;
    for (auto [kernel, work] : llvm::zip_equal(kernels_, works)) {
      if (came && beside > 0 && llvm::is_contained(coming->loadEnds, coming->beside - beside))
        (*came)[coming->op].push_back(1 - clock.ahead() / each[coming - kernels_.data()]);
      if (beside-- == 0)
        clock.awaitAhead();
      if (kernel.kind != Kernel::Receive && llvm::any_of(kernel.op->getOperands(), [](Value operand) { return bool(operand.getDefiningOp<stream::ContractOp>()); }))
        clock.awaitSums();
      if (kernel.kind == Kernel::Receive)
        clock.receive(kernel.buffer, leavingOf(kernel, work.cycles));
      else if (kernel.kind == Kernel::Sample)
        clock.sample(work.cycles, sampleLeavingCycles(machine, grid, kernel.in, kernel.out, wireOn(kernel, machine, grid)), work.ingest);
      else if (kernel.kind == Kernel::Contract)
        clock.contract(kernel.buffer, work, lastSums(machine, grid, kernel.out, wireOn(kernel, machine, grid).together));
      else if (kernel.kind == Kernel::Reduce)
        clock.gather(kernel.buffer, work);
      else if (kernel.kind != Kernel::Send)
        clock.compute(kernel.buffer, work);
      else if (isSentOnce(kernel) && microBatch > 0)
        continue;
      else if (kernel.beside > 0 && !isSentOnce(kernel))
        clock.sendAhead(kernel.buffer, work.cycles, handOnCycles(machine, grid, ceilDiv(kernel.out, grid.columns), kernel.elementBytes)), beside = kernel.beside, coming = &kernel;
      else
        clock.send(kernel.buffer, work.cycles, wayInCycles(machine, grid));
    }
    clock.awaitAhead();
  }
  return clock.end() + std::max<int64_t>(0, grid.microBatches - enough) * (clock.end() - before);
}

std::vector<SegmentModel::Place> SegmentModel::placesOn(const Machine &machine, const GridShape &grid, Room room) const {
  int64_t mostTogether = 1, step = 0;
  for (int64_t together : rowsTogether(machine, grid, room))
    mostTogether = std::max(mostTogether, together);
  std::vector<Place> places;
  for (const Buffer &buffer : buffers_[room.isCompact][grid.microBatches > 1])
    places.push_back({static_cast<int64_t>(llvm::alignTo(ceilDiv(buffer.features, grid.columns), buffer.isContracted ? mostTogether : 1)) * grid.tokenBlock * buffer.elementBytes, buffer.first, buffer.last});
  const int64_t rowBytes = grid.tokenBlock * 4;
  for (const Kernel &kernel : kernels_) {
    int64_t own = 0, each = 0; // temporaries, and how large one of them is at most
    if (kernel.kind == Kernel::Map) {
      each = std::min(ceilDiv(kernel.out, grid.columns) * rowBytes, std::max(room.chunkBytes, rowBytes));
      own = kernel.temporaries * each;
    } else if (kernel.kind == Kernel::Sample) {
      own = 2 * grid.tokenBlock * kernel.elementBytes; // the row at work and the one before
    } else if (kernel.kind == Kernel::Contract && kernel.wire.isMasked) {
      own = 2 * rowBytes; // the same of the mask
    } else if (kernel.kind == Kernel::Reduce) {
      own = rowBytes;
    } else if (kernel.kind == Kernel::Attend) {
      const AttentionShape shape = shapeOf(kernel.attend);
      own = attentionBytes(grid, shape);
      each = std::max(int64_t(4), 2 * shape.elementBytes) * shape.size * ceilDiv(shape.heads, grid.columns) * grid.tokenBlock;
    }
    for (; own > 0; own -= each) {
      each = each > 0 ? std::min(each, own) : own;
      places.push_back({each, step, step});
    }
    ++step;
  }
  // Two places for sums that owners build and a row of ones are there all the time.
  places.push_back({(2 * mostTogether + 1) * rowBytes, 0, step - 1});
  return places;
}

static llvm::SmallVector<int64_t> bytesAtSteps(llvm::ArrayRef<SegmentModel::Place> places, size_t steps) {
  llvm::SmallVector<int64_t> bytes(steps + 1, 0);
  for (const SegmentModel::Place &place : places) {
    bytes[place.first] += place.bytes;
    bytes[place.last + 1] -= place.bytes;
  }
  std::partial_sum(bytes.begin(), bytes.end(), bytes.begin());
  bytes.pop_back();
  return bytes;
}

llvm::SmallVector<int64_t> SegmentModel::bytesOfKernels(const Machine &machine, const GridShape &grid, Room room) const { return bytesAtSteps(placesOn(machine, grid, room), kernels_.size()); }

/// Where the last one ends when each takes the lowest address that is free as long as it lives, the largest first, as wafer-allocate-sram does it.
static int64_t packedBytes(std::vector<SegmentModel::Place> places, size_t steps) {
  llvm::stable_sort(places, [](const SegmentModel::Place &a, const SegmentModel::Place &b) { return a.bytes > b.bytes; });
  using Taken = std::pair<int64_t, int64_t>; // addresses, from and to
  std::vector<llvm::SmallVector<Taken>> livingAt(steps), beginningAt(steps);
  llvm::SmallVector<Taken> beside;
  int64_t end = 0;
  for (const SegmentModel::Place &place : places) {
    // Those that are there when it begins, and those that come later.
    beside.assign(livingAt[place.first].begin(), livingAt[place.first].end());
    for (int64_t step = place.first + 1; step <= place.last; ++step)
      beside.append(beginningAt[step]);
    llvm::sort(beside);
    int64_t address = 0;
    for (auto [from, to] : beside) {
      if (address + place.bytes <= from)
        break;
      address = std::max(address, to);
    }
    const Taken taken(address, address + static_cast<int64_t>(llvm::alignTo(place.bytes, 8)));
    beginningAt[place.first].push_back(taken);
    for (int64_t step = place.first; step <= place.last; ++step)
      livingAt[step].push_back(taken);
    end = std::max(end, address + place.bytes);
  }
  return end;
}

int64_t SegmentModel::valueBytes(const Machine &machine, const GridShape &grid, Room room) const {
  /// Addresses are rounded up; temporaries of a kernel are several. Where little SRAM is left it pays to look which gaps there are.
  constexpr double margin = 1.05, withGaps = 1.01, goodPart = 0.75;
  const std::vector<Place> places = placesOn(machine, grid, room);
  int64_t most = 0;
  for (int64_t bytes : bytesAtSteps(places, kernels_.size()))
    most = std::max(most, bytes);
  if (double(most) < goodPart * double(machine.sramBytes) || most > int64_t(machine.sramBytes))
    return static_cast<int64_t>(margin * double(most));
  return static_cast<int64_t>(withGaps * double(packedBytes(places, kernels_.size())));
}

double SegmentModel::cyclesOf(Operation *op, const Machine &machine, const GridShape &grid, Room room) const {
  limitTogether(room.together);
  return cyclesOf(*llvm::find_if(kernels_, [&](const Kernel &kernel) { return kernel.op == op; }), machine, grid, room.chunkBytes);
}

llvm::DenseMap<Operation *, llvm::SmallVector<double>> SegmentModel::partsOfSends(const Machine &machine, const GridShape &grid, Room room) const {
  limitTogether(room.together);
  const auto each = llvm::map_to_vector(kernels_, [&](const Kernel &kernel) { return cyclesOf(kernel, machine, grid, room.chunkBytes); });
  llvm::DenseMap<Operation *, llvm::SmallVector<double>> parts;
  cyclesTogether(machine, grid, room.isCompact, each, &parts);
  return parts;
}

double SegmentModel::cyclesAtWork(const Machine &machine, const GridShape &grid, Room room) const {
  limitTogether(room.together);
  double cycles = 0;
  for (const Kernel &kernel : kernels_)
    if (kernel.kind != Kernel::Send && kernel.kind != Kernel::Receive)
      cycles += cyclesOf(kernel, machine, grid, room.chunkBytes);
  return cycles * double(grid.microBatches);
}

SegmentCost SegmentModel::estimate(const Machine &machine, const GridShape &grid, Room room) const {
  limitTogether(room.together);
  SegmentCost cost;
  llvm::SmallVector<double> each;
  double longest = 0, others = 0;
  for (const Kernel &kernel : kernels_) {
    const double cycles = cyclesOf(kernel, machine, grid, room.chunkBytes);
    each.push_back(cycles);
    if (kernel.kind == Kernel::Contract || kernel.kind == Kernel::Sample) {
      cost.contractions += cycles;
      cost.macs += double(kernel.in) * kernel.out * tokens_ * kernel.wire.density;
    } else if (kernel.kind == Kernel::Attend) {
      cost.contractions += cycles;
      cost.macs += attentionMacs(machine, grid, entryTokens(), shapeOf(kernel.attend)) * tokens_;
    } else if (kernel.kind != Kernel::Send && kernel.kind != Kernel::Receive) {
      others += cycles;
    }
    if (kernel.kind == Kernel::Contract && cycles > longest) {
      longest = cycles;
      cost.binds = contractionRow(machine, grid, kernel.in, wireOn(kernel, machine, grid)).binds();
    }
  }
  cost.cycles = cyclesTogether(machine, grid, room.isCompact, each);
  cost.contractions *= grid.microBatches;
  cost.transfers = std::max(0.0, cost.cycles - cost.contractions - others * grid.microBatches);
  return cost;
}

int64_t estimateControlTasks(llvm::ArrayRef<Operation *> kernels) {
  // Tasks that differ in what they name are tasks of their own; those that pass sums on or take a result are shared by kernels of equal types, and of equal shapes where by those
  // more or fewer rows have their sums passed on together.
  int64_t tasks = 0;
  std::set<std::tuple<bool, const void *, const void *, bool, int64_t, int64_t>> results;
  std::set<const void *> passes, biases, samples, masks;
  for (Operation *op : kernels) {
    ++tasks;
    if (auto attend = dyn_cast<stream::AttendOp>(op))
      tasks += attend.getGradient() ? 5 : 2;
    auto ofRows = [&](Value input, Value result, bool hasBias) {
      auto element = [](Value value) { return cast<RankedTensorType>(value.getType()).getElementType().getAsOpaquePointer(); };
      auto features = [&](Value value) { return isa<stream::ContractOp>(op) ? stream::numFeatures(cast<RankedTensorType>(value.getType())) : 0; };
      results.insert({isa<stream::ContractOp>(op), element(input), element(result), hasBias, features(input), features(result)});
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

/// Of one kernel, but for instructions that depend on the grid.
static int64_t codeBytesOf(Operation *op) {
  int64_t instructions = 0, descriptors = 0;
  llvm::TypeSwitch<Operation *>(op)
      .Case<stream::SendOp, stream::ReceiveOp>([&](auto) { instructions += 7, descriptors += 4; })
      .Case([&](stream::ContractOp contract) {
        instructions += 24 + (contract.getMask() ? 36 : 0);
        descriptors += 3 + (contract.getMask() ? 11 : 0);
      })
      .Case([&](stream::ScaleOp) { instructions += 18, descriptors += 3; })
      .Case([&](stream::SampleOp) { instructions += 44, descriptors += 14; })
      .Case([&](stream::ReduceOp) { instructions += 20, descriptors += 10; })
      .Case([&](stream::AttendOp attend) { descriptors += attend.getGradient() ? 110 : 55; })
      .Case([&](stream::MapOp map) {
        int64_t constants = 0, others = 0;
        for (Operation &nested : map.getBody().front().without_terminator())
          ++(nested.hasTrait<OpTrait::ConstantLike>() ? constants : others);
        int64_t places = map.getInputs().size() + 1 + constants + std::min<int64_t>(others, 4);
        instructions += 2 * places + others + 2;
        descriptors += places;
      });
  return instructions * instructionBytes + descriptors * descriptorBytes;
}

int64_t estimateCodeBytes(llvm::ArrayRef<Operation *> kernels) {
  // Shared by all kernels: data tasks, the tasks that pass sums on, their descriptors.
  int64_t bytes = 12 * (instructionBytes + descriptorBytes);
  for (Operation *op : kernels)
    bytes += codeBytesOf(op);
  return bytes;
}

int64_t attentionCodeBytes(const Machine &machine, const GridShape &grid, llvm::ArrayRef<Operation *> kernels) {
  int64_t instructions = 0;
  for (Operation *op : kernels)
    if (auto attend = dyn_cast<stream::AttendOp>(op))
      instructions += attentionInstructions(machine, grid, shapeOf(attend));
  return instructions * instructionBytes;
}

stream::SendOp goingOn(stream::SendOp before, llvm::ArrayRef<Operation *> load, llvm::ArrayRef<Operation *> next) {
  if (before && kernelsBeside(before, load) == static_cast<int64_t>(load.size()))
    return kernelsBeside(before, next) > 0 ? before : stream::SendOp();
  const auto last = llvm::find_if(llvm::reverse(load), [](Operation *op) { return isa<stream::SendOp>(op); });
  const llvm::ArrayRef<Operation *> behind = load.take_back(last - load.rbegin());
  if (last == load.rend() || behind.empty())
    return {};
  auto send = cast<stream::SendOp>(*last);
  return kernelsBeside(send, behind) == static_cast<int64_t>(behind.size()) && kernelsBeside(send, next) > 0 ? send : stream::SendOp();
}

int64_t kernelsBeside(stream::SendOp send, llvm::ArrayRef<Operation *> behind) {
  if (!send.getAhead())
    return 0;
  return llvm::find_if(behind, [&](Operation *op) { return isa<stream::SendOp>(op) || llvm::is_contained(op->getOperands(), send.getResult()); }) - behind.begin();
}

static bool isSendAhead(Operation *op) {
  auto send = dyn_cast<stream::SendOp>(op);
  return send && send.getAhead();
}

llvm::SmallVector<llvm::SmallVector<Operation *>> loadsOf(stream::SegmentOp segment, int64_t loads) {
  // A head of attention has some 250 instructions, and as many in each of both passes of its gradient.
  auto weight = [](Operation *op) {
    auto attend = dyn_cast<stream::AttendOp>(op);
    return codeBytesOf(op) + (attend ? (attend.getGradient() ? 500 : 250) * instructionBytes : 0);
  };
  int64_t total = 0, before = 0;
  for (Operation &op : segment.getBody().front())
    total += weight(&op);
  llvm::SmallVector<llvm::SmallVector<Operation *>> parts(1);
  for (Operation &op : segment.getBody().front()) {
    // What is more than half behind the end of a load's share begins the next one.
    const int64_t own = weight(&op), share = total / loads;
    if (static_cast<int64_t>(parts.size()) < loads && !parts.back().empty() && before + own / 2 > static_cast<int64_t>(parts.size()) * share) {
      // A send ahead comes beside what is behind it in its load.
      const size_t last = parts.size() - 1;
      parts.emplace_back();
      while (parts[last].size() > 1 && isSendAhead(parts[last].back()))
        parts.back().push_back(parts[last].pop_back_val());
      std::reverse(parts.back().begin(), parts.back().end());
    }
    parts.back().push_back(&op);
    before += own;
  }
  return parts;
}

} // namespace wafer
