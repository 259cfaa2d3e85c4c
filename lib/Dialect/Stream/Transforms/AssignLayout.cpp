//===- AssignLayout.cpp - stream-assign-layout -----------------------------===//

#include "wafer/Dialect/Stream/Transforms/Passes.h"

#include "SendAhead.h"
#include "ShortenLives.h"
#include "SplitSegment.h"

#include "wafer/Analysis/SegmentCost.h"
#include "wafer/Analysis/WeightLink.h"
#include "wafer/Machine/AttentionChunks.h"
#include "wafer/Machine/BatchEntries.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Mutex.h"
#include "llvm/Support/raw_ostream.h"

#include <deque>
#include <numeric>
#include <set>

using namespace mlir;

namespace wafer::stream {

#define GEN_PASS_DEF_ASSIGNLAYOUT
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"

namespace {

/// The size of a feature block is an extent of a descriptor.
constexpr int64_t maxFeatureBlock = 65535;
/// That the code of a segment is spread over: some more than a model of a hundred layers needs.
constexpr int64_t mostLoads = 1024;
/// How candidates may use SRAM. What takes more commands or waits comes only where the values leave no room.
constexpr SegmentModel::Room rooms[] = {{4096, false, INT64_MAX}, {1024, false, INT64_MAX}, {4096, true, INT64_MAX}, {1024, true, INT64_MAX}, {4096, false, 2}, {1024, false, 2},
                                        {4096, true, 2},          {1024, true, 2},          {4096, false, 1},        {1024, false, 1},        {4096, true, 1}, {1024, true, 1}};

/// A segment's kernels as at most `loads` loads.
struct Code {
  /// A load with attention, whose code depends on the grid.
  struct Attending {
    int64_t bytes; ///< of the rest
    SmallVector<Operation *> kernels;
  };
  int64_t loads = 1;
  SmallVector<Attending> attending;
  int64_t bytes = 0, tasks = 0; ///< of the longest, but for code that depends on the grid
};

/// A shape of cores for a segment, with its tokens per core and micro-batches.
struct Candidate {
  GridShape grid;
  SegmentCost cost;
  int64_t paddedTokens = 0;
  int64_t bytes = 0, valueBytes = 0; ///< SRAM of a core with code, and of values and temporaries alone
  SegmentModel::Room room{};
  int64_t loads = 1;
  bool fits = false, sendsAhead = false; ///< the latter: sends were moved up where that pays

  auto rank() const { return std::make_tuple(cost.cycles, paddedTokens, grid.cores(), grid.columns); }
};

/// Candidates besides the best one: with some change to the segment, one of them may be it.
struct Others {
  SmallVector<Candidate> fitting, tooLarge;
};

struct AssignLayout : impl::AssignLayoutBase<AssignLayout> {
  using AssignLayoutBase::AssignLayoutBase;

  void runOnOperation() override;
  LogicalResult writeTrace(StringRef lines);
  std::optional<GridShape> withRows(const SegmentModel &model, GridShape grid, int64_t rowsAtMost) const;
  Candidate choose(SegmentOp segment, const SegmentModel &model, llvm::raw_ostream *traceFile, Others &others);
  SegmentOp withShorterLives(SegmentOp segment, Candidate &best, Others &others, llvm::raw_ostream *traceFile);
  SegmentOp withSendsAhead(SegmentOp segment, Candidate &best, Others &others, llvm::raw_ostream *traceFile);
  Candidate evaluate(const SegmentModel &model, const GridShape &grid, ArrayRef<Code> codes) const;
  void chooseWires(SegmentOp segment, const GridShape &grid) const;
  void failToFit(SegmentOp segment, const SegmentModel &model, const Candidate &smallest);
  void trace(llvm::raw_ostream &out, const Candidate &candidate, bool chosen);

  Machine machine;
  int64_t maxTokenBlock = 1;
  int64_t segmentNumber = 0; ///< in the program, for the trace
};

/// Values with one feature per token that every column holds a copy of: what reductions make, and maps of such values alone. Kernels that spread a lone
/// column's value to all of them, or give a copy the layout of a lone column, are inserted where a reader needs the other kind.
class Copies {
public:
  explicit Copies(SegmentOp segment) {
    for (Operation &op : llvm::make_early_inc_range(segment.getBody().front())) {
      for (OpOperand &operand : op.getOpOperands())
        adapt(operand);
      auto map = dyn_cast<MapOp>(op);
      bool ofCopies = map && numFeatures(map.getType()) == 1 && !map.getInputs().empty() &&
                      llvm::all_of(map.getInputs(), [&](Value input) { return copies_.contains(input); });
      if (isa<ReduceOp>(op) || ofCopies)
        copies_.insert(op.getResult(0));
    }
  }

  bool contains(Value value) const { return copies_.contains(value); }

private:
  void adapt(OpOperand &operand) {
    Operation *op = operand.getOwner();
    Value value = operand.get();
    auto type = cast<RankedTensorType>(value.getType());
    if (numFeatures(type) != 1)
      return;
    OpBuilder builder(op);
    auto map = dyn_cast<MapOp>(op);
    if (map && numFeatures(map.getType()) > 1 && !copies_.contains(value)) {
      // The maximum of one number is that number, bit by bit.
      auto spread = ReduceOp::create(builder, op->getLoc(), type, CombinerAttr::get(builder.getContext(), Combiner::Max), value);
      copies_.insert(spread);
      operand.set(spread);
    } else if (isa<ContractOp, ScaleOp, ReduceOp, SampleOp, AttendOp>(op) && copies_.contains(value)) {
      auto lone = MapOp::create(builder, op->getLoc(), type, value);
      Block *body = builder.createBlock(&lone.getBody(), {}, type.getElementType(), op->getLoc());
      YieldOp::create(builder, op->getLoc(), body->getArgument(0));
      operand.set(lone);
    }
  }

  llvm::DenseSet<Value> copies_;
};

std::vector<std::pair<int64_t, int64_t>> product(const std::set<int64_t> &a, const std::set<int64_t> &b) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (int64_t first : a)
    for (int64_t second : b)
      pairs.emplace_back(first, second);
  return pairs;
}

/// 1, 2, 3, 4, 6, 8, 12, ...: enough to come within a third of any number.
std::vector<int64_t> steppedUpTo(int64_t limit) {
  std::vector<int64_t> values;
  for (int64_t power = 1; power <= limit; power *= 2)
    for (int64_t value : {power, power + power / 2})
      if (value <= limit && (values.empty() || value > values.back()))
        values.push_back(value);
  return values;
}

std::vector<int64_t> divisorsUpTo(int64_t number, int64_t limit) {
  std::vector<int64_t> divisors;
  for (int64_t some = 1; some <= std::min(number, limit); ++some)
    if (number % some == 0)
      divisors.push_back(some);
  return divisors;
}

Candidate AssignLayout::evaluate(const SegmentModel &model, const GridShape &grid, ArrayRef<Code> codes) const {
  Candidate candidate;
  candidate.grid = grid;
  candidate.paddedTokens = grid.tokens() - model.tokens();
  const bool hasBlocks = ceilDiv(model.features().back(), grid.columns) <= maxFeatureBlock;
  // Values stay from load to load if all of them are there at once (segment_c7).
  const ArrayRef<Code> possible = grid.microBatches == 1 ? codes : codes.take_front();
  SmallVector<int64_t, std::size(rooms)> valueBytes;
  for (const Code &code : possible) {
    candidate.loads = code.loads;
    int64_t codeBytes = code.bytes;
    for (const Code::Attending &load : code.attending)
      codeBytes = std::max(codeBytes, load.bytes + attentionCodeBytes(machine, grid, load.kernels));
    for (auto [number, room] : llvm::enumerate(rooms)) {
      if (valueBytes.size() == number)
        valueBytes.push_back(model.valueBytes(machine, grid, room));
      candidate.room = room;
      candidate.valueBytes = valueBytes[number];
      candidate.bytes = codeBytes + candidate.valueBytes;
      candidate.fits = candidate.bytes <= machine.sramBytes && code.tasks <= machine.controlTasks && hasBlocks;
      if (candidate.fits)
        break;
    }
    if (candidate.fits)
      break;
  }
  candidate.cost = model.estimate(machine, grid, candidate.room);
  return candidate;
}

/// The grid with the rows and micro-batches that its tokens need; none where they would not lie as the kernels need them.
std::optional<GridShape> AssignLayout::withRows(const SegmentModel &model, GridShape grid, int64_t rowsAtMost) const {
  // Rows of a band that are needed at most, rebalanced over the micro-batches that they take.
  const int64_t tokensOfRow = grid.groups * grid.bands / grid.batchesAtOnce * grid.tokenBlock, rowsNeeded = ceilDiv(model.entryTokens(), tokensOfRow);
  const int64_t most = rowsAtMost / grid.bands;
  if (most == 0)
    return std::nullopt;
  int64_t rows = ceilDiv(rowsNeeded, ceilDiv(rowsNeeded, most));
  if (model.partsOfHeads() > 0 && (attentionChunks(grid.tokenBlock, /*size=*/1, /*isCausal=*/false, machine.accumulatorBytes).keys == 0 || rowsNeeded > most))
    return std::nullopt;
  if (model.addsTokens() || model.partsOfHeads() > 0) {
    if (model.entryTokens() % tokensOfRow != 0)
      return std::nullopt;
    while (rowsNeeded % rows != 0)
      --rows;
  }
  grid.rows = rows * grid.bands;
  grid.microBatches = model.batches() / grid.batchesAtOnce * ceilDiv(model.entryTokens(), rows * tokensOfRow);
  return grid;
}

Code codeOf(SegmentOp segment, int64_t loads) {
  Code code;
  code.loads = loads;
  SendOp rest;
  const auto each = loadsOf(segment, loads);
  for (auto [number, load] : llvm::enumerate(each)) {
    SmallVector<Operation *> kernels = load;
    if (rest)
      kernels.push_back(rest);
    rest = goingOn(rest, load, number + 1 < each.size() ? ArrayRef(each[number + 1]) : ArrayRef<Operation *>());
    const int64_t bytes = estimateCodeBytes(kernels);
    code.bytes = std::max(code.bytes, bytes);
    code.tasks = std::max(code.tasks, estimateControlTasks(kernels));
    auto attend = llvm::make_filter_range(kernels, [](Operation *op) { return isa<AttendOp>(op); });
    if (!attend.empty())
      code.attending.push_back({bytes, llvm::to_vector(attend)});
  }
  return code;
}

/// The cheapest candidate that fits; if none does, the smallest; without bytes if tokens cannot lie as attention needs them.
Candidate AssignLayout::choose(SegmentOp segment, const SegmentModel &model, llvm::raw_ostream *traceFile, Others &others) {
  SmallVector<Code> codes;
  const int64_t kernels = std::distance(segment.getBody().front().begin(), segment.getBody().front().end());
  for (int64_t loads = 1; loads <= std::min(kernels, mostLoads); loads += std::max<int64_t>(1, loads / 8))
    codes.push_back(codeOf(segment, loads));
  /// What takes so many times longer is not the best one after any change to the segment.
  constexpr double hopeless = 2;
  const bool tracesAll = traceFile && !choicesOnly && traceWithin == 0;
  std::optional<Candidate> best, smallest;
  std::vector<int64_t> groupCounts = steppedUpTo(machine.width);
  if (model.partsOfHeads() > 0)
    groupCounts = divisorsUpTo(model.batches(), machine.width);
  for (int64_t groups : groupCounts) {
    // As many columns as there are, fewer for a shorter chain, or as many as hold a tensor without a ragged end.
    int64_t most = std::min<int64_t>(machine.width / groups, model.features().back());
    std::vector<int64_t> fewer = steppedUpTo(most);
    std::set<int64_t> columnCounts(fewer.begin(), fewer.end());
    columnCounts.insert(most);
    for (int64_t f : model.features())
      if (f >= most)
        columnCounts.insert(ceilDiv(f, ceilDiv(f, most)));
    // One batch entry on all groups, or as many as they can be divided among.
    std::set<int64_t> entriesAtOnce = {1};
    std::set<int64_t> bandCounts = {1};
    if (model.batches() > 1)
      entriesAtOnce.insert(std::gcd(groups, model.batches()));
    if (model.partsOfHeads() > 0) {
      // (attend_c5)
      const std::vector<int64_t> divisors = divisorsUpTo(model.partsOfHeads(), machine.width / groups);
      columnCounts.clear();
      llvm::copy_if(divisors, std::inserter(columnCounts, columnCounts.end()), [&](int64_t columns) { return columns % model.columnsOfHead() == 0; });
      entriesAtOnce = {groups};
      // (segment_c6)
      if (!model.entriesHaveWeights())
        for (int64_t bands : divisorsUpTo(model.batches() / groups, machine.height))
          bandCounts.insert(bands);
    }
    for (auto [columns, ofGroups] : product(columnCounts, entriesAtOnce)) {
      // All rows, or those that leave room for the sums of groups.
      std::set<int64_t> mostRows = {machine.height};
      if (model.addsTokens() && groups > 1 && columns < machine.height)
        mostRows.insert(machine.height - columns);
      for (auto [bands, rowsAtMost] : product(bandCounts, mostRows))
        for (int64_t tokenBlock = 1; tokenBlock <= maxTokenBlock; ++tokenBlock) {
          GridShape shape;
          shape.columns = columns;
          shape.groups = groups;
          shape.tokenBlock = tokenBlock;
          shape.batchesAtOnce = ofGroups * bands;
          shape.bands = bands;
          const std::optional<GridShape> grid = withRows(model, shape, rowsAtMost);
          if (!grid)
            continue;
          ++candidates;
          if (best && !tracesAll && model.cyclesAtWork(machine, *grid, rooms[0]) > std::max<double>(hopeless, traceWithin) * best->cost.cycles)
            continue;
          Candidate candidate = evaluate(model, *grid, codes);
          if (tracesAll)
            trace(*traceFile, candidate, /*chosen=*/false);
          if (candidate.fits && (!best || candidate.rank() < best->rank()))
            best = candidate;
          (candidate.fits ? others.fitting : others.tooLarge).push_back(candidate);
          if (!smallest || candidate.bytes < smallest->bytes)
            smallest = candidate;
        }
    }
  }
  if (traceFile && !choicesOnly && traceWithin > 0)
    for (const Candidate &candidate : others.fitting)
      if (candidate.cost.cycles <= traceWithin * best->cost.cycles)
        trace(*traceFile, candidate, /*chosen=*/false);
  return best ? *best : smallest.value_or(Candidate());
}

/// In front of it.
static SegmentOp copyOf(SegmentOp segment) {
  OpBuilder builder(segment);
  return cast<SegmentOp>(builder.clone(*segment));
}

/// A copy of the segment, in its place, in which some values are made again instead of kept so that a faster candidate than `best`, or any, fits; none if that takes about as long. `best` is then that of the copy.
SegmentOp AssignLayout::withShorterLives(SegmentOp segment, Candidate &best, Others &others, llvm::raw_ostream *traceFile) {
  /// What a candidate has to save to be tried, and has to have saved in the end; how much it may lack; how many are tried.
  constexpr double promising = 0.9, worthwhile = 0.97, room = 2, withoutGaps = 0.99;
  constexpr size_t mostTries = 12;
  SmallVector<Candidate> tooLarge = std::move(others.tooLarge);
  auto isFaster = [&](double cycles, double part) { return !best.fits || cycles <= part * best.cost.cycles; };
  llvm::erase_if(tooLarge, [&](const Candidate &candidate) { return !isFaster(candidate.cost.cycles, promising) || double(candidate.bytes) > room * double(machine.sramBytes); });
  llvm::sort(tooLarge, [](const Candidate &a, const Candidate &b) { return a.rank() < b.rank(); });
  SegmentOp shorter;
  // Several limits of rows come to one grid.
  tooLarge.erase(std::unique(tooLarge.begin(), tooLarge.end(), [](const Candidate &a, const Candidate &b) { return a.rank() == b.rank() && a.bytes == b.bytes; }), tooLarge.end());
  for (const Candidate &candidate : ArrayRef(tooLarge).take_front(mostTries)) {
    if (!isFaster(candidate.cost.cycles, promising))
      break;
    SegmentOp copy = copyOf(segment);
    std::optional<Candidate> found;
    Others besides;
    std::string lines;
    llvm::raw_string_ostream ofCopy(lines);
    if (shortenLives(copy, machine, candidate.grid, static_cast<int64_t>(withoutGaps * double(int64_t(machine.sramBytes) - (candidate.bytes - candidate.valueBytes)))))
      found = choose(copy, SegmentModel(copy), traceFile ? &ofCopy : nullptr, besides);
    if (!found || !found->fits || !isFaster(found->cost.cycles, worthwhile)) {
      copy.erase();
      continue;
    }
    best = *found;
    others = std::move(besides);
    if (traceFile)
      *traceFile << lines;
    if (shorter)
      shorter.erase();
    shorter = copy;
  }
  if (shorter)
    segment.erase();
  return shorter;
}

/// A copy of the segment, in its place, in which sends go ahead of kernels that leave the link free, where that pays; none where it does not. `best` is then that of the copy.
SegmentOp AssignLayout::withSendsAhead(SegmentOp segment, Candidate &best, Others &others, llvm::raw_ostream *traceFile) {
  /// A candidate may be the best one afterwards that takes up to so much longer before; how many are tried.
  constexpr double promising = 1.3;
  constexpr size_t mostTries = 12;
  /// A send that is on its way holds two; what of others has to go on side by side is left enough.
  constexpr uint32_t microthreads = 6;
  if (machine.microthreads < microthreads || !maySendAhead(segment))
    return nullptr;
  SegmentOp moved;
  const double most = promising * best.cost.cycles;
  llvm::sort(others.fitting, [](const Candidate &a, const Candidate &b) { return a.rank() < b.rank(); });
  for (const Candidate &candidate : ArrayRef(others.fitting).take_front(mostTries)) {
    if (candidate.cost.cycles > most)
      break;
    SegmentOp copy = copyOf(segment);
    copy.setLoads(candidate.loads);
    SegmentModel model(copy);
    auto now = [&] {
      model.readOrder(copy);
      return evaluate(model, candidate.grid, codeOf(copy, candidate.loads));
    };
    sendAhead(copy, [&]() -> std::optional<double> {
      const Candidate tried = now();
      return tried.fits ? std::optional(tried.cost.cycles) : std::nullopt;
    });
    Candidate found = now();
    found.sendsAhead = true;
    if (traceFile && !choicesOnly)
      trace(*traceFile, found, /*chosen=*/false);
    if (found.rank() >= best.rank()) {
      copy.erase();
      continue;
    }
    best = found;
    if (moved)
      moved.erase();
    moved = copy;
  }
  if (moved)
    segment.erase();
  return moved;
}

/// So many features of a core's block that these parts of them have come at the ends of loads. Where nothing would be left for the next one, the rest comes at once.
static void setParts(SendOp send, ArrayRef<double> came) {
  const auto block = static_cast<int64_t>(cast<LayoutAttr>(send.getType().getEncoding()).getFeatureBlock());
  SmallVector<int64_t> parts;
  int64_t before = 0;
  for (double part : came) {
    const int64_t features = std::max<int64_t>(before + 1, std::llround(part * double(block)));
    if (features >= block)
      break;
    parts.push_back(features - before);
    before = features;
  }
  if (!parts.empty())
    send.setParts(parts);
}

void AssignLayout::failToFit(SegmentOp segment, const SegmentModel &model, const Candidate &smallest) {
  if (smallest.bytes == 0) {
    emitError(segment.getLoc()) << "found batch entries of " << model.entryTokens() << " tokens that attend to each other, expected a number that up to " << machine.height << " rows of cores share, up to "
                                << machine.accumulatorBytes / 8 << " in each (attend_c5); pad the sequence, or take a larger machine";
    return;
  }
  Operation *largest = model.largest();
  int64_t features = numFeatures(cast<RankedTensorType>(largest->getResult(0).getType()));
  InFlightDiagnostic diag = emitError(segment.getLoc())
                            << "segment needs at least " << smallest.bytes << " bytes of SRAM per core (" << smallest.valueBytes << " for values of "
                            << smallest.grid.tokenBlock << " token on " << smallest.grid.columns << " columns, " << smallest.bytes - smallest.valueBytes
                            << " for code), but a core of machine '" << machine.name << "' has " << machine.sramBytes
                            << "; use a machine with more columns, or split the layer";
  diag.attachNote(largest->getLoc()) << "the largest value, " << features << " features, is made here";
}

void AssignLayout::trace(llvm::raw_ostream &out, const Candidate &candidate, bool chosen) {
  const GridShape &grid = candidate.grid;
  llvm::json::OStream json(out);
  json.object([&] {
    json.attribute("bands", grid.bands);
    json.attribute("batches_at_once", grid.batchesAtOnce);
    json.attribute("bound_by", candidate.cost.binds);
    json.attribute("chosen", chosen);
    json.attribute("columns", grid.columns);
    json.attribute("contraction_cycles", candidate.cost.contractions);
    json.attribute("cycles", candidate.cost.cycles);
    json.attribute("fits", candidate.fits);
    json.attribute("groups", grid.groups);
    json.attribute("loads", candidate.loads);
    json.attribute("machine", machine.name);
    json.attribute("macs", candidate.cost.macs);
    json.attribute("micro_batches", grid.microBatches);
    json.attribute("padded_tokens", candidate.paddedTokens);
    json.attribute("pass", "stream-assign-layout");
    json.attribute("program", getOperation().getSymName());
    json.attribute("rows", grid.rows);
    json.attribute("segment", segmentNumber);
    json.attribute("sends_ahead", candidate.sendsAhead);
    json.attribute("sram_bytes", candidate.bytes);
    json.attribute("token_block", grid.tokenBlock);
    json.attribute("transfer_cycles", candidate.cost.transfers);
    json.attribute("value_bytes", candidate.valueBytes);
  });
  out << "\n";
}

/// Programs of a module are laid out at the same time, and each adds its own lines.
LogicalResult AssignLayout::writeTrace(StringRef lines) {
  static llvm::sys::Mutex mutex;
  llvm::sys::ScopedLock lock(mutex);
  std::error_code error;
  llvm::raw_fd_ostream file(decisionTrace, error, llvm::sys::fs::OF_Append | llvm::sys::fs::OF_Text);
  if (!error) {
    file << lines;
    file.flush();
    error = file.error();
    file.clear_error();
  }
  if (error)
    return emitError(getOperation().getLoc()) << "cannot write the decision trace '" << decisionTrace << "': " << error.message();
  return success();
}

void applyLayout(SegmentOp segment, const Machine &machine, const GridShape &grid, const Copies &copies) {
  MLIRContext *context = segment.getContext();
  segment.setGridAttr(GridAttr::get(context, grid.columns, grid.rows, grid.groups, grid.tokenBlock, grid.microBatches, grid.batchesAtOnce, grid.bands));
  for (auto sample : segment.getOps<SampleOp>())
    sample.setGroupsAdded(groupSumsPay(machine, grid) && sample.mayAddGroups(grid.batchesAtOnce));
  for (Operation &op : segment.getBody().front()) {
    for (Value result : op.getResults()) {
      auto type = cast<RankedTensorType>(result.getType());
      int64_t block = copies.contains(result) ? 0 : ceilDiv(numFeatures(type), grid.columns);
      result.setType(RankedTensorType::get(type.getShape(), type.getElementType(), LayoutAttr::get(context, block)));
    }
  }
}

/// For contractions that stream-choose-wire-format left open.
void AssignLayout::chooseWires(SegmentOp segment, const GridShape &grid) const {
  /// Zeros are spread less evenly than the estimate has it.
  constexpr double worthwhile = 0.9;
  for (auto contract : segment.getOps<ContractOp>()) {
    if (contract.getWire())
      continue;
    const Type element = contract.getInput().getType().getElementType();
    const WireFormat dense = denseWireFormat(element);
    const WireFormat sparse = sparseWireFormat(element);
    auto cycles = [&](WireFormat format) {
      WireCost wire = wireCost(contract, weightOf(contract), format);
      wire.streams = streamsAtOnce(contract.getBatchSizes(), contract.getBatchStrides(), grid.batchesAtOnce);
      wire.together = contract.getRowsTogether().value_or(1);
      return contractionRow(machine, grid, numFeatures(contract.getInput().getType()), wire).cycles();
    };
    setWireFormat(contract, cycles(sparse) < worthwhile * cycles(dense) ? sparse : dense);
  }
}

void AssignLayout::runOnOperation() {
  ProgramOp program = getOperation();
  SmallVector<SegmentOp> segments;
  for (auto segment : program.getOps<SegmentOp>()) {
    bool noValues = llvm::all_of(segment.getBody().front(), [](Operation &op) { return op.getNumResults() == 0; });
    if (!segment.getGrid() && !noValues)
      segments.push_back(segment);
  }
  if (segments.empty())
    return;
  try {
    machine = Machine::load(program.getMachine().str());
  } catch (const MachineError &error) {
    emitError(program.getLoc()) << error.what();
    return signalPassFailure();
  }
  // Two sums of f32, one that grows and one that leaves.
  maxTokenBlock = machine.accumulatorBytes / (2 * 4);
  if (maxTokenBlock < 1) {
    emitError(program.getLoc()) << "needs 8 bytes of accumulator cache for the sums of a token, but a core of machine '" << machine.name << "' has "
                                << machine.accumulatorBytes;
    return signalPassFailure();
  }
  std::string lines;
  llvm::raw_string_ostream trace(lines);
  trace.SetBufferSize(1 << 16);
  // A file that cannot be written is said before the work, not after it.
  if (!decisionTrace.empty() && failed(writeTrace("")))
    return signalPassFailure();
  segmentNumber = 0;
  for (std::deque<SegmentOp> queue(segments.begin(), segments.end()); !queue.empty();) {
    SegmentOp segment = queue.front();
    Copies copies(segment);
    Others others;
    llvm::raw_ostream *traceFile = decisionTrace.empty() ? nullptr : &trace;
    Candidate best = choose(segment, SegmentModel(segment), traceFile, others);
    if (SegmentOp shorter = withShorterLives(segment, best, others, traceFile)) {
      segment = shorter;
      copies = Copies(segment);
      ++segmentsShortened;
    }
    if (SegmentOp moved = withSendsAhead(segment, best, others, traceFile)) {
      segment = moved;
      copies = Copies(segment);
    }
    if (!best.fits) {
      // Too many values at a time, or too much code: half of the kernels first, what crosses waits in MemoryX.
      SegmentOp second = splitSegment(segment);
      if (!second) {
        failToFit(segment, SegmentModel(segment), best);
        return signalPassFailure();
      }
      queue.insert(queue.begin() + 1, second);
      ++segmentsSplit;
      continue;
    }
    if (traceFile)
      this->trace(*traceFile, best, /*chosen=*/true);
    for (auto [contract, together] : llvm::zip_equal(segment.getOps<ContractOp>(), SegmentModel(segment).rowsTogether(machine, best.grid, best.room)))
      if (together > 1)
        contract.setRowsTogether(together);
    segment.setLoads(best.loads);
    const auto came = SegmentModel(segment).partsOfSends(machine, best.grid, best.room);
    applyLayout(segment, machine, best.grid, copies);
    for (auto send : segment.getOps<SendOp>())
      if (auto parts = came.find(send); parts != came.end())
        setParts(send, parts->second);
    segment.setChunkBytes(best.room.chunkBytes);
    segment.setCompact(best.room.isCompact);
    chooseWires(segment, best.grid);
    ++segmentNumber;
    queue.pop_front();
  }
  trace.flush();
  if (!decisionTrace.empty() && failed(writeTrace(lines)))
    return signalPassFailure();
}

} // namespace

} // namespace wafer::stream
