//===- AttentionCost.cpp - cycles and SRAM of attention on a grid ---------===//
//
// docs/spec/kernels.md shows the code that is counted here, docs/spec/machine.md section 6 what each part of it costs.
//
//===----------------------------------------------------------------------===//

#include "AttentionCost.h"

#include "wafer/Machine/AttentionChunks.h"

#include <algorithm>

namespace wafer {

namespace {

/// Instructions for a head and a block, and the elements that they work on.
struct HeadWork {
  double instructions = 0, products = 0, elements = 0, functions = 0;
  double exchanges = 0; ///< of a block's scores, or what is like them, with the column that has the other part of the head

  double cycles(const Machine &machine, const AttentionShape &shape) const {
    const double lanes = shape.elementBytes == 2 ? machine.fmacAccLanes.bits16 : machine.fmacAccLanes.bits32;
    return exchanges + instructions * machine.vectorSetupCycles + products / lanes + elements / machine.vectorLanes.bits32 + functions / machine.functionLanes.bits32;
  }
};

AttentionChunks chunksOf(const Machine &machine, const GridShape &grid, const AttentionShape &shape) { return attentionChunks(grid.tokenBlock, shape.size, shape.isCausal, machine.accumulatorBytes); }

/// Tiles of a block, on a side and those in which tokens meet.
double sideOf(const GridShape &grid, const AttentionChunks &chunks) { return double(grid.tokenBlock / chunks.tile); }
double tilesOf(const GridShape &grid, const AttentionShape &shape, const AttentionChunks &chunks) {
  const int64_t side = grid.tokenBlock / chunks.tile;
  return double(shape.isCausal ? tilesSeen(side) : side * side);
}

/// Scores of a block or what is like them: products for each pair of tokens, some keys at a time, which an instruction takes from the cache.
void addScores(HeadWork &work, const Machine &machine, const GridShape &grid, const AttentionShape &shape, const AttentionChunks &chunks) {
  const double t = grid.tokenBlock, tiles = tilesOf(grid, shape, chunks), met = tiles * double(chunks.tile * chunks.tile);
  // One wavelet a cycle, both ways at a time, and the way to the neighbour.
  if (shape.isAcross)
    work.exchanges += t * t + 2.0 * machine.rampCycles + machine.hopCycles + 2.0 * machine.vectorSetupCycles;
  work.products += met * double(shape.size);
  work.elements += met;
  work.instructions += 2 * tiles * double(chunks.tile / chunks.keys);
}

/// Sums for each element and token: products, and `passes` times what is on the way from and to memory.
void addSums(HeadWork &work, const GridShape &grid, const AttentionShape &shape, const AttentionChunks &chunks, int64_t passes) {
  const double tiles = tilesOf(grid, shape, chunks);
  work.products += tiles * double(chunks.tile * chunks.tile * shape.size);
  work.elements += double(passes * shape.size * grid.tokenBlock);
  work.instructions += (double(passes) * sideOf(grid, chunks) + tiles) * double(shape.size) / double(chunks.elements);
}

/// A head meets a block in the forward pass.
HeadWork forwardWork(const Machine &machine, const GridShape &grid, const AttentionShape &shape, const AttentionChunks &chunks) {
  const double t = grid.tokenBlock;
  HeadWork work;
  addScores(work, machine, grid, shape, chunks);
  addSums(work, grid, shape, chunks, 2);
  work.elements += (3 + 2 * shape.isCausal) * t * t + 4 * t;
  work.functions += t * t + t;
  work.instructions += 9 + 2 * shape.isCausal;
  return work;
}

/// The same once more for its gradient, when maximum and total are known.
HeadWork gradientWork(const Machine &machine, const GridShape &grid, const AttentionShape &shape, const AttentionChunks &chunks) {
  const double t = grid.tokenBlock;
  HeadWork work;
  addScores(work, machine, grid, shape, chunks);
  addScores(work, machine, grid, shape, chunks);
  for (int sums = 0; sums < 3; ++sums)
    addSums(work, grid, shape, chunks, 1);
  work.elements += (3 + 2 * shape.isCausal) * t * t;
  work.functions += t * t;
  work.instructions += 4 + 2 * shape.isCausal;
  return work;
}

int64_t headsOfColumn(const GridShape &grid, const AttentionShape &shape) { return ceilDiv(shape.heads, grid.columns); }

/// Elements of the heads of a core's tokens.
int64_t blockElements(const GridShape &grid, const AttentionShape &shape) { return headsOfColumn(grid, shape) * shape.size * grid.tokenBlock; }

} // namespace

double attentionCycles(const Machine &machine, const GridShape &grid, const AttentionShape &shape) {
  const AttentionChunks chunks = chunksOf(machine, grid, shape);
  if (chunks.keys == 0)
    return 0;
  const double heads = double(headsOfColumn(grid, shape)), elements = double(blockElements(grid, shape));
  const double task = machine.taskCycles + 20.0 * machine.scalarCycles, begin = 60.0 * machine.descriptorCycles + 12.0 * machine.vectorSetupCycles;
  // Blocks pass while others are at work.
  const double passed = 2 * elements * double(shape.elementBytes) / 4 + double(shape.isCausal * grid.tokenBlock);
  auto ring = [&](const HeadWork &work, double wavelets) {
    const int64_t length = grid.rowsOfBand();
    const double moves = length > 1 ? 2 * wavelets / machine.vectorLanes.bits32 : 0; // through the datapath, in and out
    return begin + double(length) * std::max(heads * work.cycles(machine, shape) + task + moves, length > 1 ? wavelets : 0.0);
  };
  const double turned = shape.isRotated * elements * 4 / machine.vectorLanes.bits32; // queries and keys, once and back
  double cycles = (1 + shape.isGradient) * turned + ring(forwardWork(machine, grid, shape, chunks), passed) + elements * 3 / machine.vectorLanes.bits32;
  if (shape.isGradient)
    cycles += ring(gradientWork(machine, grid, shape, chunks), passed + 2 * elements) + elements * 6 / machine.vectorLanes.bits32;
  return cycles;
}

int64_t attentionBytes(const GridShape &grid, const AttentionShape &shape) {
  const int64_t t = grid.tokenBlock, elements = blockElements(grid, shape);
  // Blocks of keys and values, and queries that were turned, but for what is in place; sums of results.
  const int64_t factors = shape.isInPlace ? 2 : 4 + shape.isRotated;
  const int64_t forward = elements * (factors * shape.elementBytes + 4) + t * t * (4 + 4 * shape.isAcross + shape.elementBytes) + (2 * headsOfColumn(grid, shape) + 5) * t * 4;
  return forward + (shape.isGradient ? elements * 12 + headsOfColumn(grid, shape) * t * 4 : 0);
}

double attentionMacs(const Machine &machine, const GridShape &grid, int64_t entryTokens, const AttentionShape &shape) {
  const AttentionChunks chunks = chunksOf(machine, grid, shape);
  const double side = chunks.keys == 0 ? 1 : sideOf(grid, chunks), met = chunks.keys == 0 ? 1 : tilesOf(grid, shape, chunks) / (side * side);
  return (shape.isGradient ? 7.0 : 2.0) * met * double(entryTokens * shape.heads * shape.size);
}

int64_t attentionInstructions(const Machine &machine, const GridShape &grid, const AttentionShape &shape) {
  const AttentionChunks chunks = chunksOf(machine, grid, shape);
  if (chunks.keys == 0)
    return 0;
  // Vector instructions, and about as many that move registers on; the first and last task.
  const double work = forwardWork(machine, grid, shape, chunks).instructions + (shape.isGradient ? gradientWork(machine, grid, shape, chunks).instructions : 0);
  return static_cast<int64_t>(2 * work * double(headsOfColumn(grid, shape))) + (shape.isGradient ? 200 : 90);
}

} // namespace wafer
