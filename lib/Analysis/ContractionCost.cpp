//===- ContractionCost.cpp - cycles of kernels on a grid -------------------===//
//
// docs/spec/kernels.md shows the code whose cycles are counted here, docs/spec/machine.md section 6 what each part of it costs.
//
//===----------------------------------------------------------------------===//

#include "wafer/Analysis/ContractionCost.h"

#include "wafer/Machine/Chunks.h"
#include "wafer/Machine/RowOrder.h"

#include <algorithm>
#include <cmath>

namespace wafer {

double RowCost::cycles() const { return std::max({issue, link, ingest}); }

const char *RowCost::binds() const { return issue >= link && issue >= ingest ? "issue" : link >= ingest ? "link" : "ingest"; }

/// One vector instruction over `elements`.
static double vectorCycles(const Machine &machine, int64_t elements, uint32_t lanes) { return machine.vectorSetupCycles + ceilDiv(elements, lanes); }

/// A command and the descriptors it loads.
static double taskCycles(const Machine &machine, int64_t descriptors) {
  return machine.taskCycles + descriptors * machine.descriptorCycles + machine.scalarCycles;
}

/// From one core to its neighbour: out of the core, over the link, into the core.
static double neighbourCycles(const Machine &machine) { return 2.0 * machine.rampCycles + machine.hopCycles; }

/// A sum on its way along a chain; the next core has set up its addition when it comes.
static double chainHopCycles(const Machine &machine) { return neighbourCycles(machine) + 2.0 * machine.scalarCycles; }

/// What `sums` partial sums that go together take on their way past the columns to their owner. Chains that follow each other from both sides, a wavelet a cycle, wait for the owner's
/// two additions. What that is on average was found with contractions of 3 to 32 columns on the timing engine.
static double chainCycles(const Machine &machine, const GridShape &grid, int64_t sums) {
  const double t = double(sums), columns = double(grid.columns);
  if (columns < 3) // one neighbour, every second time
    return columns < 2 ? 0 : t / 2 + machine.vectorSetupCycles;
  const double additions = 2 * (1 - 0.66 / columns) / machine.vectorLanes.bits32;
  return t * (1 + additions) + machine.vectorSetupCycles + 5 - 26 / columns;
}

/// How many rows of so many wavelets queues hold, and the edge looks ahead.
static double rowsAhead(const Machine &machine, const GridShape &grid, double wavelets) {
  return (2.0 * machine.coreQueueDepth + machine.routerQueueDepth) / (wavelets + 1) + double(machine.width) / double(grid.columns);
}

/// What `together` rows wait for when the way past the columns, `hop` cycles each, is longer than what they may be apart: twice the sums that a core keeps, what queues hold, and
/// the bursts that the edge looks ahead. On average three quarters of the columns lie between the owner and the further end. Found as chainCycles was, with up to 373 columns.
static double lagCycles(const Machine &machine, const GridShape &grid, double hop, int64_t wavelets, int64_t together = 1) {
  const double apart = 2 + (2.0 * machine.coreQueueDepth + machine.routerQueueDepth) / double(wavelets + 1) + double(machine.width) / double(grid.columns * together);
  return 0.75 * double(grid.columns - 1) * hop / apart;
}

/// A row that comes from the neighbour and goes on to the next one.
static double passedRowCycles(const Machine &machine, int64_t tokens, uint32_t lanes) {
  return taskCycles(machine, 0) + 3.0 * machine.scalarCycles + 2 * vectorCycles(machine, tokens, lanes);
}

/// `together` rows of an owner, which the sums of as many go with as the wire says.
static RowCost rowsCost(const Machine &machine, const GridShape &grid, int64_t inFeatures, const WireCost &wire, int64_t together) {
  const int64_t t = grid.tokenBlock, sums = wire.together * t, sent = static_cast<int64_t>(std::ceil(inFeatures * wire.density));
  const int64_t perRow = ceilDiv(sent, grid.columns), perCore = wire.density < 1 ? ceilDiv(together * sent, grid.columns) : together * perRow, perWavelet = wire.perWavelet;
  const int64_t wavelets = wire.waveletsEach * ceilDiv(perCore, perWavelet);
  uint32_t lanes = wire.wide ? machine.fmacAccLanes.bits32 : machine.fmacAccLanes.bits16;
  const int64_t multiplied = std::max<int64_t>(1, std::llround(t * wire.nonzeros));
  RowCost cost;
  // Of a sparse row, the column that is kept most holds up the others, though a row or two later. Of rows that go together, those even out that queues hold or the edge looks ahead.
  const double ahead = std::clamp(rowsAhead(machine, grid, double(wavelets) / double(together)), 1.0, double(together));
  const double mean = std::max(1.0, ahead * inFeatures * wire.density / double(grid.columns));
  const double fullest = wire.density < 1 ? 1 + 0.35 * std::sqrt((1 - wire.density) * std::log(double(grid.columns)) / mean) : 1;
  // Additions are microthreads, which take the datapath from the task when it needs it; their set-up takes nothing. The owner, one of all columns, adds twice and moves more registers on,
  // and takes biases with a task of their own.
  const double ofOwner = 1 / double(grid.columns);
  const double bias = wire.hasBias ? taskCycles(machine, 0) + 2.0 * machine.scalarCycles + double(together) * double(wire.waveletsEach * machine.triggerCycles + ceilDiv(t, lanes)) : 0;
  cost.products = fullest * double(perCore) * double(ceilDiv(multiplied, lanes));
  const double task = fullest * double(wavelets) * machine.triggerCycles + cost.products + taskCycles(machine, 0) + 2.0 * machine.scalarCycles + ofOwner * (3.0 * machine.scalarCycles + bias);
  cost.issue = task + (1 + ofOwner) * double(ceilDiv(sums, machine.vectorLanes.bits32)) * cost.products / task;
  cost.ramp = double(wavelets) + 1 + double(sums) * (1 - ofOwner);
  // Short sums are on their way before the next core asks for them.
  const double hop = neighbourCycles(machine) * std::min(1.0, 0.62 + 0.05 * double(sums));
  cost.link = std::max({chainCycles(machine, grid, sums), lagCycles(machine, grid, hop, wavelets, together), wavelets + 1.0});
  // The last busy column may be shorter; its command comes all the same.
  int64_t full = perRow ? sent / perRow : 0, rest = perRow ? sent % perRow : 0;
  const int64_t words = wire.linkWords ? wire.linkWords : wire.waveletsEach * (full * ceilDiv(perRow, perWavelet) + ceilDiv(rest, perWavelet));
  int64_t commands = grid.columns + (wire.hasBias ? 1 + together * wire.waveletsEach : 0);
  // A row that comes packed is taken off the link when the edge looks ahead as far as its first column; behind it cores wait, but for what is in their queues.
  if (wire.linkWords && together > 1)
    cost.issue += std::max(0.0, double(together * wire.linkWords * grid.columns) / (double(machine.ingestWaveletsPerCycle) * machine.width) - 0.25 * cost.issue);
  if (wire.isMasked) {
    cost.issue += passedRowCycles(machine, t, machine.vectorLanes.bits16);
    commands += grid.columns;
  }
  cost.ingest = double(wire.streams) * double(together * words + commands) / machine.ingestWaveletsPerCycle;
  return cost;
}

RowCost contractionRow(const Machine &machine, const GridShape &grid, int64_t inFeatures, const WireCost &wire) {
  const RowCost all = rowsCost(machine, grid, inFeatures, wire, wire.together);
  const double rows = double(wire.together);
  return {all.issue / rows, all.products / rows, all.ramp / rows, all.link / rows, all.ingest / rows};
}

int64_t rowsTogether(const Machine &machine, const GridShape &grid, int64_t inFeatures, int64_t outFeatures, WireCost wire, int64_t most) {
  /// Of which an index of 16 bits tells the weights apart.
  constexpr int64_t mostWeights = 1 << 16;
  int64_t best = 1;
  double least = 0;
  for (wire.together = 1; wire.together == 1 || (wire.together <= most && 2 * wire.together * grid.tokenBlock * 4 <= int64_t(machine.accumulatorBytes) && wire.together * grid.columns <= outFeatures &&
                                                 wire.together * ceilDiv(inFeatures, grid.columns) <= mostWeights);
       wire.together *= 2) {
    const double cycles = contractionCycles(machine, grid, inFeatures, outFeatures, wire);
    if (wire.together > 1 && cycles >= least)
      continue;
    best = wire.together;
    least = cycles;
  }
  return best;
}

/// What a row waits on average when the owner comes to the last column and turns back: sums that came from the one side then have all columns to pass from the other. The
/// two accumulators and the row at work let a core go on for three rows meanwhile, unless it waits for the stream as it is. On each hop as much of a sum as a queue holds waits for the
/// rest, and for a multiplication that has begun. Found with contractions of 3 to 128 columns on the timing engine.
static double turnCycles(const Machine &machine, const GridShape &grid, const RowCost &row, int64_t together, double weightsOfCore) {
  if (grid.columns < 3)
    return 0;
  const double hop = neighbourCycles(machine) + machine.vectorSetupCycles + 1.35 * double(std::min<int64_t>(together * grid.tokenBlock, machine.coreQueueDepth)) + std::min(0.3 * weightsOfCore, 4.5);
  const double slack = row.ingest >= row.issue ? 0 : 3 * row.issue;
  return std::max(0.0, (grid.columns - 1) * hop - slack) / (2.0 * grid.columns);
}

double sideBySide(double one, double other) {
  const double longer = std::max(one, other), shorter = std::min(one, other);
  return longer + 0.45 * std::max(0.0, shorter - 0.6 * longer);
}

/// What a row waits on average for its mask. A core passes a row on when it has all of it; when the first column owns a row, the last one gets it behind all others, and then the other way about.
/// Rows are one ahead of the weights, so that a core can go on with a row each time meanwhile. Found with contractions of the timing engine.
static double maskTurnCycles(const Machine &machine, const GridShape &grid, const RowCost &row) {
  const double hop = neighbourCycles(machine) + 2.0 * machine.vectorSetupCycles + double(ceilDiv(grid.tokenBlock, 2));
  return std::max(0.0, 2 * ((grid.columns - 1) * hop - row.cycles())) / grid.columns;
}

/// From a core to the next one, which takes a group of elements when it has all of it.
static double handOverCycles(const Machine &machine, int64_t elements) { return neighbourCycles(machine) + double(std::min<int64_t>(elements, machine.vectorLanes.bits32)); }

LastSums lastSums(const Machine &machine, const GridShape &grid, int64_t outFeatures, int64_t together) {
  auto u64 = [](int64_t n) { return static_cast<uint64_t>(n); };
  LastSums last;
  last.columns = grid.columns;
  last.owner = static_cast<int64_t>(streamedRow(u64(outFeatures - 1), u64(outFeatures), u64(grid.columns), u64(together))) % grid.columns;
  last.hop = handOverCycles(machine, together * grid.tokenBlock);
  last.whole = double(together * grid.tokenBlock) + machine.vectorSetupCycles;
  return last;
}

double contractionCycles(const Machine &machine, const GridShape &grid, int64_t inFeatures, int64_t outFeatures, const WireCost &wire) {
  constexpr int64_t descriptors = 10;
  const double begin = taskCycles(machine, descriptors) + machine.scalarCycles + (wire.hasBias ? 2.0 * machine.descriptorCycles + vectorCycles(machine, grid.tokenBlock, machine.vectorLanes.bits32) : 0);
  const double weightsOfCore = std::ceil(double(inFeatures) * wire.density / double(grid.columns));
  auto cyclesOf = [&](int64_t together) {
    const RowCost rows = rowsCost(machine, grid, inFeatures, wire, together);
    const double turn = std::max(turnCycles(machine, grid, rows, together, weightsOfCore), wire.isMasked ? maskTurnCycles(machine, grid, rows) : 0);
    return sideBySide(std::max(rows.issue, rows.ingest) + turn, rows.link);
  };
  // In the last round columns have fewer rows, some of them one less than the others, whose sums are as many.
  const int64_t round = wire.together * grid.columns, left = outFeatures % round, each = left / grid.columns, longer = left % grid.columns;
  double cycles = double(outFeatures / round * grid.columns) * cyclesOf(wire.together) + double(longer) * cyclesOf(each + 1);
  if (each > 0)
    cycles += double(grid.columns - longer) * cyclesOf(each);
  return begin + cycles + lastSums(machine, grid, outFeatures, wire.together).cycles();
}

double scaleIngestCycles(const Machine &machine, int64_t features) { return 2.0 * features / machine.ingestWaveletsPerCycle; }

double scaleCycles(const Machine &machine, const GridShape &grid, int64_t features, bool wide, bool hasBeta) {
  constexpr int64_t descriptors = 7;
  const double product = machine.triggerCycles + double(ceilDiv(grid.tokenBlock, wide ? machine.fmacAccLanes.bits32 : machine.fmacAccLanes.bits16));
  // The owner adds 0, as a microthread, and moves four registers on; beta has a task of its own.
  const double own = taskCycles(machine, 0) + 4.0 * machine.scalarCycles + double(ceilDiv(grid.tokenBlock, machine.vectorLanes.bits32));
  const double beta = hasBeta ? taskCycles(machine, 0) + 2.0 * machine.scalarCycles + product : 0;
  return taskCycles(machine, descriptors) + std::max(double(ceilDiv(features, grid.columns)) * (product + own + beta), scaleIngestCycles(machine, features));
}

/// Cycles between a column's sums on their way past the groups. The last group waits for what passes all others, and since all get one stream, the first can be ahead of it
/// by what queues hold on the way, and in the last group's columns. Found with samples on the timing engine.
static double groupSumCycles(const Machine &machine, const GridShape &grid) {
  const double way = double(grid.groups - 1) * (double(grid.columns) * machine.hopCycles + 2.0 * machine.rampCycles + 1);
  const double apart = 4.0 * machine.coreQueueDepth + 2.0 * machine.routerQueueDepth + double(grid.rows);
  return way / apart;
}

bool groupSumsPay(const Machine &machine, const GridShape &grid) {
  return grid.groups > 1 && grid.rows + grid.columns <= int64_t(machine.height) &&
         groupSumCycles(machine, grid) <= double(grid.columns * grid.groups) / machine.egressWaveletsPerCycle;
}

double sampleLeavingCycles(const Machine &machine, const GridShape &grid, int64_t in, int64_t out, const WireCost &wire) {
  return out * std::ceil(in * wire.density) * (wire.groupsAdded ? 1 : grid.groups) / machine.egressWaveletsPerCycle;
}

double sampleIngestCycles(const Machine &machine, const GridShape &grid, int64_t in, const WireCost &wire) {
  return ((wire.isImplicit ? 0 : std::ceil(in * wire.density)) + grid.columns) / machine.ingestWaveletsPerCycle;
}

double sampleCycles(const Machine &machine, const GridShape &grid, int64_t in, int64_t out, const WireCost &wire) {
  constexpr int64_t descriptors = 14;
  const int64_t t = grid.tokenBlock, kept = ceilDiv(static_cast<int64_t>(std::ceil(in * wire.density)), grid.columns);
  const uint32_t lanes = wire.wide ? machine.fmacAccLanes.bits32 : machine.fmacAccLanes.bits16;
  const int64_t rowWavelets = wire.wide ? t : ceilDiv(t, 2);
  // The sums of a position pass all cores of its column.
  double issue = (wire.isImplicit ? 1 : kept) * machine.triggerCycles + kept * ceilDiv(t, lanes) + passedRowCycles(machine, t, wire.wide ? machine.vectorLanes.bits32 : machine.vectorLanes.bits16) + taskCycles(machine, 3);
  double hop = neighbourCycles(machine) + machine.vectorSetupCycles + rowWavelets;
  double streams = sampleIngestCycles(machine, grid, in, wire);
  double leaves = sampleLeavingCycles(machine, grid, in, 1, wire);
  // Cores below the grid add one sum after another.
  if (wire.groupsAdded)
    leaves = std::max({leaves, double(kept) * groupSumCycles(machine, grid), double(kept) * (machine.triggerCycles + 1.0)});
  double fill = grid.columns * hop + grid.rows * neighbourCycles(machine);
  // A core has a row as a whole before it passes it on.
  const double lag = lagCycles(machine, grid, neighbourCycles(machine) + double(rowWavelets), kept);
  return taskCycles(machine, descriptors) + fill + out * std::max(std::max({issue, streams, leaves, double(rowWavelets)}) + hop, lag);
}

bool samplingPays(const Machine &machine, int64_t tokens, int64_t n, int64_t k) {
  /// Part of the lanes at work; bytes of an activation.
  constexpr double efficiency = 0.3, elementBytes = 2;
  // A row of the one operand on its way past the columns, of as many tokens as a core adds at most.
  const int64_t t = machine.accumulatorBytes / (2 * 4);
  const double rowCycles = taskCycles(machine, 0) + 2 * vectorCycles(machine, t, machine.vectorLanes.bits16) + neighbourCycles(machine) + machine.vectorSetupCycles + t / 2;
  /// The grid may be one that suits other kernels of the segment.
  constexpr double margin = 1.5;
  /// Where arithmetic is not that cheap beside crossings, a streamed operand is better, which may leave out its zeros.
  constexpr double cheap = 4;
  const double crossings = double(tokens) * (n + k) * elementBytes / 4 / machine.ingestWaveletsPerCycle;
  const double sums = double(n) * k / machine.egressWaveletsPerCycle;
  const double products = double(tokens) * n * k / (efficiency * machine.width * machine.height * machine.fmacAccLanes.bits16);
  return margin * std::max({sums, products, rowCycles * n}) < crossings && cheap * products < crossings;
}

double mapCycles(const Machine &machine, const GridShape &grid, int64_t featureBlock, int64_t operations, int64_t functions, int64_t chunkBytes) {
  const int64_t rows = std::max<int64_t>(featureBlock, 1), some = rowsPerChunk(rows, grid.tokenBlock, chunkBytes), elements = some * grid.tokenBlock;
  const double begin = taskCycles(machine, operations + functions + 2);
  const double work = operations * vectorCycles(machine, elements, machine.vectorLanes.bits32) + functions * vectorCycles(machine, elements, machine.functionLanes.bits32);
  // Each of several chunks is a task, which moves the descriptors on.
  const int64_t chunks = rows / some;
  return chunks == 1 ? begin + work : begin + double(chunks) * (taskCycles(machine, 0) + work + 3.0 * machine.scalarCycles);
}

double reduceCycles(const Machine &machine, const GridShape &grid, int64_t featureBlock) {
  constexpr int64_t descriptors = 13;
  int64_t t = grid.tokenBlock;
  double local = vectorCycles(machine, std::max<int64_t>(featureBlock, 1) * t, machine.vectorLanes.bits32);
  double chain = grid.columns * chainHopCycles(machine) + t;
  double back = grid.columns * machine.hopCycles + 2.0 * machine.rampCycles + t;
  return taskCycles(machine, descriptors) + local + chain + back;
}

/// Wavelets of a core's block.
static int64_t blockWavelets(const GridShape &grid, int64_t featureBlock, int64_t elementBytes) {
  return ceilDiv(std::max<int64_t>(featureBlock, 1) * grid.tokenBlock * elementBytes, 4);
}

double handedOnWavelets(const GridShape &grid, int64_t featureBlock, int64_t elementBytes) { return double(blockWavelets(grid, featureBlock, elementBytes)) * double(grid.rows); }

double handOnCycles(const Machine &machine, const GridShape &grid, int64_t featureBlock, int64_t elementBytes) {
  return handedOnWavelets(grid, featureBlock, elementBytes) / machine.vectorLanes.bits32;
}

double wayInCycles(const Machine &machine, const GridShape &grid) { return double(grid.rows) * handOverCycles(machine, machine.vectorLanes.bits32); }

double transferCycles(const Machine &machine, const GridShape &grid, int64_t groups, int64_t featureBlock, int64_t elementBytes, bool in) {
  constexpr int64_t descriptors = 4;
  const double link = double(blockWavelets(grid, featureBlock, elementBytes)) * grid.rows;
  const double edge = link * grid.columns * groups / (in ? machine.ingestWaveletsPerCycle : machine.egressWaveletsPerCycle);
  // On the way out the last row begins with its own block, when those of the others wait behind it.
  const double way = in ? wayInCycles(machine, grid) : machine.vectorSetupCycles + neighbourCycles(machine);
  return taskCycles(machine, descriptors) + way + std::max(link, edge);
}

} // namespace wafer
