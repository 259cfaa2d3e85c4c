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

/// Leaves out what comes or leaves in so many periods, and returns how many of them that were.
uint64_t TimingIngress::leaveOutOthers(const Repetition::Period &period, uint64_t periods) {
  if (resultsWereLeaving_ && blocksWereComing_)
    return 0; // the two are sent as they are, until one of them ends
  return resultsWereLeaving_ ? leaveOutResults(period, periods) : blocksWereComing_ ? leaveOutBlocks(period, periods) : periods;
}

/// Results leave meanwhile: leaves out as many of those of missing rows, for as many of the periods as these last.
uint64_t TimingIngress::leaveOutResults(const Repetition::Period &period, uint64_t periods) {
  const Result &result = onTheWay_.front();
  const auto &relay = grid_.relays[result.step];
  if (!relay || period.others.left < ports())
    return 0;
  periods = std::min(periods, missing_.mostToLeaveOut(relay->first, false) * ports() / period.others.left);
  const uint64_t count = periods * period.others.left / ports() / 8 * 8; // groups of elements stay as they are
  return count > 0 && missing_.leaveOut(relay->first, false, count) ? periods : 0;
}

/// For rows that are missing, as long as enough come behind them that all ends as it does.
uint64_t TimingIngress::mostBlocksToSkip(const Blocks &blocks) const {
  const uint64_t here = phase_.grid->rows - missing_.cores.count + rowsThatDiffer;
  return phase_.grid->rows < blocks.place + here ? 0 : phase_.grid->rows - blocks.place - here;
}

/// Blocks come meanwhile: leaves out as many rows of them.
uint64_t TimingIngress::leaveOutBlocks(const Repetition::Period &period, uint64_t periods) {
  Blocks &blocks = beside_.front();
  const auto &relay = grid_.relays[blocks.step];
  if (!relay)
    return 0;
  const uint64_t wavelets = waveletsOfBlock(*phase_.steps[blocks.step]), ports = portsSent(blocks);
  const uint64_t most = std::min(mostBlocksToSkip(blocks), missing_.mostToLeaveOut(relay->first, true) / wavelets);
  if (period.others.came > 0)
    periods = std::min(periods, most * ports / period.others.came);
  const uint64_t owed = besideOwed_ + periods * period.others.came, rows = std::min(most, owed / ports);
  if (rows > 0 && !missing_.leaveOut(relay->first, true, rows * wavelets))
    return 0;
  blocks.place += rows;
  besideOwed_ = owed - rows * ports;
  return periods;
}

/// Leaves out blocks for rows that are missing, once they take as long as those before. Returns the cycles that were left out.
uint64_t TimingIngress::skipBlocks(Blocks &blocks, const Repetition &repetition) {
  const auto &relay = grid_.relays[blocks.step];
  const std::optional<Repetition::Period> period = relay ? repetition.period(3, 100) : std::nullopt;
  if (!period || !isWorthSkipping() || blocksAreOnTheWay())
    return 0;
  const uint64_t periods = mostBlocksToSkip(blocks) / period->count;
  if (periods == 0 || !missing_.leaveOut(relay->first, true, periods * period->count * waveletsOfBlock(*phase_.steps[blocks.step])))
    return 0;
  blocks.place += periods * period->count;
  skipped_ += periods * period->cycles;
  return periods * period->cycles;
}

} // namespace wafer
