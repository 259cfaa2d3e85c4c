//===- ContractionCost.h - cycles of kernels on a grid ---------------------===//
//
// The cost model by which stream-assign-layout compares grids. Cycles are estimates: they order candidates, they do not predict a run. All machine
// numbers come from the machine description.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_ANALYSIS_CONTRACTIONCOST_H
#define WAFER_ANALYSIS_CONTRACTIONCOST_H

#include "wafer/Machine/Machine.h"

#include <cstdint>
#include <tuple>

namespace wafer {

inline int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The grid of cores that a cost is for; tokenBlock tokens per core, rows of all bands.
struct GridShape {
  int64_t columns = 1, rows = 1, groups = 1, tokenBlock = 1, microBatches = 1, batchesAtOnce = 1, bands = 1;

  int64_t tokens() const { return rows * groups * tokenBlock * microBatches; }
  int64_t rowsOfBand() const { return rows / bands; }
  int64_t cores() const { return columns * rows * groups; }
  bool operator==(const GridShape &other) const {
    auto tie = [](const GridShape &grid) { return std::tie(grid.columns, grid.rows, grid.groups, grid.tokenBlock, grid.microBatches, grid.batchesAtOnce, grid.bands); };
    return tie(*this) == tie(other);
  }
};

/// How weights travel.
struct WireCost {
  bool wide = false;    ///< f32 instead of 16-bit weights
  int perWavelet = 1;   ///< weights
  int waveletsEach = 1; ///< for so many weights: 2 where an index travels apart
  double density = 1;   ///< part of the weights that is sent
  double nonzeros = 1;  ///< part of what they meet that is multiplied
  bool hasBias = false; ///< one more weight for each row's owner
  bool isMasked = false; ///< rows of a mask pass the columns
  bool isImplicit = false; ///< of a sample: all positions, which the edge counts by itself
  bool groupsAdded = false; ///< of a sample: sums of groups are added on the wafer
  int64_t linkWords = 0; ///< of a row on MemoryX's link, where it does not travel as wavelets
  int64_t streams = 1;  ///< side by side, for batch entries that have weights of their own
  int64_t together = 1; ///< rows of an owner whose sums go together

  bool operator==(const WireCost &other) const {
    auto tie = [](const WireCost &wire) {
      return std::tie(wire.wide, wire.perWavelet, wire.waveletsEach, wire.density, wire.nonzeros, wire.hasBias, wire.isMasked, wire.isImplicit, wire.groupsAdded, wire.linkWords, wire.streams, wire.together);
    };
    return tie(*this) == tie(other);
  }
};

/// Cycles per output row of a contraction, by what may bind it.
struct RowCost {
  double issue = 0;  ///< instructions of one core: triggers, FMACs, its part of the sum
  double products = 0; ///< FMACs among them
  double ramp = 0;   ///< wavelets that come to a core: weights, commands and sums
  double link = 0;   ///< the way of partial sums along x, or weights down a column
  double ingest = 0; ///< wavelets of all columns through MemoryX's link; groups share those of a stream

  double cycles() const;
  const char *binds() const; ///< "issue", "link" or "ingest"
};

/// Two things that go on side by side; where they take about as long, each waits for the other now and then.
double sideBySide(double one, double other);

/// A row of `inFeatures` weights in f32 (one per wavelet) or 16 bits (two per wavelet).
RowCost contractionRow(const Machine &machine, const GridShape &grid, int64_t inFeatures, const WireCost &wire);

/// How many rows of one owner best have their sums passed on together: as many as the accumulator cache has room for, but `most`, unless fewer take no longer.
int64_t rowsTogether(const Machine &machine, const GridShape &grid, int64_t inFeatures, int64_t outFeatures, WireCost wire, int64_t most = INT64_MAX);

/// A whole contraction of one micro-batch: rows, the filling of the chain, and what it costs to begin.
double contractionCycles(const Machine &machine, const GridShape &grid, int64_t inFeatures, int64_t outFeatures, const WireCost &wire);

/// How sums of the last rows of a contraction come to their owner, when all columns have multiplied.
struct LastSums {
  int64_t owner = 0, columns = 1;
  double hop = 0;   ///< cycles from column to column
  double whole = 0; ///< of all that go together, behind the first

  double from(int64_t column) const { return column == owner ? 0 : hop * double(column < owner ? owner - column : column - owner) + whole; }
  double cycles() const { return columns < 2 ? 0 : hop * double(owner < columns - 1 - owner ? columns - 1 - owner : owner) + whole; }
};
LastSums lastSums(const Machine &machine, const GridShape &grid, int64_t outFeatures, int64_t together);

/// gamma and perhaps beta for each feature, in f32 if `wide`, no sum between columns.
double scaleCycles(const Machine &machine, const GridShape &grid, int64_t features, bool wide, bool hasBeta);

/// `operations` vector and `functions` nonlinear instructions over a core's block, in chunks.
double mapCycles(const Machine &machine, const GridShape &grid, int64_t featureBlock, int64_t operations, int64_t functions, int64_t chunkBytes);

/// Whether sums of the grid's groups should be added before they leave: there are cores below the grid to do it, as many rows as a group has columns, and the way past
/// the groups is not slower than the way out for all.
bool groupSumsPay(const Machine &machine, const GridShape &grid);

/// Sums over tokens at kept positions, for `out` rows of `in` features.
double sampleCycles(const Machine &machine, const GridShape &grid, int64_t in, int64_t out, const WireCost &wire);

/// Of them, what the way out needs.
double sampleLeavingCycles(const Machine &machine, const GridShape &grid, int64_t in, int64_t out, const WireCost &wire);

/// Whether the product of two activations over tokens, n x k, is cheaper as sums where both are than with one streamed past the other, which first brings both to MemoryX.
bool samplingPays(const Machine &machine, int64_t tokens, int64_t n, int64_t k);

/// Local sums, the chain along x, the multicast back.
double reduceCycles(const Machine &machine, const GridShape &grid, int64_t featureBlock);

/// From row to row, of what comes in.
double wayInCycles(const Machine &machine, const GridShape &grid);

/// Blocks of `elementBytes` per element between MemoryX and the cores, on the link those of `groups`.
double transferCycles(const Machine &machine, const GridShape &grid, int64_t groups, int64_t featureBlock, int64_t elementBytes, bool in);
/// What MemoryX's link needs of a scale, and of a row of a sample.
double scaleIngestCycles(const Machine &machine, int64_t features);
double sampleIngestCycles(const Machine &machine, const GridShape &grid, int64_t in, const WireCost &wire);
/// Wavelets that a core of the first row, or of the last one on the way out, hands on for all others, and cycles of its datapath in which it does.
double handedOnWavelets(const GridShape &grid, int64_t featureBlock, int64_t elementBytes);
double handOnCycles(const Machine &machine, const GridShape &grid, int64_t featureBlock, int64_t elementBytes);

} // namespace wafer

#endif // WAFER_ANALYSIS_CONTRACTIONCOST_H
