//===- AssignLayout.cpp - stream-assign-layout -----------------------------===//

#include "wafer/Dialect/Stream/Transforms/Passes.h"

#include "wafer/Analysis/SegmentCost.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <set>

using namespace mlir;

namespace wafer::stream {

#define GEN_PASS_DEF_ASSIGNLAYOUT
#include "wafer/Dialect/Stream/Transforms/Passes.h.inc"

namespace {

/// The size of a feature block is an extent of a descriptor.
constexpr int64_t maxFeatureBlock = 65535;

/// A shape of cores for the whole program, with each segment's tokens per core and micro-batches.
struct Candidate {
  std::vector<GridShape> grids; ///< one per segment
  std::vector<SegmentCost> costs;
  double cycles = 0;
  int64_t paddedTokens = 0;
  int64_t bytes = 0; ///< SRAM of a core, code included
  bool fits = false;

  auto rank() const { return std::make_tuple(cycles, paddedTokens, grids.front().cores(), grids.front().columns); }
};

struct AssignLayout : impl::AssignLayoutBase<AssignLayout> {
  using AssignLayoutBase::AssignLayoutBase;

  void runOnOperation() override;
  std::optional<Candidate> choose();
  Candidate evaluate(const GridShape &shape, size_t main, int64_t mainTokenBlock);
  GridShape gridFor(const SegmentModel &model, GridShape shape, int64_t tokenBlock) const;
  void failToFit(const Candidate &smallest);
  void trace(llvm::raw_ostream &out, const Candidate &candidate, bool chosen);

  Machine machine;
  SmallVector<SegmentOp> segments;
  std::vector<SegmentModel> models;
  int64_t codeBytes = 0;
  int64_t maxTokenBlock = 1;
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
    } else if (isa<ContractOp, ScaleOp, ReduceOp>(op) && copies_.contains(value)) {
      auto lone = MapOp::create(builder, op->getLoc(), type, value);
      Block *body = builder.createBlock(&lone.getBody(), {}, type.getElementType(), op->getLoc());
      YieldOp::create(builder, op->getLoc(), body->getArgument(0));
      operand.set(lone);
    }
  }

  llvm::DenseSet<Value> copies_;
};

/// 1, 2, 3, 4, 6, 8, 12, ...: enough to come within a third of any number.
std::vector<int64_t> steppedUpTo(int64_t limit) {
  std::vector<int64_t> values;
  for (int64_t power = 1; power <= limit; power *= 2)
    for (int64_t value : {power, power + power / 2})
      if (value <= limit && (values.empty() || value > values.back()))
        values.push_back(value);
  return values;
}

/// Rows that are needed at most, rebalanced over the micro-batches that they take.
GridShape AssignLayout::gridFor(const SegmentModel &model, GridShape shape, int64_t tokenBlock) const {
  shape.tokenBlock = tokenBlock;
  shape.microBatches = model.batches() * ceilDiv(model.entryTokens(), shape.rows * shape.groups * tokenBlock);
  return shape;
}

Candidate AssignLayout::evaluate(const GridShape &shape, size_t main, int64_t mainTokenBlock) {
  Candidate candidate;
  int64_t valueBytes = 0;
  ++candidates;
  for (size_t i = 0; i < models.size(); ++i) {
    // Other segments take the best number of tokens per core on the main one's cores.
    std::vector<int64_t> blocks = i == main ? std::vector<int64_t>{mainTokenBlock} : steppedUpTo(maxTokenBlock);
    std::optional<std::pair<GridShape, SegmentCost>> best;
    for (int64_t tokenBlock : blocks) {
      GridShape grid = gridFor(models[i], shape, tokenBlock);
      SegmentCost cost = models[i].estimate(machine, grid);
      if (!best || (cost.cycles < best->second.cycles && codeBytes + cost.valueBytes <= machine.sramBytes))
        best = {grid, cost};
    }
    candidate.grids.push_back(best->first);
    candidate.costs.push_back(best->second);
    candidate.cycles += best->second.cycles;
    candidate.paddedTokens += best->first.tokens() - models[i].tokens();
    valueBytes = std::max(valueBytes, best->second.valueBytes);
  }
  candidate.bytes = codeBytes + valueBytes;
  int64_t features = 0;
  for (const SegmentModel &model : models)
    features = std::max(features, model.features().back());
  candidate.fits = candidate.bytes <= machine.sramBytes && ceilDiv(features, shape.columns) <= maxFeatureBlock;
  return candidate;
}

std::optional<Candidate> AssignLayout::choose() {
  std::unique_ptr<llvm::raw_fd_ostream> traceFile;
  if (!decisionTrace.empty()) {
    std::error_code error;
    traceFile = std::make_unique<llvm::raw_fd_ostream>(decisionTrace, error, llvm::sys::fs::OF_Append | llvm::sys::fs::OF_Text);
    if (error) {
      emitError(getOperation().getLoc()) << "cannot write the decision trace '" << decisionTrace << "': " << error.message();
      return std::nullopt;
    }
  }

  // The segment with most tokens in a batch entry decides how many rows there are.
  size_t main = 0;
  std::set<int64_t> features;
  for (size_t i = 0; i < models.size(); ++i) {
    if (models[i].entryTokens() > models[main].entryTokens())
      main = i;
    features.insert(models[i].features().begin(), models[i].features().end());
  }
  std::optional<Candidate> best, smallest;
  for (int64_t groups : steppedUpTo(machine.width)) {
    // As many columns as there are, fewer for a shorter chain, or as many as hold a tensor without a ragged end.
    int64_t most = std::min<int64_t>(machine.width / groups, *features.rbegin());
    std::vector<int64_t> fewer = steppedUpTo(most);
    std::set<int64_t> columnCounts(fewer.begin(), fewer.end());
    columnCounts.insert(most);
    for (int64_t f : features)
      if (f >= most)
        columnCounts.insert(ceilDiv(f, ceilDiv(f, most)));
    for (int64_t columns : columnCounts) {
      for (int64_t tokenBlock = 1; tokenBlock <= maxTokenBlock; ++tokenBlock) {
        int64_t rowsNeeded = ceilDiv(models[main].entryTokens(), groups * tokenBlock);
        GridShape shape;
        shape.columns = columns;
        shape.groups = groups;
        shape.rows = ceilDiv(rowsNeeded, ceilDiv(rowsNeeded, machine.height));
        Candidate candidate = evaluate(shape, main, tokenBlock);
        if (traceFile)
          trace(*traceFile, candidate, /*chosen=*/false);
        if (candidate.fits && (!best || candidate.rank() < best->rank()))
          best = candidate;
        if (!smallest || candidate.bytes < smallest->bytes)
          smallest = candidate;
      }
    }
  }
  if (!best)
    failToFit(*smallest);
  else if (traceFile)
    trace(*traceFile, *best, /*chosen=*/true);
  return best;
}

void AssignLayout::failToFit(const Candidate &smallest) {
  size_t worst = 0;
  for (size_t i = 0; i < models.size(); ++i)
    if (smallest.costs[i].valueBytes > smallest.costs[worst].valueBytes)
      worst = i;
  Operation *largest = models[worst].largest();
  int64_t features = numFeatures(cast<RankedTensorType>(largest->getResult(0).getType()));
  InFlightDiagnostic diag = emitError(segments[worst].getLoc())
                            << "segment needs at least " << smallest.bytes << " bytes of SRAM per core (" << smallest.costs[worst].valueBytes << " for values of "
                            << smallest.grids[worst].tokenBlock << " token on " << smallest.grids[worst].columns << " columns, " << codeBytes
                            << " for code), but a core of machine '" << machine.name << "' has " << machine.sramBytes
                            << "; use a machine with more columns, or split the layer";
  diag.attachNote(largest->getLoc()) << "the largest value, " << features << " features, is made here";
}

void AssignLayout::trace(llvm::raw_ostream &out, const Candidate &candidate, bool chosen) {
  llvm::json::Array perSegment;
  for (auto [grid, cost] : llvm::zip_equal(candidate.grids, candidate.costs))
    perSegment.push_back(llvm::json::Object{{"token_block", grid.tokenBlock},
                                            {"micro_batches", grid.microBatches},
                                            {"cycles", cost.cycles},
                                            {"contraction_cycles", cost.contractions},
                                            {"bound_by", cost.binds},
                                            {"value_bytes", cost.valueBytes}});
  const GridShape &shape = candidate.grids.front();
  out << llvm::json::Value(llvm::json::Object{{"pass", "stream-assign-layout"},
                                              {"program", getOperation().getSymName()},
                                              {"machine", machine.name},
                                              {"columns", shape.columns},
                                              {"rows", shape.rows},
                                              {"groups", shape.groups},
                                              {"cycles", candidate.cycles},
                                              {"padded_tokens", candidate.paddedTokens},
                                              {"sram_bytes", candidate.bytes},
                                              {"fits", candidate.fits},
                                              {"chosen", chosen},
                                              {"segments", std::move(perSegment)}})
      << "\n";
}

void applyLayout(SegmentOp segment, const GridShape &grid, const Copies &copies) {
  MLIRContext *context = segment.getContext();
  segment.setGridAttr(GridAttr::get(context, grid.columns, grid.rows, grid.groups, grid.tokenBlock, grid.microBatches));
  for (Operation &op : segment.getBody().front()) {
    for (Value result : op.getResults()) {
      auto type = cast<RankedTensorType>(result.getType());
      int64_t block = copies.contains(result) ? 0 : ceilDiv(numFeatures(type), grid.columns);
      result.setType(RankedTensorType::get(type.getShape(), type.getElementType(), LayoutAttr::get(context, block)));
    }
  }
}

void AssignLayout::runOnOperation() {
  ProgramOp program = getOperation();
  segments.clear();
  models.clear();
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
  std::vector<Copies> copies;
  for (SegmentOp segment : segments) {
    copies.emplace_back(segment);
    models.emplace_back(segment);
  }
  codeBytes = estimateCodeBytes(program);
  std::optional<Candidate> best = choose();
  if (!best)
    return signalPassFailure();
  for (auto [segment, grid, copy] : llvm::zip_equal(segments, best->grids, copies))
    applyLayout(segment, grid, copy);
}

} // namespace

} // namespace wafer::stream
