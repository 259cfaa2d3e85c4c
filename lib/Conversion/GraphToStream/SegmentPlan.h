//===- SegmentPlan.h - which kernels share a segment ------------------------===//
//
// Kernels that run one after another on the wafer share a segment when their values have the same tokens and batch entries. What MemoryX streams or
// repeats has to be there before the segment begins, so its producer is in an earlier one.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_CONVERSION_GRAPHTOSTREAM_SEGMENTPLAN_H
#define WAFER_LIB_CONVERSION_GRAPHTOSTREAM_SEGMENTPLAN_H

#include "wafer/Analysis/WaferKernels.h"

#include <deque>
#include <vector>

namespace wafer {

struct PlannedKernel {
  mlir::Operation *op;
  WaferKernel kernel;

  /// Origins of what the kernel reads on the wafer; of these, what MemoryX repeats over the tokens when it sends it; and of what MemoryX streams to it.
  llvm::SmallVector<mlir::Value> activations() const;
  llvm::SmallVector<mlir::Value> repeated() const;
  llvm::SmallVector<mlir::Value> streamed() const;
};

struct PlannedSegment {
  int64_t tokens = 0, batches = 1;
  bool contracts = false; ///< holds a contraction, so that `batches` is fixed
  int64_t attended = 0;   ///< entries whose tokens attend to each other; 0: none do
  std::vector<PlannedKernel> kernels;

  bool takes(const WaferKernel &kernel) const;
  /// Batch entries of the segment. Where no contraction says so, as many as repeat what MemoryX repeats: tables of positions are then sent once for all.
  int64_t entries() const;
};

class SegmentPlan {
public:
  /// Puts a kernel into the first segment that can have it, or into a new last one. In program order.
  void add(mlir::Operation *op, const WaferKernel &kernel);
  const std::deque<PlannedSegment> &segments() const { return segments_; }

private:
  std::deque<PlannedSegment> segments_; ///< addresses stay
  llvm::DenseMap<mlir::Value, size_t> segmentOf_;
};

} // namespace wafer

#endif // WAFER_LIB_CONVERSION_GRAPHTOSTREAM_SEGMENTPLAN_H
