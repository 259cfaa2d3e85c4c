//===- Timing.cpp - the time of a phase without its data -------------------===//

#include "wafer/Emulator/Timing.h"

#include "Semantics.h"
#include "TimingClasses.h"
#include "TimingIngress.h"
#include "TimingParts.h"
#include "wafer/Executable/Grids.h"
#include "wafer/Machine/BatchEntries.h"
#include "wafer/Machine/FeatureLayout.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <set>

namespace wafer {

namespace {

/// Tells the ingress of blocks that left.
class TimingEgress final : public Egress {
public:
  explicit TimingEgress(TimingIngress &ingress) : ingress_(ingress) {}
  void deliver(uint16_t, uint8_t colour, const uint32_t *, size_t count) override { ingress_.left(colour, count); }

private:
  TimingIngress &ingress_;
};

/// Of the products of a step's weights, those that are not passed over. Zeros and what a mask hides are taken to have nothing to do with each other.
double shareOfNonzeros(const wexe::StepT &step) { return (1 - step.input_zeros / 1000.0) * (1 - step.output_zeros / 1000.0); }

/// Steps that were timed by themselves.
struct PartTime {
  uint64_t cycles = 0;
  std::vector<TimingIngress::Span> spans; ///< of the steps
  std::optional<Repetition::Period> pace; ///< of rows that were not sent
};

} // namespace

class KnownTimes {
public:
  /// The time of a part with this key (timingKey). Whoever comes first finds it, others wait.
  template <typename Find> PartTime of(const std::vector<int64_t> &key, Find find) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto [place, isFirst] = times_.try_emplace(key);
    if (!isFirst) {
      const std::shared_future<PartTime> found = place->second;
      lock.unlock();
      return found.get();
    }
    std::promise<PartTime> promise;
    place->second = promise.get_future().share();
    lock.unlock();
    try {
      promise.set_value(find());
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
    lock.lock();
    return times_.at(key).get();
  }

private:
  std::mutex mutex_;
  std::map<std::vector<int64_t>, std::shared_future<PartTime>> times_;
};

std::shared_ptr<KnownTimes> makeKnownTimes() { return std::make_shared<KnownTimes>(); }

namespace {

class PhaseTimer {
public:
  PhaseTimer(const LoadedProgram &program, const wexe::PhaseT &phase, const TimingOptions &options) : part_(program.load(phase.load)), phase_(phase), options_(options) {}
  PhaseTiming time();

private:
  std::vector<TimingIngress::Span> simulate();
  PartTime timeLong(const TimingPart &part);
  PartTime run(const wexe::PhaseT &steps, TimingUse use);
  uint64_t groupsSent(const wexe::StepT &step) const {
    return step.kind == wexe::StepKind::Send ? groupsThatDiffer(*phase_.grid, step, part_.program().tensors[step.tensor]->shape) : phase_.grid->groups;
  }
  void count(StepTiming &timing, const wexe::StepT &step, bool isOnce) const;

  const LoadedProgram &part_;
  const wexe::PhaseT &phase_;
  const TimingOptions &options_;
  std::map<TimingUse, TimingClasses> classes_;
  std::deque<wexe::PhaseT> phases_;                ///< of parts; a step stays where it is, since what is counted in its weight is remembered
  PhaseTiming timing_;
};

/// Spans of the steps; what it took and how long the phase takes go to `timing_`.
std::vector<TimingIngress::Span> PhaseTimer::simulate() {
  const std::vector<TimingPart> parts = partsOf(part_, phase_, options_);
  if (parts.size() == 1) {
    const PartTime time = run(phase_, {});
    timing_.cycles = time.cycles;
    return time.spans;
  }
  std::vector<TimingIngress::Span> spans;
  for (const TimingPart &part : parts) {
    const PartTime time = part.isLong ? timeLong(part) : run(phases_.emplace_back(phaseOf(phase_, part)), {});
    for (size_t i = 0; i < part.count; ++i)
      spans.push_back({timing_.cycles + time.spans[i].begin, time.spans[i].cycles});
    // The first row has done all that the last one has, as much earlier as commands are on their way from one to the other. What follows begins there.
    const uint64_t way = &part == &parts.back() ? 0 : std::min<uint64_t>(spans.back().cycles, phase_.grid->rows * part_.machine().hopCycles);
    if (!part.end)
      spans.back().cycles -= way;
    timing_.cycles += part.end ? time.spans[part.count].begin : time.cycles - way;
  }
  return spans;
}

/// A command and one step, of whose weight some rows tell what the others take.
PartTime PhaseTimer::timeLong(const TimingPart &part) {
  wexe::PhaseT &steps = phases_.emplace_back(phaseOf(phase_, part));
  wexe::StepT &step = *steps.steps[1];
  const TimingUse use = {step.kind != wexe::StepKind::Contract, coloursOf(part_, steps), step.kind == wexe::StepKind::Sample};
  const uint32_t rows = step.rows;
  step.rows = rowsThatTell(*phase_.grid, step, options_);
  std::vector<int64_t> key = timingKey(part_, steps, options_);
  // What ends the phase is not told from what goes on.
  key.push_back(part.end.has_value());
  const bool isKnown = key.size() > 1;
  PartTime time = isKnown ? options_.known->of(key, [&] { return run(steps, use); }) : run(steps, use);
  if (rows == step.rows)
    return time;
  if (!time.pace) {
    step.rows = rows;
    return run(steps, use);
  }
  const uint64_t others = (rows - step.rows) * time.pace->cycles / time.pace->count;
  time.cycles += others;
  time.spans[1].cycles += others;
  for (size_t i = 2; i < time.spans.size(); ++i)
    time.spans[i].begin += others;
  return time;
}

PartTime PhaseTimer::run(const wexe::PhaseT &steps, TimingUse use) {
  const wexe::GridT &grid = *phase_.grid;
  const TimingClasses &classes = classes_.try_emplace(use, part_, grid, use).first->second;
  TimingGrid small;
  small.groups = classes.groupsLeft();
  small.egress = part_.machine().egressWaveletsPerCycle;
  small.inFront = 2 * part_.machine().coreQueueDepth + part_.machine().routerQueueDepth;
  MissingRows missing = classes.missingRows();
  for (const auto &step : steps.steps) {
    small.sent.push_back(static_cast<uint32_t>(groupsSent(*step)));
    small.relays.push_back(missing.cores.count > 0 && (step->kind == wexe::StepKind::Send || step->kind == wexe::StepKind::Receive) ? classes.relayOf(missing, step->task) : std::nullopt);
  }
  small.cores = uint64_t(grid.columns) * small.groups * (grid.rows - missing.cores.count);
  const LoadedProgram program = classes.reduced(missing);
  EngineOptions options;
  options.withData = false;
  // Sums of groups that are added leave once for all.
  std::set<uint8_t> forAll;
  for (const auto &step : steps.steps)
    if (step->kind == wexe::StepKind::Sample && step->groups_added)
      forAll.insert(step->colour);
  options.copiesOfWavelet = [&](uint16_t port, uint8_t colour) { return forAll.count(colour) ? 1 : shareOf(grid.groups, small.groups, (port - grid.x0) / grid.columns); };
  options.lookAhead = part_.machine().width;
  options.missing = &missing;
  // Which step a trigger works for is told by the command that bound it.
  uint16_t command = 0;
  for (const auto &step : steps.steps)
    if (step->kind == wexe::StepKind::Command)
      command = step->task;
    else if (step->input_zeros > 0 || step->output_zeros > 0)
      options.nonzeros[command] = shareOfNonzeros(*step);
  TimingIngress ingress(steps, options_, small, missing);
  TimingEgress egress(ingress);
  const EngineStats stats = createCycleEngine(program, options)->run(ingress, egress);
  timing_.simulatedCores = std::max(timing_.simulatedCores, stats.cores);
  timing_.simulatedCycles += stats.cycles;
  const uint64_t cycles = stats.cycles + ingress.skipped();
  return {cycles, ingress.spans(cycles), ingress.pace()};
}

/// What a step does is known without running it.
void PhaseTimer::count(StepTiming &timing, const wexe::StepT &step, bool isOnce) const {
  const wexe::GridT &grid = *phase_.grid;
  const uint64_t ports = uint64_t(grid.columns) * grid.groups, cores = ports * grid.rows, tokens = uint64_t(grid.groups) * grid.rows * grid.token_block;
  const uint64_t perWavelet = elementsPerWavelet(step.type);
  const uint64_t block = (uint64_t(step.feature_block) * grid.token_block + perWavelet - 1) / perWavelet;
  const bool hasBias = step.bias >= 0;
  const uint64_t waveletsEach = step.wire == wexe::WireFormat::Indexed32 ? 2 : 1;
  WaveletCounts once;
  uint64_t macs = 0;
  switch (step.kind) {
  case wexe::StepKind::Send:
    once.commands = 1;
    once.activationsIn = block * cores / grid.groups * groupsSent(step);
    break;
  case wexe::StepKind::Receive:
    once.commands = 1;
    once.activationsOut = block * cores;
    break;
  case wexe::StepKind::Command:
    once.commands = step.times;
    macs = step.macs;
    break;
  case wexe::StepKind::Scale:
    once.commands = uint64_t(step.rows) * (1 + hasBias);
    once.weights = once.weightWavelets = once.commands * waveletsEach;
    macs = once.commands * tokens;
    break;
  case wexe::StepKind::Sample: {
    for (uint64_t column = 0; column < grid.columns; ++column)
      for (uint64_t row = 0; row < step.rows; ++row)
        once.weights += keptInColumn(options_, step, grid.columns, row, column);
    once.weightWavelets = once.weights;
    once.commands = (uint64_t(step.rows) + 1) * grid.columns;
    once.activationsOut = once.weights * (step.groups_added ? 1 : grid.groups);
    macs = once.weights * tokens;
    if (step.pattern < 0)
      once.weights = 0; // the edge counts by itself
    break;
  }
  case wexe::StepKind::Contract: {
    const bool isIndexed = step.wire == wexe::WireFormat::Indexed16 || step.wire == wexe::WireFormat::Indexed32, isPacked = step.link != wexe::LinkFormat::Wavelets;
    const uint64_t packed = step.wire == wexe::WireFormat::Packed8 ? 4 : step.wire == wexe::WireFormat::Packed16 ? 2 : 1;
    uint64_t kept = 0, wavelets = 0, words = 0;
    for (uint64_t row = 0; (isIndexed || isPacked) && row < step.rows; ++row) {
      uint64_t ofRow = 0;
      for (uint64_t column = 0; column < grid.columns; ++column)
        ofRow += keptInColumn(options_, step, grid.columns, row, column);
      kept += ofRow;
      words += isPacked ? wordsOfRow(step, ofRow) : 0;
    }
    for (uint64_t column = 0; column < grid.columns; ++column)
      wavelets += (featuresInColumn(step.columns, grid.columns, column) + packed - 1) / packed * step.rows;
    if (isIndexed)
      wavelets = kept * waveletsEach;
    const uint64_t weights = isIndexed ? kept : uint64_t(step.rows) * step.columns, biases = hasBias * waveletsEach * step.rows;
    once.weightWavelets = wavelets + biases;
    once.weights = (isPacked ? words : wavelets) + biases;
    // One for rows whose sums go together.
    const uint64_t round = uint64_t(grid.columns) * step.rows_together, turns = step.rows / round * grid.columns + std::min<uint64_t>(grid.columns, step.rows % round);
    once.commands = turns * (grid.columns + hasBias + (step.output_zeros > 0 ? grid.columns : 0));
    macs = static_cast<uint64_t>(std::llround(static_cast<double>(weights * tokens) * shareOfNonzeros(step))) + hasBias * uint64_t(step.rows) * tokens;
    break;
  }
  }
  const uint64_t times = isOnce ? 1 : grid.micro_batches;
  timing.macs = macs * times;
  const uint64_t streams = streamsAtOnce(step.batch_sizes, step.batch_strides, grid.batches_at_once);
  if (step.kind == wexe::StepKind::Contract) {
    once.weights *= streams;
    once.weightWavelets *= streams;
    once.commands *= streams;
    if (step.output_zeros > 0)
      once.commands += grid.columns; // the first row of the mask goes to all at once
  }
  timing.wavelets = {once.weights * times, once.activationsIn * times, once.activationsOut * times, once.commands * times, once.weightWavelets * times};
}

PhaseTiming PhaseTimer::time() {
  const wexe::GridT &grid = *phase_.grid;
  timing_.cores = uint64_t(grid.columns) * grid.groups * grid.rows;
  const std::vector<TimingIngress::Span> spans = simulate();
  for (size_t i = 0; i < phase_.steps.size(); ++i) {
    StepTiming step;
    step.name = phase_.steps[i]->name;
    step.location = phase_.steps[i]->location;
    step.kind = phase_.steps[i]->kind;
    step.begin = spans[i].begin;
    step.cycles = spans[i].cycles;
    count(step, *phase_.steps[i], /*isOnce=*/i < phase_.prologue);
    const Machine &machine = part_.machine();
    step.ingestCycles = (step.wavelets.in() + machine.ingestWaveletsPerCycle - 1) / machine.ingestWaveletsPerCycle;
    step.egressCycles = (step.wavelets.activationsOut + machine.egressWaveletsPerCycle - 1) / machine.egressWaveletsPerCycle;
    timing_.macs += step.macs;
    timing_.wavelets.weights += step.wavelets.weights;
    timing_.wavelets.activationsIn += step.wavelets.activationsIn;
    timing_.wavelets.activationsOut += step.wavelets.activationsOut;
    timing_.wavelets.commands += step.wavelets.commands;
    timing_.wavelets.weightWavelets += step.wavelets.weightWavelets;
    timing_.steps.push_back(std::move(step));
  }
  return std::move(timing_);
}

} // namespace

PhaseTiming timePhase(const LoadedProgram &program, const wexe::PhaseT &phase, const TimingOptions &options) {
  return PhaseTimer(program, phase, options).time();
}

} // namespace wafer
