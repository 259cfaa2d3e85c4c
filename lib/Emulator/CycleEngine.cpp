//===- CycleEngine.cpp - the reference engine --------------------------------===//
//
// Every wavelet, router, queue, task and microthread, cycle by cycle (docs/spec/machine.md section 6). In each cycle the fabric decides its
// moves and the cores work on the same starting state; then the moves are made. Routers without wavelets and cores that cannot go on are
// skipped until something moves there.
//
//===----------------------------------------------------------------------===//

#include "CoreMemory.h"
#include "CycleCore.h"
#include "CycleDeadlock.h"
#include "CycleEdge.h"
#include "CycleFabric.h"
#include "TaskTrace.h"

#include <algorithm>

namespace wafer {

namespace {

const char *const activityNames[numActivities] = {"busy",          "microthread", "wait-command", "wait-fabric-in", "wait-fabric-out",
                                                  "wait-conflict", "wait-slot"};

class CycleEngine final : public Engine {
public:
  CycleEngine(const LoadedProgram &program, const EngineOptions &options);
  std::string_view name() const override { return "cycle"; }
  EngineStats run(Ingress &in, Egress &out) override;
  void forEachCore(const std::function<void(uint16_t, uint16_t, uint8_t *)> &function) override {
    for (CycleCore &core : cores_)
      function(core.model.x, core.model.y, core.model.memory(wexe::DescKind::Mem));
  }

private:
  /// A core that is not stepped: since when, and what it waits for meanwhile.
  struct Rest {
    bool resting = true, blocked = false;
    uint64_t since = 0, lastArrival = 0;
    Activity activity = Activity::WaitCommand;
  };

  void simulate(Ingress &in, Egress &out);
  template <typename Visit> void forEachRelay(uint8_t colour, bool into, Visit visit);
  uint64_t mostToLeaveOut(uint8_t colour, bool into);
  void leaveOut(uint8_t colour, bool into, uint64_t count);
  bool leaveOutWhatOnlyLeaves();
  bool stepCores();
  void wake(uint32_t core);
  void restStuckCores();
  void noteTask(const CycleCore &core, std::optional<CycleCore::TaskAtWork> task, uint64_t first);
  [[noreturn]] void reportStall() const;
  void finishStats(uint64_t cycles);

  const LoadedProgram &program_;
  const Machine &machine_;
  uint64_t stallLimit_;
  uint64_t now_ = 0;
  std::vector<ImageModel> images_;
  CycleFabric fabric_;
  CycleEdge edge_;
  std::vector<CycleCore> cores_;
  std::vector<int32_t> coreAt_; ///< by router, -1: none
  std::vector<uint32_t> awake_;
  std::vector<Rest> rests_;   ///< by core
  uint64_t blockedCores_ = 0; ///< resting with work at hand
  TaskTrace trace_;
  MissingRows *const missing_;
  /// Since when the wavelets that leave are counted, and how many left in as many cycles before.
  struct {
    uint64_t since = 0, left = 0, before = 0;
  } window_;
  uint64_t lastFed_ = 0; ///< cycle in which the edge last sent something
  EngineStats stats_;
  uint64_t activity_[numActivities] = {};
};

CycleEngine::CycleEngine(const LoadedProgram &program, const EngineOptions &options)
    : program_(program), machine_(program.machine()), images_(imageModels(program)), fabric_(program, options),
      edge_(program, options.lookAhead),
      coreAt_(size_t(machine_.width) * machine_.height, -1), trace_(program, options.traceFile), missing_(options.missing) {
  if (missing_) {
    missing_->mostToLeaveOut = [this](uint8_t colour, bool into) { return mostToLeaveOut(colour, into); };
    missing_->leaveOut = [this](uint8_t colour, bool into, uint64_t count) { leaveOut(colour, into, count); };
  }
  // Waiting for a latency is no standstill.
  uint64_t latency = std::max<uint64_t>({machine_.hopCycles, machine_.rampCycles, machine_.vectorSetupCycles, fabric_.gapCycles()});
  stallLimit_ = std::max<uint64_t>(options.stallLimit, latency + 1);
  size_t cores = 0;
  for (uint32_t y = 0; y < machine_.height; ++y)
    for (uint32_t x = 0; x < machine_.width; ++x)
      cores += program.regionAt(x, y) >= 0;
  const CoreMemory memory(options.withData ? cores : 0, CoreModel::memoryBytes(machine_));
  for (uint32_t y = 0; y < machine_.height; ++y)
    for (uint32_t x = 0; x < machine_.width; ++x)
      if (int region = program.regionAt(x, y); region >= 0) {
        coreAt_[fabric_.routerOf(x, y)] = static_cast<int32_t>(cores_.size());
        cores_.emplace_back(program, images_[program.program().regions[region]->image], static_cast<uint16_t>(x), static_cast<uint16_t>(y),
                            now_, options, options.withData ? memory.of(cores_.size()) : nullptr);
      }
  rests_.resize(cores_.size());
  for (uint32_t core = 0; core < cores_.size(); ++core)
    if (!cores_[core].quiet())
      wake(core);
}

void CycleEngine::noteTask(const CycleCore &core, std::optional<CycleCore::TaskAtWork> task, uint64_t first) {
  if (trace_.wanted() && task)
    trace_.note(first, now_, core.model.x, core.model.y, core.model.image.index, task->entry, task->serial);
}

/// The core is stepped again from the next cycle on.
void CycleEngine::wake(uint32_t core) {
  Rest &rest = rests_[core];
  if (!rest.resting)
    return;
  rest.resting = false;
  awake_.push_back(core);
  if (!rest.blocked)
    return;
  rest.blocked = false;
  --blockedCores_;
  activity_[static_cast<unsigned>(rest.activity)] += now_ - rest.since;
  noteTask(cores_[core], cores_[core].taskAtWork(), rest.since + 1);
}

void CycleEngine::restStuckCores() {
  auto rests = [&](uint32_t index) {
    const CycleCore &core = cores_[index];
    Rest &rest = rests_[index];
    // What arrived a moment ago is only ready later.
    if (!core.stuck() || now_ < rest.lastArrival + machine_.rampCycles)
      return false;
    rest.resting = true;
    rest.since = now_;
    rest.blocked = !core.quiet();
    blockedCores_ += rest.blocked;
    return true;
  };
  awake_.erase(std::remove_if(awake_.begin(), awake_.end(), rests), awake_.end());
}

bool CycleEngine::stepCores() {
  bool progress = false;
  for (uint32_t index : awake_) {
    CycleCore &core = cores_[index];
    const auto task = trace_.wanted() ? core.taskAtWork() : std::nullopt;
    Activity did = core.step(fabric_, stats_);
    if (trace_.wanted())
      noteTask(core, task ? task : core.taskAtWork(), now_);
    ++activity_[static_cast<unsigned>(did)];
    rests_[index].activity = did;
    progress |= did == Activity::Busy || did == Activity::Microthread;
  }
  return progress;
}

void CycleEngine::reportStall() const {
  reportStandstill({program_, fabric_, cores_, coreAt_, edge_.pending(fabric_)}, "at cycle " + std::to_string(now_));
}

/// Calls visit(operation or null) for what cores before (`into`) or behind the missing rows hand on with.
template <typename Visit> void CycleEngine::forEachRelay(uint8_t colour, bool into, Visit visit) {
  for (CycleCore &core : cores_)
    if (core.model.y < missing_->south && (core.model.y <= missing_->cores.above) == into)
      visit(core.relayOf(colour));
}

uint64_t CycleEngine::mostToLeaveOut(uint8_t colour, bool into) {
  uint64_t most = fabric_.mostToLeaveOut(colour, into);
  if (most > 0)
    forEachRelay(colour, into, [&](const Operation *relay) { most = std::min(most, relay ? relay->elements - relay->done : 0); });
  return most;
}

/// In a relay cores do the same over and over: fewer wavelets for them are as many fewer elements of the operation that hands them on.
void CycleEngine::leaveOut(uint8_t colour, bool into, uint64_t count) {
  forEachRelay(colour, into, [&](Operation *relay) { relay->elements -= count; });
  fabric_.leaveOut(colour, into, count);
  if (!into)
    missing_->leftOut[colour] += count * fabric_.columnsOf(colour);
}

/// While nothing comes in and the first rows stand still, results leave and nothing else happens. Whether some were left out, which moves the clock on.
bool CycleEngine::leaveOutWhatOnlyLeaves() {
  constexpr uint64_t cycles = 2048;
  if (now_ < window_.since + cycles)
    return false;
  const uint64_t left = fabric_.waveletsOut - window_.left;
  const bool isSteady = left > 0 && std::max(left, window_.before) - std::min(left, window_.before) <= left / 256 && lastFed_ + 2 * cycles < now_;
  window_ = {now_, fabric_.waveletsOut, left};
  const auto leaving = isSteady ? fabric_.leaving() : std::nullopt;
  if (!leaving || std::any_of(awake_.begin(), awake_.end(), [&](uint32_t core) { return cores_[core].model.y <= missing_->cores.above; }))
    return false;
  const uint64_t count = mostToLeaveOut(*leaving, false) / 8 * 8; // groups of elements stay as they are
  if (count == 0)
    return false;
  leaveOut(*leaving, false, count);
  now_ += count * fabric_.columnsOf(*leaving) * cycles / left;
  window_.since = now_;
  return true;
}

void CycleEngine::simulate(Ingress &in, Egress &out) {
  uint64_t lastProgress = now_;
  for (edge_.beginRun(in);; ++now_) {
    const CycleEdge::Fed fed = edge_.feed(in, fabric_, now_);
    stats_.waveletsIn += fed.wavelets;
    if (fed.progress)
      lastFed_ = now_;
    bool progress = fed.progress;
    if (missing_)
      progress |= leaveOutWhatOnlyLeaves();
    if (edge_.quiet() && awake_.empty() && blockedCores_ == 0 && fabric_.quiet())
      return;
    fabric_.decide(now_);
    progress |= stepCores();
    progress |= fabric_.commit(now_, out);
    restStuckCores();
    for (uint32_t router : fabric_.departures())
      wake(static_cast<uint32_t>(coreAt_[router]));
    for (uint32_t router : fabric_.arrivals()) {
      rests_[static_cast<size_t>(coreAt_[router])].lastArrival = now_;
      wake(static_cast<uint32_t>(coreAt_[router]));
    }
    if (progress)
      lastProgress = now_;
    else if (now_ - lastProgress > stallLimit_)
      reportStall();
  }
}

void CycleEngine::finishStats(uint64_t cycles) {
  stats_.cycles = cycles;
  stats_.hops = fabric_.hops;
  stats_.waveletsOut = fabric_.waveletsOut;
  stats_.cores = cores_.size();
  for (const CycleCore &core : cores_)
    stats_.sramHighWater = std::max(stats_.sramHighWater, core.model.sramHighWater);
  // Cores that were skipped waited for a command.
  constexpr unsigned waiting = static_cast<unsigned>(Activity::WaitCommand);
  activity_[waiting] = cycles * cores_.size();
  for (unsigned i = 0; i < numActivities; ++i)
    if (i != waiting)
      activity_[waiting] -= activity_[i];
  for (unsigned i = 0; i < numActivities; ++i)
    stats_.coreCycles[activityNames[i]] = activity_[i];
}

EngineStats CycleEngine::run(Ingress &in, Egress &out) {
  stats_ = EngineStats();
  std::fill(std::begin(activity_), std::end(activity_), 0);
  fabric_.beginRun();
  const uint64_t start = now_;
  try {
    simulate(in, out);
  } catch (const Trap &) {
    // What led to a trap is worth seeing; that it could not be written is not worth losing the trap for.
    try {
      trace_.write();
    } catch (const ExecutableError &) {
    }
    throw;
  }
  finishStats(now_ - start);
  trace_.write();
  return stats_;
}

} // namespace

std::unique_ptr<Engine> createCycleEngine(const LoadedProgram &program, const EngineOptions &options) {
  return std::make_unique<CycleEngine>(program, options);
}

} // namespace wafer
