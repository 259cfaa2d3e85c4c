//===- TimingIngress.h - a phase's schedule without data --------------------===//
//
// The bursts of docs/spec/weight-stream.md with nothing but zeros in them. Rows of a weight are alike, rounds of them (one for each owner column), steps of a ring, and so are
// micro-batches: once the time from one to the next stays the same, those that follow are not sent, and their time is added instead.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_TIMINGINGRESS_H
#define WAFER_LIB_EMULATOR_TIMINGINGRESS_H

#include "MissingRows.h"
#include "wafer/Emulator/Timing.h"

#include <algorithm>
#include <deque>

namespace wafer {

/// Begins of things that repeat, in cycles.
class Repetition {
public:
  /// `differ`: so many of them are alike on average only; 0: each is as the others.
  explicit Repetition(uint64_t differ) : differ_(differ) {}
  /// What there was meanwhile: wavelets of results that left, bursts that came beside.
  struct Others {
    uint64_t left = 0, came = 0;
    Others operator-(const Others &before) const { return {left - before.left, came - before.came}; }
  };
  void add(uint64_t begin, const Others &others) {
    begins_.push_back(begin);
    others_.push_back(others);
  }
  /// So many of them take so many cycles from now on: they did `times` times, the same but for one part of `parts`.
  struct Period {
    uint64_t count = 0, cycles = 0;
    Others others;
  };
  std::optional<Period> period(unsigned times, uint64_t parts) const;

private:
  double errorOfMean(size_t count) const;

  const uint64_t differ_;
  std::vector<uint64_t> begins_;
  std::vector<Others> others_; ///< by then
};

/// When rows of a weight were sent, to each of its columns. They do not go on alike: one that waits for sums from afar falls behind the others, which have room to go on as
/// they did for a while. In the end all are as fast as the slowest.
class RowTimes {
public:
  /// `turn`: rows after which the owners are the same again. `first`: number of the first row. `before`: rows of the same step before something beside it began or ended, or null.
  RowTimes(uint64_t columns, uint64_t turn, uint64_t first, const RowTimes *before) : columns_(columns), turn_(turn), first_(first), before_(before) {}
  /// The latest of these and those before of which a period was found, or null.
  const RowTimes *known() const { return found_ ? this : before_; }
  /// The number of the next row.
  size_t begin() {
    rows_.push_back({std::vector<uint64_t>(columns_), 0, {}});
    return rows_.size() - 1;
  }
  void add(size_t row, uint64_t column, uint64_t cycle, const Repetition::Others &others) {
    rows_[row].sent[column] = cycle;
    rows_[row].others = others;
    ++rows_[row].columns;
    while (complete_ < rows_.size() && rows_[complete_].columns == columns_)
      ++complete_;
  }
  /// So many rows take so many cycles from now on: as many did up to the last one, and up to one before. They are turns, of at least `cycles`.
  std::optional<Repetition::Period> period(uint64_t cycles);

private:
  std::optional<Repetition::Period> periodAsBefore(uint64_t cycles) const;
  struct Row {
    std::vector<uint64_t> sent; ///< by column, in cycles
    uint64_t columns;           ///< to which it was sent
    Repetition::Others others;  ///< by then
  };
  uint64_t lasted(size_t row, size_t count) const;

  const uint64_t columns_, turn_, first_;
  const RowTimes *const before_;
  std::optional<Repetition::Period> found_;
  std::vector<Row> rows_;
  size_t complete_ = 0;
};

/// What of a phase's grid is simulated.
struct TimingGrid {
  uint32_t groups = 1;   ///< of all, some stand for others
  uint64_t cores = 0;   ///< that are left
  uint32_t inFront = 0;  ///< wavelets that have room between the edge and a core of the first row
  uint32_t egress = 1;   ///< wavelets that leave in a cycle
  std::vector<uint32_t> sent; ///< by step: groups that differ in what a send brings them, of all
  /// By step: what it sends to rows that are missing, and on which colour.
  std::vector<std::optional<std::pair<uint8_t, MissingRows::Relay>>> relays;
};

/// Of `all`, how many the number `which` of `some` stands for.
inline uint32_t shareOf(uint32_t all, uint32_t some, uint32_t which) { return all / some + (which < all % some); }

/// Weights of a row in a column that are sent.
uint64_t keptInColumn(const TimingOptions &options, const wexe::StepT &step, uint64_t columns, uint64_t row, uint64_t column);
/// Whether a step sends indices, of weights that are kept.
bool isIndexed(const wexe::StepT &step);
/// Words of a row of so many on MemoryX's link, of a step whose rows do not travel as wavelets.
uint64_t wordsOfRow(const wexe::StepT &step, uint64_t kept);

class TimingIngress final : public Ingress {
public:
  TimingIngress(const wexe::PhaseT &phase, const TimingOptions &options, TimingGrid grid, MissingRows &missing)
      : phase_(phase), options_(options), grid_(std::move(grid)), missing_(missing) {}
  bool next(Burst &burst) override;
  bool nextBeside(Burst &burst) override;
  void awaitsBeside() override;
  void sent(uint32_t tag, uint64_t cycle) override;
  /// Wavelets of a colour left the south edge.
  void left(uint8_t colour, uint64_t count);

  /// Cycles of what was not sent.
  uint64_t skipped() const { return skipped_; }
  /// What rows took that were not sent, if any were not.
  const std::optional<Repetition::Period> &pace() const { return pace_; }
  /// When a step began in the first micro-batch, and its cycles in all of them.
  struct Span {
    uint64_t begin = 0, cycles = 0;
  };
  /// Of all steps, when the run ended at `end`, with what was skipped.
  std::vector<Span> spans(uint64_t end) const;

private:
  static constexpr uint64_t rowsThatDiffer = 16; ///< rows of blocks that are alike on average
  /// A burst whose time is of interest.
  struct Mark {
    uint64_t at = 0;      ///< begins as what was skipped before it
    int step = -1;        ///< that begins with it
    uint64_t repeats = 0; ///< micro-batches that were not sent before it
    Repetition *of = nullptr;
    RowTimes *rows = nullptr; ///< of which it is a column of the row
    size_t row = 0;
    uint64_t column = 0;
  };

  /// A send's, one port after the other for the cores from the north on; the next one.
  struct Blocks {
    size_t step = 0;
    uint64_t place = 0, column = 0; ///< core of the port, port
  };

  const wexe::StepT &step() const { return *phase_.steps[step_]; }
  void endStep();
  void divide(Burst &burst);
  void expect(size_t step);
  void expectNext();
  bool startStep(Burst &burst);
  bool continueStep(Burst &burst);
  bool sendBurst(Burst &burst);
  void blockBurst(Burst &burst, Blocks &blocks) const;
  uint64_t portsSent(const Blocks &blocks) const { return uint64_t(phase_.grid->columns) * std::min(grid_.sent[blocks.step], grid_.groups); }
  const std::vector<uint64_t> &kept(uint64_t row);
  bool sampleBurst(Burst &burst);
  bool weightBurst(Burst &burst);
  void rowBurst(Burst &burst);
  bool isMasked() const { return step().kind == wexe::StepKind::Contract && step().output_zeros > 0; }
  void maskBurst(Burst &burst);
  uint64_t roundsThatDiffer() const;
  void skipMicroBatches();
  void skipRounds();
  uint64_t roundLength(uint64_t place) const;
  uint64_t rowsOfRound() const;
  bool roundsAreSettled() const;
  uint64_t ports() const { return uint64_t(phase_.grid->columns) * grid_.groups; }
  bool roundsAreLong() const;
  bool isWorthSkipping() const;
  bool blocksAreOnTheWay();
  bool othersWentOn();
  bool hasOthers() const { return resultsWereLeaving_ || blocksWereComing_; }
  uint64_t leaveOutOthers(const Repetition::Period &period, uint64_t number, uint64_t step);
  uint64_t mostResultsToLeaveOut() const;
  void leaveOutResults(uint64_t wavelets);
  uint64_t mostRowsToLeaveOut(const Blocks &blocks) const;
  void leaveOutRows(Blocks &blocks, uint64_t rows);
  uint64_t skipBlocks(Blocks &blocks, const Repetition &repetition);
  void skipCommands();
  uint64_t rowsOfStep() const;
  void skipRows();
  void forgetRows(bool isSameStep);
  void beginRow(Burst &burst);
  void markRow(Burst &burst);
  uint64_t waveletsOfBlock(const wexe::StepT &step) const;
  void nextRow();
  void aim(Burst &burst, uint8_t colour, uint64_t first, uint16_t step, uint64_t count) const;
  uint64_t wavelets(uint64_t row, uint64_t column);
  Mark &markOf(Burst &burst);

  const wexe::PhaseT &phase_;
  const TimingOptions &options_;
  const TimingGrid grid_;
  MissingRows &missing_;
  uint64_t skipped_ = 0, now_ = 0; ///< cycles that were left out, and the last one that is known

  uint32_t microBatch_ = 0;
  size_t step_ = 0;
  bool began_ = false; ///< the step did
  Blocks blocks_; ///< of a Send
  // Contract and Scale: local row, owner column, and the column whose weights come next.
  uint64_t place_ = 0, owner_ = 0, column_ = 0;
  uint64_t sent_ = 0; ///< wavelets of the step, before those of the round, over all columns
  bool biasIsNext_ = false;
  bool resultsWereLeaving_ = false, blocksWereComing_ = false; ///< when the round before began
  uint32_t commands_ = 0; ///< sent behind the first
  uint64_t masked_ = 0; ///< columns that got their command for the mask of a contraction's row
  std::vector<uint64_t> kept_; ///< by column, of the row of the step that was asked for last
  uint64_t keptRow_ = UINT64_MAX;
  uint32_t linkWords_ = 0; ///< of rows, until a burst has them
  uint32_t streams_ = 1; ///< weights that batch entries of the step stream side by side, for each of which a burst stands
  /// What cores are to send in a Receive step that began.
  struct Result {
    size_t step;
    uint64_t wavelets; ///< of all columns
  };
  std::deque<Result> onTheWay_;
  Repetition::Others others_; ///< so far
  std::deque<Blocks> beside_; ///< of sends that go beside other steps
  std::optional<uint32_t> besideSteps_; ///< that are left of those for the last of them
  std::deque<size_t> expected_; ///< sends that began while they were not all in
  uint64_t besideOwed_ = 0;   ///< bursts that should have been left out with what was, less than a row of them
  uint64_t resultsOwed_ = 0;  ///< wavelets of results, as well, less than a few of each column
  uint32_t closing_ = 0;      ///< tag of the burst that waits for them
  bool isBesideAwaited_ = false; ///< nothing else goes in
  std::deque<Repetition> besideRepetitions_; ///< of their rows then; the last is that of what is sent
  std::deque<Repetition> repetitions_; ///< the first is that of micro-batches; then one for the rounds of each step that came
  std::deque<RowTimes> rowTimes_;      ///< the last is of what is sent
  size_t row_ = 0;                     ///< of it
  std::optional<Repetition::Period> pace_;
  std::deque<Mark> marks_;             ///< by tag - 1
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_TIMINGINGRESS_H
