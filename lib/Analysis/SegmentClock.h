//===- SegmentClock.h - what of a segment goes on at the same time ---------===//
//
// Commands are taken in order. What comes in holds up the commands behind it, unless it comes beside them, with what they leave of the link; what leaves does not, until its place in
// SRAM or the way out is wanted again. Cores are not all equally far: the last row has what comes in later than the first one, and the column that owns the last row of a contraction gets
// sums that the others have sent before. Who is behind stays so, and what comes or goes next does not wait for the same way again.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_ANALYSIS_SEGMENTCLOCK_H
#define WAFER_LIB_ANALYSIS_SEGMENTCLOCK_H

#include "wafer/Analysis/ContractionCost.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <algorithm>

namespace wafer {

/// Cycles at which cores and links have done what they were told so far. Buffers are numbers.
class SegmentClock {
public:
  /// `leavingAtOnce`: values that can be on their way out before cores wait; 0: they wait for each.
  SegmentClock(size_t buffers, size_t leavingAtOnce) : free_(buffers, 0.0), leavingAtOnce_(leavingAtOnce) {}

  /// What cores do in a kernel, or a send.
  struct Work {
    double cycles = 0;
    double ingest = 0;   ///< in which it takes the link from MemoryX
    double slack = 0;    ///< in which cores wait for the link or for each other
    double datapath = 1; ///< part of the rest in which they need the datapath
    double ramp = 0;     ///< wavelets that come to each of them
  };
  void compute(size_t buffer, const Work &work) {
    const double begin = now_;
    waitFor(buffer);
    now_ += besideRelays(work);
    comeSince(begin, work.ingest);
  }
  /// A kernel that ends with sums on their way to the owner of the last row, for which only those wait who read its result.
  void contract(size_t buffer, Work work, const LastSums &sums) {
    work.cycles -= sums.cycles();
    compute(buffer, work);
    awaited_ = std::max(sums.cycles(), behind_ + sums.from(late_));
    owner_ = sums.owner;
  }
  /// What follows reads the result of the last contraction.
  void awaitSums() {
    if (awaited_ > behind_) {
      now_ += awaited_ - behind_;
      behind_ = awaited_;
      late_ = owner_;
    }
    awaited_ = 0;
  }
  /// A kernel in which all columns wait for each other.
  void gather(size_t buffer, const Work &work) {
    compute(buffer, work);
    behind_ = 0;
  }
  /// A value that comes `cycles` after its command, the last `way` of them from row to row.
  void send(size_t buffer, double cycles, double way) {
    waitFor(buffer);
    const double first = now_ - south_ + cycles - way, last = std::max(now_, first + way);
    behind_ = std::max(0.0, behind_ - (last - now_));
    south_ = last - first;
    now_ = last;
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
  /// Cycles that the link still needs for it.
  double ahead() const { return ahead_; }
  /// What follows needs all of it.
  void awaitAhead() {
    now_ += ahead_;
    ahead_ = 0;
  }
  /// A value on its way out.
  struct Leaving {
    double cycles = 0;
    double ofColumn = 0; ///< cycles of a column's blocks, when all others are gone
    double wavelets = 0; ///< that a core of the last row hands on
    double datapath = 0; ///< cycles in which it needs the datapath for them
  };
  void receive(size_t buffer, const Leaving &value) {
    if (leaving_.size() >= leavingAtOnce_ && leavingAtOnce_ > 0)
      waitUntil(leaving_[leaving_.size() - leavingAtOnce_]);
    if (out_ <= now_)
      relayed_ = {};
    relayed_.wavelets += value.wavelets;
    relayed_.datapath += value.datapath;
    const double others = now_ - behind_;
    out_ = std::max(std::max(out_, others) + value.cycles, std::max(out_, others + std::max(behind_, awaited_)) + value.ofColumn);
    free_[buffer] = out_;
    leaving_.push_back(out_);
    if (leavingAtOnce_ == 0)
      waitUntil(out_);
  }
  double end() const { return std::max(now_, out_); }

private:
  /// All cores do.
  void waitUntil(double cycle) {
    if (cycle <= now_)
      return;
    now_ = cycle;
    behind_ = awaited_ = south_ = 0;
  }
  void waitFor(size_t buffer) { waitUntil(free_[buffer]); }
  /// Cycles of a kernel in the last row, whose cores hand on meanwhile what is on its way out.
  double besideRelays(const Work &work) {
    if (out_ <= now_)
      return work.cycles;
    const double part = std::min(1.0, work.cycles / (out_ - now_)), datapath = part * relayed_.datapath, wavelets = part * relayed_.wavelets;
    relayed_.datapath -= datapath;
    relayed_.wavelets -= wavelets;
    return sideBySide(work.cycles + std::max(0.0, work.datapath * datapath - work.slack), work.ramp + wavelets);
  }
  void comeSince(double begin, double ingest) { ahead_ = std::max(0.0, ahead_ - std::max(0.0, now_ - begin - ingest)); }

  llvm::SmallVector<double> free_;    ///< when what left a buffer was gone
  llvm::SmallVector<double> leaving_; ///< when each value was gone
  double now_ = 0; ///< of the core that is furthest behind
  double out_ = 0; ///< when all that leaves is gone
  double south_ = 0;  ///< how far the last row is behind the first one
  double behind_ = 0; ///< how far a column is behind the others
  int64_t late_ = 0;  ///< which
  double awaited_ = 0; ///< how far the owner of the last row of the last contraction would be, if it waited for its sums
  int64_t owner_ = 0;
  Leaving relayed_;   ///< what is still on its way out
  double ahead_ = 0;  ///< cycles of the link that what comes beside the rest still needs
  size_t leavingAtOnce_;
};

} // namespace wafer

#endif // WAFER_LIB_ANALYSIS_SEGMENTCLOCK_H
