//===- SegmentCost.h - cycles and SRAM of a segment on a grid --------------===//
//
// What stream-assign-layout asks about each candidate. The SRAM figure counts the buffers that convert-stream-to-wafer makes (SegmentBuffers.h) and temporaries
// of map bodies. It is an estimate; the exact addresses come from wafer-allocate-sram.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_ANALYSIS_SEGMENTCOST_H
#define WAFER_ANALYSIS_SEGMENTCOST_H

#include "wafer/Analysis/ContractionCost.h"
#include "wafer/Analysis/SegmentBuffers.h"
#include "wafer/Dialect/Stream/Stream.h"

namespace wafer {

struct SegmentCost {
  double cycles = 0;        ///< all micro-batches
  double contractions = 0;  ///< cycles of contractions among them
  double transfers = 0;     ///< cycles in which cores wait for what goes from and to MemoryX among them
  double macs = 0;          ///< of contractions, if nothing were zero
  const char *binds = "";   ///< what binds the longest contraction
};

/// What a contraction's weight is on the wire in this format.
WireCost wireCost(stream::ContractOp contract, stream::TensorOp weight, stream::WireFormat format);

/// Reads a segment once; `estimate` is then cheap. Costs of the grid of one machine that was asked for last are kept, once for all kernels that are alike.
class SegmentModel {
public:
  explicit SegmentModel(stream::SegmentOp segment);
  /// Reads the order of the segment's kernels again: sends were moved since.
  void readOrder(stream::SegmentOp segment);

  /// How a candidate uses SRAM.
  struct Room {
    int64_t chunkBytes; ///< of a temporary of its maps
    bool isCompact;     ///< values that leave give up their place at once
    int64_t together;   ///< rows of one owner whose sums may be passed on together, at most
  };
  /// What takes so many bytes of SRAM from one kernel to another.
  struct Place {
    int64_t bytes, first, last;
  };
  SegmentCost estimate(const Machine &machine, const GridShape &grid, Room room) const;
  /// SRAM of live values and temporaries, at the worst kernel.
  int64_t valueBytes(const Machine &machine, const GridShape &grid, Room room) const;
  /// Cycles that cores are at work, all micro-batches: an estimate has no fewer.
  double cyclesAtWork(const Machine &machine, const GridShape &grid, Room room) const;
  /// SRAM of values and temporaries while each of the kernels is at work.
  llvm::SmallVector<int64_t> bytesOfKernels(const Machine &machine, const GridShape &grid, Room room) const;
  /// Cycles of a kernel of the segment by itself, in one micro-batch.
  double cyclesOf(mlir::Operation *kernel, const Machine &machine, const GridShape &grid, Room room) const;
  /// Of sends that go on in loads behind their own, which part has come at the end of each load but the last.
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<double>> partsOfSends(const Machine &machine, const GridShape &grid, Room room) const;
  int64_t tokens() const { return tokens_; }
  int64_t batches() const { return batches_; }
  /// Tokens of one batch entry: those that may share a micro-batch.
  int64_t entryTokens() const { return tokens_ / batches_; }
  /// Whether it adds over tokens: those that a grid has beside the tensor's must not be there, since they need not be 0.
  bool addsTokens() const;
  /// Whether batch entries have weights of their own, or sums.
  bool entriesHaveWeights() const;
  /// Greatest common divisor of what columns may have of heads of its attention, which the columns have to divide; 0: there is none.
  int64_t partsOfHeads() const { return partsOfHeads_; }
  /// Columns that share a head, of which there have to be a multiple.
  int64_t columnsOfHead() const;
  /// Distinct numbers of features, ascending.
  const std::vector<int64_t> &features() const { return features_; }
  /// Kernel whose result has most features.
  mlir::Operation *largest() const { return largest_; }
  /// Of each contraction of the segment, how many rows of an owner have their sums passed on together.
  llvm::SmallVector<int64_t> rowsTogether(const Machine &machine, const GridShape &grid, Room room) const;

private:
  struct Kernel {
    enum Kind { Send, Receive, Contract, Scale, Map, Reduce, Sample, Attend } kind;
    mlir::Operation *op;
    int64_t in = 0, out = 0;                ///< features
    int64_t elementBytes = 4;               ///< of what is sent or received
    WireCost wire;                          ///< of a contraction; of a scale, its width and whether it has a beta
    llvm::ArrayRef<int64_t> batchSizes, batchStrides; ///< of a contraction whose batch entries have weights of their own, of a sample sums
    stream::AttendOp attend;                ///< of attention
    int64_t operations = 0, functions = 0;  ///< of a map
    int64_t temporaries = 0;                ///< of a map, alive at once
    bool isSameForEveryBatch = false;       ///< of what is sent
    int64_t tokens = 0;                     ///< of the tensor that is sent
    size_t buffer = 0;                      ///< that it makes, or that leaves
    int64_t beside = 0;                     ///< kernels behind a send that its words come beside
    llvm::SmallVector<int64_t, 2> loadEnds; ///< of those, how many there are up to each end of a load
    size_t like = 0;                        ///< the same number for kernels that take the same on every grid
  };
  /// What is known of kernels that are alike on a grid.
  struct Known {
    std::optional<WireCost> wire;
    std::optional<double> cycles, ingest;
    int64_t chunkBytes = 0; ///< for which the cycles of a map are
  };
  struct Buffer {
    int64_t features, elementBytes, first, last;
    bool isContracted; ///< behind the block is room for rows that come with its last ones
  };

  int64_t groupsSent(const Kernel &send, const GridShape &grid) const;
  void readMap(stream::MapOp map, Kernel &kernel) const;
  void readBuffers(stream::SegmentOp segment);
  static bool areAlike(const Kernel &one, const Kernel &other);
  Known &knownOf(const Kernel &kernel, const GridShape &grid) const;
  const WireCost &wireOn(const Kernel &kernel, const Machine &machine, const GridShape &grid) const;
  /// What contractions take is asked for with so many rows together at most from now on.
  void limitTogether(int64_t most) const;
  double cyclesOf(const Kernel &kernel, const Machine &machine, const GridShape &grid, int64_t chunkBytes) const;
  double computedCycles(const Kernel &kernel, const Machine &machine, const GridShape &grid, int64_t chunkBytes) const;
  double ingestCycles(const Kernel &kernel, const Machine &machine, const GridShape &grid) const;
  double computedIngest(const Kernel &kernel, const Machine &machine, const GridShape &grid) const;
  /// Of all micro-batches; `each`: of a kernel, in one of them.
  /// `came`: of sends, which part of them has come at each end of a load that they go on over.
  double cyclesTogether(const Machine &machine, const GridShape &grid, bool isCompact, llvm::ArrayRef<double> each, llvm::DenseMap<mlir::Operation *, llvm::SmallVector<double>> *came = nullptr) const;
  std::vector<Place> placesOn(const Machine &machine, const GridShape &grid, Room room) const;

  std::vector<Kernel> kernels_;
  std::vector<Buffer> buffers_[2][2]; ///< where values that leave give their place up at once, or not; in one micro-batch, or several
  std::vector<int64_t> features_;
  int64_t tokens_ = 0, batches_ = 1, partsOfHeads_ = 0;
  mlir::Operation *largest_ = nullptr;
  size_t kinds_ = 0; ///< of kernels that are not alike
  mutable GridShape grid_;
  mutable int64_t together_ = INT64_MAX; ///< rows, at most
  mutable std::vector<Known> known_;     ///< on that grid
};

/// Control tasks of an image of these kernels.
int64_t estimateControlTasks(llvm::ArrayRef<mlir::Operation *> kernels);
/// SRAM for their code and descriptor templates, but for instructions of attention.
int64_t estimateCodeBytes(llvm::ArrayRef<mlir::Operation *> kernels);
/// Those, which depend on the grid.
int64_t attentionCodeBytes(const Machine &machine, const GridShape &grid, llvm::ArrayRef<mlir::Operation *> kernels);
/// The kernels of a segment as at most so many loads, whose code is about equally long.
llvm::SmallVector<llvm::SmallVector<mlir::Operation *>> loadsOf(stream::SegmentOp segment, int64_t loads);
/// The send that may go on in the next load, beside kernels that this begins with; null: there is none. `before`: the one that goes on in the load at hand.
stream::SendOp goingOn(stream::SendOp before, llvm::ArrayRef<mlir::Operation *> load, llvm::ArrayRef<mlir::Operation *> next);
/// Of kernels behind a send, those that its words come beside.
int64_t kernelsBeside(stream::SendOp send, llvm::ArrayRef<mlir::Operation *> behind);

} // namespace wafer

#endif // WAFER_ANALYSIS_SEGMENTCOST_H
