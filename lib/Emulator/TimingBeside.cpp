//===- TimingBeside.cpp - what comes and leaves beside other steps ----------===//
//
// Blocks that come beside the steps behind their send, and what is left out of them, and of results, with what is left out of those steps.
//
//===----------------------------------------------------------------------===//

#include "TimingIngress.h"

#include "Semantics.h"

#include <algorithm>

namespace wafer {

/// Blocks of a send that goes beside other steps are not among these, but for its command, and what comes behind those waits for it.
void TimingIngress::divide(Burst &burst) {
  if (besideSteps_ == 0) {
    burst.closesBeside = true;
    besideSteps_.reset();
    markOf(burst);
    closing_ = burst.tag;
  }
  if (step().beside == 0)
    return;
  burst.opensBeside = true;
  beside_.push_back(blocks_);
  besideSteps_ = step().beside + 1;
  endStep();
}

bool TimingIngress::nextBeside(Burst &burst) {
  Blocks &blocks = beside_.front();
  const bool isMarked = blocks.column == 0 && isBesideAwaited_;
  if (isMarked)
    if (const uint64_t cycles = skipBlocks(blocks, besideRepetitions_.back()); cycles > 0 && closing_ > 0)
      marks_[closing_ - 1].at += cycles;
  if (blocks.place == phase_.grid->rows) {
    beside_.pop_front();
    isBesideAwaited_ = false;
    besideOwed_ = 0;
    expectNext();
    return false;
  }
  burst = Burst();
  if (isMarked)
    markOf(burst).of = &besideRepetitions_.back();
  blockBurst(burst, blocks);
  ++others_.came;
  return true;
}

/// Sends that began meanwhile, up to the next one of which blocks come beside others.
void TimingIngress::expectNext() {
  for (bool isLast = false; !isLast && !expected_.empty(); expected_.pop_front()) {
    isLast = !beside_.empty() && expected_.front() == beside_.front().step;
    expect(expected_.front());
  }
}

void TimingIngress::awaitsBeside() {
  if (isBesideAwaited_ || beside_.empty())
    return;
  isBesideAwaited_ = true;
  besideRepetitions_.emplace_back(rowsThatDiffer);
}

/// Whether the same comes and leaves beside a step as when it was asked last.
bool TimingIngress::othersWentOn() {
  const bool leave = blocksAreOnTheWay(), come = !beside_.empty();
  const bool wentOn = leave == resultsWereLeaving_ && come == blocksWereComing_;
  resultsWereLeaving_ = leave;
  blocksWereComing_ = come;
  return wentOn;
}

/// Leaves out what comes or leaves in so many repetitions, a multiple of `step` at most, and returns how many of them that were.
uint64_t TimingIngress::leaveOutOthers(const Repetition::Period &period, uint64_t number, uint64_t step) {
  // All or nothing: each of them goes on as long as the periods that are left out.
  const uint64_t came = period.others.came, left = period.others.left;
  if (resultsWereLeaving_)
    number = left < ports() ? 0 : std::min(number, mostResultsToLeaveOut() * period.count / left);
  if (blocksWereComing_)
    number = !grid_.relays[beside_.front().step] ? 0 : came == 0 ? number : std::min(number, mostRowsToLeaveOut(beside_.front()) * portsSent(beside_.front()) * period.count / came);
  number -= number % step;
  if (resultsWereLeaving_)
    leaveOutResults(number * left / period.count);
  if (blocksWereComing_ && number > 0) {
    Blocks &blocks = beside_.front();
    besideOwed_ += number * came / period.count;
    const uint64_t rows = std::min(mostRowsToLeaveOut(blocks), besideOwed_ / portsSent(blocks));
    leaveOutRows(blocks, rows);
    besideOwed_ -= rows * portsSent(blocks);
  }
  return number;
}

/// Wavelets of results of missing rows, of all columns.
uint64_t TimingIngress::mostResultsToLeaveOut() const {
  const auto &relay = grid_.relays[onTheWay_.front().step];
  return relay ? missing_.mostToLeaveOut(relay->first, false) * ports() : 0;
}

void TimingIngress::leaveOutResults(uint64_t wavelets) {
  resultsOwed_ += wavelets;
  const uint64_t count = resultsOwed_ / ports() / 8 * 8; // groups of elements stay as they are
  if (count == 0)
    return;
  missing_.leaveOut(grid_.relays[onTheWay_.front().step]->first, false, count);
  resultsOwed_ -= count * ports();
}

/// Of blocks for missing rows, as long as enough come behind them that all ends as it does.
uint64_t TimingIngress::mostRowsToLeaveOut(const Blocks &blocks) const {
  const auto &relay = grid_.relays[blocks.step];
  const uint64_t here = phase_.grid->rows - missing_.cores.count + rowsThatDiffer;
  if (!relay || phase_.grid->rows < blocks.place + here)
    return 0;
  return std::min(phase_.grid->rows - blocks.place - here, missing_.mostToLeaveOut(relay->first, true) / waveletsOfBlock(*phase_.steps[blocks.step]));
}

void TimingIngress::leaveOutRows(Blocks &blocks, uint64_t rows) {
  if (rows == 0)
    return;
  missing_.leaveOut(grid_.relays[blocks.step]->first, true, rows * waveletsOfBlock(*phase_.steps[blocks.step]));
  blocks.place += rows;
}

/// Leaves out blocks for rows that are missing, once they take as long as those before. Returns the cycles that were left out.
uint64_t TimingIngress::skipBlocks(Blocks &blocks, const Repetition &repetition) {
  const std::optional<Repetition::Period> period = repetition.period(3, 100);
  if (!period || !isWorthSkipping())
    return 0;
  uint64_t periods = mostRowsToLeaveOut(blocks) / period->count;
  // Results of the steps before leave meanwhile.
  if (blocksAreOnTheWay()) {
    periods = period->others.left < ports() ? 0 : std::min(periods, mostResultsToLeaveOut() / period->others.left);
    leaveOutResults(periods * period->others.left);
  }
  leaveOutRows(blocks, periods * period->count);
  skipped_ += periods * period->cycles;
  return periods * period->cycles;
}

} // namespace wafer
