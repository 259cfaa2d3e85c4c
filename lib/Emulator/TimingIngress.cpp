//===- TimingIngress.cpp - a phase's schedule without data ------------------===//

#include "TimingIngress.h"

#include "Semantics.h"
#include "TimingParts.h"
#include "wafer/Machine/BatchEntries.h"
#include "wafer/Machine/FeatureLayout.h"
#include "wafer/Machine/RowOrder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace wafer {

namespace {

constexpr uint64_t fewCoreCycles = 2'000'000;
constexpr uint32_t lastCommands = 16; ///< behind which the edge looks for what comes next
constexpr uint64_t fewCycles = 2048;              ///< too few to say how long rows take
constexpr uint64_t lastRows = 4, lastCycles = 4096; ///< of a weight, which are sent as they are: at least so many, for so long
constexpr size_t leastForMean = 4; ///< repetitions that differ, of which as many before took as long
constexpr double keptForMean = 16384; ///< weights that a column keeps in as many rounds as are alike

} // namespace

/// Whether they are the same but for one part of `parts`.
static bool near(uint64_t a, uint64_t b, uint64_t parts) { return (a > b ? a - b : b - a) * parts <= a; }

/// The standard error of the mean of the last `count`, of pairs of which neighbours take turns, as a part of it.
double Repetition::errorOfMean(size_t count) const {
  const size_t pairs = count / 2, n = begins_.size();
  const double mean = static_cast<double>(begins_[n - 1] - begins_[n - 1 - 2 * pairs]) / static_cast<double>(pairs);
  double squares = 0;
  for (size_t i = 0; i < pairs; ++i) {
    const double difference = static_cast<double>(begins_[n - 1 - 2 * i] - begins_[n - 3 - 2 * i]) - mean;
    squares += difference * difference;
  }
  return std::sqrt(squares / static_cast<double>((pairs - 1) * pairs)) / mean;
}

std::optional<Repetition::Period> Repetition::period(unsigned times, uint64_t parts) const {
  const size_t n = begins_.size();
  auto lasted = [&](size_t from, size_t count) { return begins_[from] - begins_[from - count]; };
  auto others = [&](size_t from, size_t count) { return others_[from] - others_[from - count]; };
  // A few may take turns, as owners of odd and even rows do.
  for (size_t count : {1, 2, 4}) {
    if (differ_ || n < times * count + 1)
      continue;
    const uint64_t last = lasted(n - 1, count);
    bool isSame = true;
    for (unsigned i = 1; i < times; ++i)
      isSame &= near(last, lasted(n - 1 - i * count, count), parts) && near(others(n - 1, count).left, others(n - 1 - i * count, count).left, 100);
    if (isSame)
      return Period{count, last, others(n - 1, count)};
  }
  // Rows of a sparse weight differ; their mean does not. Where they hardly differ, few of them tell it.
  for (size_t count = leastForMean; differ_; count *= 2) {
    count = std::min<size_t>(count, differ_);
    if (n <= 2 * count)
      break;
    const uint64_t last = lasted(n - 1, count);
    const Others meanwhile = others(n - 1, count);
    const bool isSure = count == differ_ ? near(last, lasted(n - 1 - count, count), 100) : near(last, lasted(n - 1 - count, count), 200) && errorOfMean(2 * count) <= 0.005;
    if (isSure && near(meanwhile.left, others(n - 1 - count, count).left, 50))
      return Period{count, last, meanwhile};
    if (count == differ_)
      break;
  }
  return std::nullopt;
}

/// Of the slowest column, the last `count` rows up to this one.
uint64_t RowTimes::lasted(size_t row, size_t count) const {
  uint64_t most = 0;
  for (uint64_t column = 0; column < columns_; ++column)
    most = std::max(most, rows_[row].sent[column] - rows_[row - count].sent[column]);
  return most;
}

/// As before something beside the step began or ended, where as many rows of the same owners still take as long.
std::optional<Repetition::Period> RowTimes::periodAsBefore(uint64_t cycles) const {
  const size_t count = turn_ / 4 + 1;
  if (!before_ || complete_ < count + 1 || lasted(complete_ - 1, count) < cycles / 2)
    return std::nullopt;
  const size_t last = complete_ - 1;
  size_t then = before_->complete_ - 1;
  while (then > count && (first_ + last) % turn_ != (before_->first_ + then) % turn_)
    --then;
  if (then <= count || !near(lasted(last, count), before_->lasted(then, count), 500))
    return std::nullopt;
  // What goes on beside it is not what it was.
  const Repetition::Others others = rows_[last].others - rows_[last - count].others;
  const Repetition::Period &found = *before_->found_;
  return Repetition::Period{found.count, found.cycles, {others.left * found.count / count, others.came * found.count / count}};
}

std::optional<Repetition::Period> RowTimes::period(uint64_t cycles) {
  if (const auto known = periodAsBefore(cycles))
    return found_ = known;
  size_t count = turn_;
  while (count < complete_ && lasted(complete_ - 1, count) < cycles)
    count += turn_;
  const size_t between = count / 4 + 1;
  if (complete_ < count + between + 1)
    return std::nullopt;
  const size_t last = complete_ - 1, before = last - between;
  const Repetition::Others others = rows_[last].others - rows_[last - count].others;
  if (!near(lasted(last, count), lasted(before, count), 1000) || !near(others.left, (rows_[before].others - rows_[before - count].others).left, 50))
    return std::nullopt;
  return found_ = Repetition::Period{count, lasted(last, count), others};
}

uint64_t drawKept(uint64_t valid, double density, uint64_t row, uint64_t column) {
  if (density >= 1)
    return valid;
  uint64_t state = row * 0x9e3779b97f4a7c15 + column * 0xd1b54a32d192ed03 + 1, kept = 0;
  for (uint64_t k = 0; k < valid; ++k) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    kept += static_cast<double>(state * 0x2545f4914f6cdd1d >> 11) * 0x1p-53 < density;
  }
  return kept;
}

uint64_t keptInColumn(const TimingOptions &options, const wexe::StepT &step, uint64_t columns, uint64_t row, uint64_t column) {
  return options.kept ? options.kept(step, row, column) : drawKept(featuresInColumn(step.columns, columns, column), options.density ? options.density(step) : 1, row, column);
}

uint64_t wordsOfRow(const wexe::StepT &step, uint64_t kept) {
  // Blocks that are kept are taken to be full.
  return linkForm(step).words(step.columns, kept, byteSize(elementType(step.type)) * 8);
}

TimingIngress::Mark &TimingIngress::markOf(Burst &burst) {
  if (burst.tag == 0) {
    marks_.emplace_back().at = skipped_;
    burst.tag = static_cast<uint32_t>(marks_.size());
  }
  return marks_[burst.tag - 1];
}

void TimingIngress::sent(uint32_t tag, uint64_t cycle) {
  Mark &mark = marks_[tag - 1];
  mark.at += cycle;
  now_ = cycle;
  if (mark.of)
    mark.of->add(mark.at, others_);
  if (mark.rows)
    mark.rows->add(mark.row, mark.column, mark.at, others_);
}

/// To `count` columns of each group.
void TimingIngress::aim(Burst &burst, uint8_t colour, uint64_t first, uint16_t step, uint64_t count) const {
  burst.colour = colour;
  burst.firstPort = static_cast<uint16_t>(phase_.grid->x0 + first);
  burst.portStep = step;
  burst.portCount = static_cast<uint16_t>(count);
}

bool TimingIngress::next(Burst &burst) {
  if (repetitions_.empty())
    repetitions_.emplace_back(0);
  while (microBatch_ < phase_.grid->micro_batches && !phase_.steps.empty()) {
    std::vector<uint32_t> data = std::move(burst.data);
    data.clear();
    burst = Burst();
    burst.data = std::move(data);
    if (began_ ? continueStep(burst) : startStep(burst)) {
      divide(burst);
      return true;
    }
    endStep();
  }
  return false;
}

void TimingIngress::endStep() {
  began_ = false;
  if (besideSteps_ && *besideSteps_ > 0)
    --*besideSteps_;
  if (++step_ == phase_.steps.size()) {
    step_ = phase_.prologue;
    ++microBatch_;
  }
}

/// A step's first burst.
bool TimingIngress::startStep(Burst &burst) {
  const uint32_t before = microBatch_;
  if (step_ == phase_.prologue)
    skipMicroBatches();
  began_ = true;
  place_ = owner_ = column_ = masked_ = 0;
  biasIsNext_ = false;
  keptRow_ = UINT64_MAX;
  sent_ = 0;
  commands_ = 0;
  streams_ = static_cast<uint32_t>(streamsAtOnce(step().batch_sizes, step().batch_strides, phase_.grid->batches_at_once));
  if (step().kind == wexe::StepKind::Contract || step().kind == wexe::StepKind::Scale || step().kind == wexe::StepKind::Sample) {
    forgetRows(/*isSameStep=*/false);
    if (!weightBurst(burst))
      return false;
  } else {
    aim(burst, phase_.command_colour, 0, 1, uint64_t(phase_.grid->columns) * grid_.groups);
    burst.control = step().task;
    blocks_ = {step_, 0, 0};
    if (step().kind == wexe::StepKind::Send)
      repetitions_.emplace_back(rowsThatDiffer);
    if (step().kind == wexe::StepKind::Command)
      repetitions_.emplace_back(0);
    if (step().kind == wexe::StepKind::Receive)
      onTheWay_.push_back({step_, waveletsOfBlock(step()) * phase_.grid->rows * ports()});
    if (step().kind == wexe::StepKind::Send && !beside_.empty())
      expected_.push_back(step_);
    else
      expect(step_);
  }
  Mark &mark = markOf(burst);
  mark.step = static_cast<int>(step_);
  if (step_ == phase_.prologue) {
    mark.repeats = microBatch_ - before;
    mark.of = &repetitions_.front();
  }
  return true;
}

/// A step's blocks come next on their colour.
void TimingIngress::expect(size_t step) {
  if (const auto &relay = grid_.relays[step])
    missing_.expect(relay->first, relay->second);
}

bool TimingIngress::continueStep(Burst &burst) {
  switch (step().kind) {
  case wexe::StepKind::Send:
    return sendBurst(burst);
  case wexe::StepKind::Contract:
  case wexe::StepKind::Scale:
  case wexe::StepKind::Sample:
    return weightBurst(burst);
  case wexe::StepKind::Command:
    ++commands_;
    skipCommands();
    if (commands_ >= step().times)
      return false;
    aim(burst, phase_.command_colour, 0, 1, uint64_t(phase_.grid->columns) * grid_.groups);
    burst.control = step().task;
    if (commands_ > grid_.inFront) {
      markOf(burst).of = &repetitions_.back();
      // Whether more like it need be sent is known then. Nothing behind it could overtake it.
      burst.isAwaited = commands_ + lastCommands < step().times;
    }
    return true;
  case wexe::StepKind::Receive:
    return false;
  }
  return false;
}

/// Of one core, in a step that sends or receives.
uint64_t TimingIngress::waveletsOfBlock(const wexe::StepT &step) const {
  const uint64_t perWavelet = elementsPerWavelet(step.type);
  return (uint64_t(step.feature_block) * phase_.grid->token_block + perWavelet - 1) / perWavelet;
}

void TimingIngress::left(uint8_t colour, uint64_t count) {
  others_.left += count;
  for (Result &result : onTheWay_)
    if (phase_.steps[result.step]->colour == colour && result.wavelets > 0) {
      result.wavelets -= std::min(result.wavelets, count);
      break;
    }
  for (; !onTheWay_.empty() && onTheWay_.front().wavelets == 0; onTheWay_.pop_front())
    resultsOwed_ = 0;
}

/// Whether cores still hand on results.
bool TimingIngress::blocksAreOnTheWay() {
  for (size_t i = 0; i < onTheWay_.size(); ++i)
    if (const auto &relay = grid_.relays[onTheWay_[i].step])
      if (const uint64_t count = missing_.takeLeftOut(relay->first); count > 0)
        onTheWay_[i].wavelets -= std::min(onTheWay_[i].wavelets, count);
  return !onTheWay_.empty();
}

bool TimingIngress::sendBurst(Burst &burst) {
  if (blocks_.column == 0)
    skipBlocks(blocks_, repetitions_.back());
  if (blocks_.place == phase_.grid->rows)
    return false;
  if (blocks_.column == 0)
    markOf(burst).of = &repetitions_.back();
  blockBurst(burst, blocks_);
  return true;
}

/// The block of one core.
void TimingIngress::blockBurst(Burst &burst, Blocks &blocks) const {
  const wexe::StepT &step = *phase_.steps[blocks.step];
  // Of groups that stand for all, one burst takes the room of those that differ; of all groups, it goes to those that do not.
  const uint32_t differ = grid_.sent[blocks.step], groups = std::min(differ, grid_.groups);
  aim(burst, step.colour, blocks.column, static_cast<uint16_t>(groups * phase_.grid->columns), grid_.groups / groups);
  burst.data.assign(waveletsOfBlock(step), 0);
  burst.copies = shareOf(differ, groups, static_cast<uint32_t>(blocks.column / phase_.grid->columns));
  if (++blocks.column == portsSent(blocks)) {
    blocks.column = 0;
    ++blocks.place;
  }
}

const std::vector<uint64_t> &TimingIngress::kept(uint64_t row) {
  if (row != keptRow_) {
    kept_.resize(phase_.grid->columns);
    for (uint64_t column = 0; column < kept_.size(); ++column)
      kept_[column] = keptInColumn(options_, step(), kept_.size(), row, column);
    keptRow_ = row;
  }
  return kept_;
}

uint64_t TimingIngress::wavelets(uint64_t row, uint64_t column) {
  const uint64_t valid = featuresInColumn(step().columns, phase_.grid->columns, column);
  switch (step().wire) {
  case wexe::WireFormat::Dense32:
    return valid;
  case wexe::WireFormat::Packed16:
    return (valid + 1) / 2;
  case wexe::WireFormat::Packed8:
    return (valid + 3) / 4;
  case wexe::WireFormat::Indexed16:
  case wexe::WireFormat::Indexed32: {
    return (step().wire == wexe::WireFormat::Indexed32 ? 2 : 1) * kept(row)[column];
  }
  }
  return valid;
}

bool isIndexed(const wexe::StepT &step) { return step.kind == wexe::StepKind::Sample || step.wire == wexe::WireFormat::Indexed16 || step.wire == wexe::WireFormat::Indexed32; }

/// Rounds of a sparse weight over which a column's share of it is the mean; 0: it is not sparse.
uint64_t TimingIngress::roundsThatDiffer() const {
  const double density = options_.density ? options_.density(step()) : 1.0;
  if (!isIndexed(step()) || density >= 1)
    return 0;
  const double each = std::max(1.0, density * static_cast<double>(step().columns) / phase_.grid->columns);
  return std::clamp<uint64_t>(static_cast<uint64_t>(keptForMean / (each * static_cast<double>(rowsOfRound()))) + 1, 2, 32);
}

/// A Sample step's indices follow two rows behind its commands, weights one row behind those for their mask.
uint64_t TimingIngress::rowsOfStep() const { return step().rows + (step().kind == wexe::StepKind::Sample ? 2u : isMasked() ? 1u : 0u); }

/// Rows of the round with this number.
uint64_t TimingIngress::roundLength(uint64_t place) const {
  const uint64_t most = rowsOfRound(), before = place * most, rows = rowsOfStep();
  return before >= rows ? 0 : std::min<uint64_t>(most, rows - before);
}

uint64_t TimingIngress::rowsOfRound() const { return uint64_t(phase_.grid->columns) * step().rows_together; }

void TimingIngress::nextRow() {
  column_ = masked_ = 0;
  if (++owner_ < roundLength(place_))
    return;
  owner_ = 0;
  ++place_;
}

/// False when the column gets nothing.
bool TimingIngress::sampleBurst(Burst &burst) {
  const uint64_t row = place_ * phase_.grid->columns + owner_, column = column_;
  aim(burst, phase_.command_colour, column, phase_.grid->columns, grid_.groups);
  const uint64_t positions = row >= 2 ? kept(row - 2)[column] : 0;
  if (step().pattern < 0) {
    // All of them are one run, which the edge knows by itself.
    burst.data.assign(positions > 0, static_cast<uint32_t>(positions - 1));
    burst.linkWords = 0;
  } else {
    burst.data.assign(positions, 0);
  }
  if (row < step().rows)
    burst.control = column < owner_ ? step().task_west : column > owner_ ? step().task_east : step().task_own;
  else if (row == step().rows)
    burst.control = step().task;
  sent_ += burst.data.size() + 1;
  markRow(burst);
  if (++column_ == phase_.grid->columns)
    nextRow();
  return burst.control || !burst.data.empty();
}

/// Whether the edge goes on as cores do. At first they are still at work on what came before.
bool TimingIngress::roundsAreSettled() const { return sent_ > grid_.inFront * uint64_t(phase_.grid->columns); }

/// A round in which cores take many times what lies in front of them is settled all the more.
bool TimingIngress::roundsAreLong() const { return sent_ > 16 * place_ * grid_.inFront * phase_.grid->columns; }

/// What is simulated in no time is simulated as it is.
bool TimingIngress::isWorthSkipping() const { return now_ * grid_.cores > fewCoreCycles; }

/// One column's command for the mask's next row, ahead of the weights of the row before.
void TimingIngress::maskBurst(Burst &burst) {
  const uint64_t columns = phase_.grid->columns, place = place_ * columns + owner_, column = masked_++;
  aim(burst, phase_.command_colour, column, phase_.grid->columns, grid_.groups);
  burst.copies = place == 0 ? 1 : streams_;
  if (place == step().rows) {
    burst.control = step().mask_last;
  } else {
    const uint64_t owner = streamedRow(place, step().rows, columns) % columns;
    burst.control = column < owner ? step().mask_west : column > owner ? step().mask_east : step().mask_own;
  }
  if (place == 0 && masked_ == columns)
    nextRow();
}

bool TimingIngress::weightBurst(Burst &burst) {
  if (column_ == 0 && masked_ == 0 && !biasIsNext_)
    beginRow(burst);
  if (step().kind == wexe::StepKind::Sample) {
    while (roundLength(place_) > 0)
      if (sampleBurst(burst))
        return true;
    return false;
  }
  if (roundLength(place_) == 0)
    return false;
  if (isMasked() && masked_ < phase_.grid->columns) {
    maskBurst(burst);
    return true;
  }
  // The last row of a round has a command for each column.
  do
    rowBurst(burst);
  while (!burst.control && burst.data.empty());
  return true;
}

/// What a column gets of a row, which may be nothing.
void TimingIngress::rowBurst(Burst &burst) {
  // Scale's rows are in order. Those of a mask are one ahead.
  const bool contract = step().kind == wexe::StepKind::Contract;
  const uint64_t columns = phase_.grid->columns, together = step().rows_together;
  const uint64_t row = streamedRow(place_ * rowsOfRound() + owner_ - isMasked(), step().rows, contract ? columns : UINT64_MAX, together), owner = row % columns;
  const PlaceTogether among = placeTogether(row, step().rows, columns, together);
  const uint64_t column = contract ? column_ : owner;
  aim(burst, phase_.command_colour, column, phase_.grid->columns, grid_.groups);
  burst.copies = streams_;
  const bool hasBias = step().bias >= 0 && column == owner && among.isLast();
  const uint64_t each = step().wire == wexe::WireFormat::Indexed32 ? 2 : 1;
  burst.data.assign(biasIsNext_ || !contract ? each * among.count : wavelets(row, column), 0);
  if (contract && !biasIsNext_ && step().link != wexe::LinkFormat::Wavelets) {
    if (column == 0)
      linkWords_ += static_cast<uint32_t>(wordsOfRow(step(), std::accumulate(kept(row).begin(), kept(row).end(), uint64_t(0))));
    if (!burst.data.empty() || among.isLast())
      burst.linkWords = std::exchange(linkWords_, 0);
  }
  if (hasBias && !biasIsNext_) {
    burst.control = step().task_bias;
    biasIsNext_ = true;
    return;
  }
  biasIsNext_ = false;
  sent_ += burst.data.size() + 1;
  if (among.isLast())
    burst.control = column < owner ? step().task_east : column > owner ? step().task_west : step().task_own;
  markRow(burst);
  if (!contract || ++column_ == phase_.grid->columns)
    nextRow();
}

/// Leaves out rounds that will take as long as those before, all but the last of them.
void TimingIngress::skipRounds() {
  std::optional<Repetition::Period> period = roundsAreLong() ? repetitions_.back().period(2, 1000) : repetitions_.back().period(3, 2000);
  if (!period || !isWorthSkipping())
    return;
  const uint64_t length = roundLength(place_);
  uint64_t last = place_;
  while (roundLength(last + 1) == length)
    ++last;
  // A contraction's rounds go there and back. Of a mean there may be any part.
  const uint64_t turn = step().kind == wexe::StepKind::Contract ? 2 : 1;
  const uint64_t rounds = leaveOutOthers(*period, last - place_, roundsThatDiffer() > 0 ? turn : std::lcm(turn, period->count));
  place_ += rounds;
  skipped_ += rounds * period->cycles / period->count;
}

void TimingIngress::markRow(Burst &burst) {
  if (!hasEqualRows(step(), options_))
    return;
  Mark &mark = markOf(burst);
  mark.rows = &rowTimes_.back();
  mark.row = row_;
  mark.column = column_;
}

/// Leaves out rows, all but the last ones, whoever their owners would be. Those that go together stay so, and in the last round, where they may be fewer, none are left out.
void TimingIngress::skipRows() {
  const uint64_t round = rowsOfRound(), together = step().rows_together, next = place_ * round + owner_, alike = together > 1 ? rowsOfStep() / round * round : rowsOfStep();
  if (owner_ % together != 0 || next >= alike)
    return;
  // Sums that pass other groups are held up only when the way is full.
  auto period = rowTimes_.back().period(fewCycles + uint64_t(4) * missing_.groups.count * missing_.groups.columns);
  if (!period || !isWorthSkipping())
    return;
  // A column has room for the sums of many rows on their way. When it is full, rows are no faster than their sums leave.
  if (step().kind == wexe::StepKind::Sample)
    period->cycles = std::max(period->cycles, period->count * step().columns * (step().groups_added ? 1 : phase_.grid->groups) / grid_.egress);
  const uint64_t last = std::max(lastRows * together, lastCycles * period->count / period->cycles);
  if (alike < next + last + period->count)
    return;
  uint64_t rows = (alike - last - next) / together * together, cycles = rows * period->cycles / period->count;
  if (hasOthers()) {
    rows = leaveOutOthers(*period, rows, together);
    cycles = rows * period->cycles / period->count;
  }
  if (rows == 0)
    return;
  place_ = (next + rows) / round;
  owner_ = (next + rows) % round;
  skipped_ += cycles;
  pace_ = period;
  forgetRows(/*isSameStep=*/true);
}

/// What was sent before says nothing of what follows.
void TimingIngress::forgetRows(bool isSameStep) {
  repetitions_.emplace_back(roundsThatDiffer());
  // Owners of a contraction go there and back.
  rowTimes_.emplace_back(phase_.grid->columns, rowsOfRound() * (step().kind == wexe::StepKind::Contract ? 2u : 1u), place_ * rowsOfRound() + owner_, isSameStep ? rowTimes_.back().known() : nullptr);
}

/// The next burst is the first of a row.
void TimingIngress::beginRow(Burst &burst) {
  if (!othersWentOn() || !roundsAreSettled())
    forgetRows(/*isSameStep=*/place_ > 0 || owner_ > 0);
  if (hasEqualRows(step(), options_)) {
    skipRows();
  } else if (owner_ == 0 && place_ > 0) {
    // What a shorter round takes says nothing of longer ones.
    if (roundLength(place_) != roundLength(place_ - 1))
      repetitions_.emplace_back(roundsThatDiffer());
    skipRounds();
    if (roundLength(place_) > 0)
      markOf(burst).of = &repetitions_.back();
  }
  row_ = rowTimes_.back().begin();
}

/// Leaves out commands of a step that is one task many times, as a ring's is, once it takes as long as before.
void TimingIngress::skipCommands() {
  if (!othersWentOn())
    repetitions_.emplace_back(0);
  const std::optional<Repetition::Period> one = repetitions_.back().period(3, 2000);
  if (!one || !isWorthSkipping() || commands_ + 1 >= step().times)
    return;
  // Two buffers take turns: the last command finds them as it would.
  const Repetition::Period two = {2 * one->count, 2 * one->cycles, {2 * one->others.left, 2 * one->others.came}};
  const uint64_t periods = leaveOutOthers(two, step().times - 1 - commands_, two.count) / two.count;
  commands_ += static_cast<uint32_t>(periods * two.count);
  skipped_ += periods * two.cycles;
}

void TimingIngress::skipMicroBatches() {
  std::optional<Repetition::Period> period = repetitions_.front().period(3, 2000);
  if (!period || !isWorthSkipping())
    return;
  const uint64_t periods = (phase_.grid->micro_batches - 1 - microBatch_) / period->count;
  microBatch_ += static_cast<uint32_t>(periods * period->count);
  skipped_ += periods * period->cycles;
}

std::vector<TimingIngress::Span> TimingIngress::spans(uint64_t end) const {
  std::vector<Span> spans(phase_.steps.size());
  std::vector<const Mark *> begins;
  for (const Mark &mark : marks_)
    if (mark.step >= 0)
      begins.push_back(&mark);
  std::vector<uint64_t> latest(phase_.steps.size(), 0); ///< cycles in the micro-batch before
  for (size_t i = 0; i < begins.size(); ++i) {
    const Mark &mark = *begins[i];
    const size_t step = static_cast<size_t>(mark.step);
    uint64_t next = i + 1 < begins.size() ? begins[i + 1]->at : end;
    const uint64_t repeats = i + 1 < begins.size() ? begins[i + 1]->repeats : 0;
    if (i < phase_.steps.size())
      spans[step].begin = mark.at;
    uint64_t cycles = next > mark.at ? next - mark.at : 0;
    if (repeats > 0) {
      // The last step before micro-batches that were not sent: they are as this one was.
      const uint64_t others = mark.at - begins[i + 1 - (phase_.steps.size() - phase_.prologue)]->at;
      cycles = (cycles - others * repeats) / (repeats + 1);
      for (size_t s = phase_.prologue; s + 1 < phase_.steps.size(); ++s)
        spans[s].cycles += latest[s] * repeats;
      spans[step].cycles += cycles * repeats;
    }
    latest[step] = cycles;
    spans[step].cycles += cycles;
  }
  return spans;
}

} // namespace wafer
