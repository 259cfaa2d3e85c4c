//===- SegmentClock.h - what of a segment goes on at the same time ---------===//
//
// Commands are taken in order. What comes in holds up the commands behind it; what leaves does not, until its place in SRAM or the way out is wanted again.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_ANALYSIS_SEGMENTCLOCK_H
#define WAFER_LIB_ANALYSIS_SEGMENTCLOCK_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <algorithm>

namespace wafer {

/// Cycles at which cores and links have done what they were told so far. Buffers are numbers.
class SegmentClock {
public:
  /// `leavingAtOnce`: values that can be on their way out before cores wait; 0: they wait for each.
  SegmentClock(size_t buffers, size_t leavingAtOnce) : free_(buffers, 0.0), leavingAtOnce_(leavingAtOnce) {}

  /// A kernel, or a send.
  void compute(size_t buffer, double cycles) {
    waitFor(buffer);
    now_ += cycles;
  }
  /// Sums that leave while they are made.
  void sample(double cycles, double leaves) {
    out_ = std::max(out_, now_) + leaves;
    now_ = std::max(now_ + cycles, out_);
  }
  void receive(size_t buffer, double cycles) {
    if (leaving_.size() >= leavingAtOnce_ && leavingAtOnce_ > 0)
      now_ = std::max(now_, leaving_[leaving_.size() - leavingAtOnce_]);
    out_ = std::max(out_, now_) + cycles;
    free_[buffer] = out_;
    leaving_.push_back(out_);
    if (leavingAtOnce_ == 0)
      now_ = out_;
  }
  double end() const { return std::max(now_, out_); }

private:
  void waitFor(size_t buffer) { now_ = std::max(now_, free_[buffer]); }

  llvm::SmallVector<double> free_;    ///< when what left a buffer was gone
  llvm::SmallVector<double> leaving_; ///< when each value was gone
  double now_ = 0, out_ = 0;
  size_t leavingAtOnce_;
};

} // namespace wafer

#endif // WAFER_LIB_ANALYSIS_SEGMENTCLOCK_H
