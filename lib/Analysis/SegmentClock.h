//===- SegmentClock.h - what of a segment goes on at the same time ---------===//
//
// Commands are taken in order. What comes in holds up the commands behind it, unless it comes beside them, with what they leave of the link; what leaves does not, until its place in
// SRAM or the way out is wanted again.
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

  /// A kernel, or a send, which takes the link from MemoryX for `ingest` cycles.
  void compute(size_t buffer, double cycles, double ingest) {
    const double begin = now_;
    waitFor(buffer);
    now_ += cycles;
    comeSince(begin, ingest);
  }
  /// Sums that leave while they are made.
  void sample(double cycles, double leaves, double ingest) {
    const double begin = now_;
    out_ = std::max(out_, now_) + leaves;
    now_ = std::max(now_ + cycles, out_);
    comeSince(begin, ingest);
  }
  /// A send that takes the link for `cycles`, beside what follows, and the first row's cores, which hand it on, for `handed` of theirs.
  void sendAhead(size_t buffer, double cycles, double handed) {
    waitFor(buffer);
    now_ += handed;
    ahead_ = std::max(0.0, cycles - handed);
  }
  /// What follows needs all of it.
  void awaitAhead() {
    now_ += ahead_;
    ahead_ = 0;
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
  void comeSince(double begin, double ingest) { ahead_ = std::max(0.0, ahead_ - std::max(0.0, now_ - begin - ingest)); }

  llvm::SmallVector<double> free_;    ///< when what left a buffer was gone
  llvm::SmallVector<double> leaving_; ///< when each value was gone
  double now_ = 0, out_ = 0;
  double ahead_ = 0; ///< cycles of the link that what comes beside the rest still needs
  size_t leavingAtOnce_;
};

} // namespace wafer

#endif // WAFER_LIB_ANALYSIS_SEGMENTCLOCK_H
