//===- Session.cpp - run the entries of a program -------------------------===//

#include "wafer/Runtime/Session.h"

#include "KeptWeights.h"
#include "Layout.h"
#include "NearNames.h"
#include "Sampled.h"
#include "wafer/Machine/BatchEntries.h"
#include "wafer/Runtime/Flash.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace wafer {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char *timingEngine = "timing";

/// Memory of the cores of engines that wait for their load.
constexpr uint64_t mostMemoryOfEngines = uint64_t(1) << 26;

double secondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string describe(const wexe::TensorT &tensor) { return describe(dtypeOf(tensor.type), tensor.shape); }

bool isLike(const Tensor &value, const wexe::TensorT &tensor) {
  return value.dtype() == dtypeOf(tensor.type) && value.shape() == tensor.shape;
}

std::vector<std::string> namesOf(const wexe::ProgramT &program, const std::vector<uint32_t> &tensors) {
  std::vector<std::string> names;
  for (uint32_t tensor : tensors)
    names.push_back(program.tensors[tensor]->name);
  return names;
}

/// Calls `use` with each tensor that a phase reads.
void forEachRead(const wexe::PhaseT &phase, const std::function<void(unsigned)> &use) {
  if (phase.kind == wexe::PhaseKind::Function) {
    for (uint32_t tensor : phase.inputs)
      use(tensor);
    return;
  }
  for (const auto &step : phase.steps)
    for (int tensor : {step->kind == wexe::StepKind::Sample ? -1 : step->tensor, step->bias, step->pattern, step->guard})
      if (tensor >= 0 && step->kind != wexe::StepKind::Receive && step->kind != wexe::StepKind::Command)
        use(static_cast<unsigned>(tensor));
}

uint64_t bytesInMemory(const TensorValues &values, const FlashPlaces &inFlash) {
  uint64_t bytes = 0;
  for (const auto &[number, value] : values)
    if (inFlash.count(value.data()) == 0)
      bytes += value.bytes();
  return bytes;
}

/// Drops what neither a phase after `phase` reads nor the entry gives or keeps.
void dropUnused(const wexe::ProgramT &program, const wexe::EntryT &entry, size_t phase, TensorValues &values) {
  std::vector<unsigned> used(entry.outputs.begin(), entry.outputs.end());
  for (size_t later = phase + 1; later < entry.phases.size(); ++later)
    forEachRead(*entry.phases[later], [&](unsigned tensor) { used.push_back(tensor); });
  for (auto value = values.begin(); value != values.end();)
    value = std::find(used.begin(), used.end(), value->first) == used.end() && program.tensors[value->first]->updates < 0 ? values.erase(value)
                                                                                                                           : std::next(value);
}

/// What a wafer phase streams.
std::string nameOf(const wexe::PhaseT &phase) {
  std::string name;
  for (const auto &step : phase.steps)
    if (step->kind == wexe::StepKind::Contract || step->kind == wexe::StepKind::Scale || step->kind == wexe::StepKind::Sample)
      name += (name.empty() ? "" : " ") + step->name;
  return name;
}

uint16_t firstLoad(const wexe::ProgramT &program) {
  for (const auto &entry : program.entries)
    for (const auto &phase : entry->phases)
      return phase->load;
  return 0;
}

} // namespace

Session::Session(const LoadedProgram &program, SessionOptions options)
    : program_(program), options_(std::move(options)), store_(options_.dramBudget.value_or(program_.machine().memoryxDramBytes)) {
  if (options_.engine == timingEngine)
    return;
  try {
    // An engine for the first load, so that what is wrong with the options is said now.
    load_ = firstLoad(program_.program());
    engine_ = createEngine(options_.engine, program_.load(load_), {options_.threads, options_.trace});
  } catch (const std::invalid_argument &error) {
    throw RuntimeError(error.what());
  }
}

Session::~Session() = default;

void Session::loadWeights(const std::vector<std::string> &paths) {
  for (const std::string &path : paths)
    store_.addFile(path);
  for (const auto &tensor : program_.program().tensors)
    if ((tensor->role == wexe::Role::Weight || tensor->role == wexe::Role::State) && store_.has(tensor->name))
      store_.find(tensor->name, dtypeOf(tensor->type), tensor->shape);
}

void Session::setWeight(const std::string &name, Tensor tensor) {
  findOutside(name, tensor, {wexe::Role::Weight, wexe::Role::State}, "weight");
  store_.set(name, std::move(tensor));
}

/// Number of the tensor, of one of the roles, that the outside gives `value` to.
uint32_t Session::findOutside(const std::string &name, const Tensor &value, std::initializer_list<wexe::Role> roles, const char *what) const {
  std::vector<std::string> names;
  const auto &tensors = program_.program().tensors;
  for (uint32_t number = 0; number < tensors.size(); ++number) {
    const wexe::TensorT *known = tensors[number].get();
    if (std::find(roles.begin(), roles.end(), known->role) == roles.end())
      continue;
    names.push_back(known->name);
    if (known->name != name)
      continue;
    if (!isLike(value, *known))
      throw RuntimeError(std::string(what) + " '" + name + "' is " + describe(value) + ", expected " + describe(*known));
    return number;
  }
  throw RuntimeError(std::string("the program has no ") + what + " '" + name + "', it has " + listNames(names) + didYouMean(name, names));
}

Tensor Session::stateOf(uint32_t number) const {
  if (auto written = states_.find(number); written != states_.end())
    return written->second;
  const wexe::TensorT &tensor = *program_.program().tensors[number];
  const DType dtype = dtypeOf(tensor.type);
  Tensor value = Tensor::zeros(dtype, tensor.shape);
  if (store_.has(tensor.name))
    store_.find(tensor.name, dtype, tensor.shape)->read(0, value.bytes(), value.mutableData());
  return value;
}

NamedTensors Session::states() const {
  NamedTensors states;
  const auto &tensors = program_.program().tensors;
  for (uint32_t number = 0; number < tensors.size(); ++number)
    if (tensors[number]->role == wexe::Role::State)
      states.emplace(tensors[number]->name, stateOf(number));
  return states;
}

void Session::setState(const std::string &name, Tensor value) {
  states_[findOutside(name, value, {wexe::Role::State}, "state")] = std::move(value);
}

const wexe::EntryT &Session::findEntry(const std::string &name) const {
  std::vector<std::string> names;
  for (const auto &entry : program_.program().entries) {
    if (entry->name == name)
      return *entry;
    names.push_back(entry->name);
  }
  throw RuntimeError("the program has no entry '" + name + "', it has " + listNames(names));
}

TensorValues Session::checkInputs(const wexe::EntryT &entry, const NamedTensors &inputs) const {
  const wexe::ProgramT &program = program_.program();
  std::vector<std::string> names = namesOf(program, entry.inputs);
  for (const auto &[name, value] : inputs)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw RuntimeError("entry '" + entry.name + "' has no input '" + name + "', it takes " + listNames(names) + didYouMean(name, names));
  TensorValues values;
  for (uint32_t number : entry.inputs) {
    const wexe::TensorT &tensor = *program.tensors[number];
    auto given = inputs.find(tensor.name);
    if (given == inputs.end())
      throw RuntimeError("input '" + tensor.name + "' of entry '" + entry.name + "' is missing, expected " + describe(tensor));
    if (!isLike(given->second, tensor))
      throw RuntimeError("input '" + tensor.name + "' of entry '" + entry.name + "' is " + describe(given->second) + ", expected " +
                         describe(tensor));
    values[number] = given->second;
  }
  for (const auto &phase : entry.phases)
    forEachRead(*phase, [&](unsigned number) {
      if (program.tensors[number]->role == wexe::Role::State && values.count(number) == 0)
        values[number] = stateOf(number);
    });
  return values;
}

void Session::checkWeights(const wexe::EntryT &entry) const {
  for (const auto &phase : entry.phases)
    forEachRead(*phase, [&](unsigned number) {
      const wexe::TensorT &tensor = *program_.program().tensors[number];
      if (tensor.role == wexe::Role::Weight)
        store_.find(tensor.name, dtypeOf(tensor.type), tensor.shape);
    });
}

/// MemoryX makes blocks in memory of the host, so that a schedule must not ask for more than a core could hold.
void Session::checkBlocks(const wexe::EntryT &entry) const {
  const Machine &machine = program_.machine();
  for (const auto &phase : entry.phases) {
    if (phase->kind != wexe::PhaseKind::Wafer)
      continue;
    for (const auto &step : phase->steps) {
      uint64_t elements = uint64_t(std::max(step->feature_block, step->out_block)) * phase->grid->token_block;
      if (elements > machine.sramBytes)
        throw RuntimeError("step '" + step->name + "' of entry '" + entry.name + "' has blocks of " + std::to_string(elements) +
                           " elements, expected no more than the " + std::to_string(machine.sramBytes) + " bytes of a core of machine '" +
                           machine.name + "'");
    }
  }
}

/// How often a phase streams a step's weight: once per micro-batch, or for each of the batch entries in it that differ.
static uint64_t streamsOf(const wexe::GridT &grid, const wexe::StepT &step) {
  if (step.batch_sizes.empty() || step.kind == wexe::StepKind::Sample)
    return grid.micro_batches;
  uint64_t streams = 0;
  for (uint64_t entry = 0; entry < grid.batches; entry += grid.batches_at_once)
    streams += entrySpans(step.batch_sizes, step.batch_strides, entry, grid.batches_at_once).size();
  return streams * microBatchesEach(grid);
}

/// Gets the engine of another load. That of the load before is kept while there is room: making the memory of all cores takes the host as long as a small phase.
void Session::changeLoad(uint16_t load, bool continues) {
  const uint64_t bytes = coresOfEngine_ * program_.machine().sramBytes;
  auto place = engines_.find(load_);
  if (engine_ && place == engines_.end() && options_.trace.empty() && memoryOfEngines_ + bytes <= mostMemoryOfEngines) {
    memoryOfEngines_ += bytes;
    place = engines_.emplace(load_, nullptr).first;
  }
  if (continues) {
    // A new one, which knows nothing of what its cores had.
    std::unique_ptr<Engine> before = std::move(engine_);
    engine_ = createEngine(options_.engine, program_.load(load), {options_.threads, options_.trace});
    takeMemory(*engine_, *before, program_.machine());
    if (place != engines_.end())
      place->second = std::move(before);
    load_ = load;
    return;
  }
  if (engine_ && place != engines_.end())
    place->second = std::move(engine_);
  const auto kept = engines_.find(load);
  engine_ = kept != engines_.end() && kept->second ? std::move(kept->second) : createEngine(options_.engine, program_.load(load), {options_.threads, options_.trace});
  load_ = load;
}

PhaseStats Session::runOnWafer(const wexe::PhaseT &phase, TensorValues &values) {
  const wexe::ProgramT &program = program_.program();
  if (!engine_ || load_ != phase.load)
    changeLoad(phase.load, phase.continues);
  const SampledPhase sampled(program, phase, store_, values);
  PhaseIngress ingress(program, phase, store_, values, &sampled);
  PhaseEgress egress(program, phase, &sampled);
  PhaseStats stats;
  try {
    stats.engine = engine_->run(ingress, egress);
    for (auto &[number, value] : egress.finish())
      values[number] = std::move(value);
  } catch (...) {
    engine_.reset();
    engines_.clear();
    memoryOfEngines_ = 0;
    throw;
  }
  coresOfEngine_ = stats.engine.cores;
  stats.microBatches = phase.grid->micro_batches;
  stats.name = nameOf(phase);
  const StreamCounts &counts = ingress.counts();
  for (size_t i = 0; i < phase.steps.size(); ++i) {
    const wexe::StepT &step = *phase.steps[i];
    const wexe::GridT &grid = *phase.grid;
    if (step.kind != wexe::StepKind::Contract && step.kind != wexe::StepKind::Scale && step.kind != wexe::StepKind::Sample)
      continue;
    const StepCounts &sent = ingress.stepCounts()[i];
    const uint64_t tokensOfGroup = uint64_t(grid.rows) * grid.token_block;
    const uint64_t each = (step.kind == wexe::StepKind::Scale ? step.rows : uint64_t(step.rows) * step.columns) + (step.bias >= 0 ? step.rows : 0);
    const uint64_t executed = step.input_zeros > 0 || step.output_zeros > 0 ? skippingMacs(stats.engine, phase, i) : sent.values * tokensOfGroup;
    stats.steps.push_back({step.name, step.kind == wexe::StepKind::Sample ? "Index" : wexe::EnumNameWireFormat(step.wire), wexe::EnumNameLinkFormat(step.link), each * tokensOfGroup * grid.groups * grid.micro_batches, executed,
                           sent.words * bytesPerWavelet, each * streamsOf(grid, step) * byteSize(dtypeOf(step.type)), step.input_zeros > 0, step.output_zeros > 0});
  }
  stats.streamed = {counts.weights * bytesPerWavelet, counts.activations * bytesPerWavelet, egress.wavelets() * bytesPerWavelet,
                    counts.commands * bytesPerWavelet};
  return stats;
}

/// What the engine counted for a step that passes over products: it began with the command before it.
uint64_t Session::skippingMacs(const EngineStats &counted, const wexe::PhaseT &phase, size_t step) const {
  while (step > 0 && phase.steps[step]->kind != wexe::StepKind::Command)
    --step;
  const wexe::ProgramT &program = program_.load(phase.load).program();
  uint64_t macs = 0;
  for (auto [task, products] : counted.skippingMacs)
    for (const auto &known : program.images[task >> 16]->tasks)
      if (known->kind == wexe::TaskKind::Control && known->pc == (task & 0xffff) && known->number == phase.steps[step]->task)
        macs += products;
  return macs;
}

/// Moves the largest values to the flash tier until the others fit.
void Session::spill(TensorValues &values, FlashPlaces &inFlash) {
  const uint64_t room = store_.dram().budget() / 4;
  // The places of values that are gone may be used again.
  FlashPlaces gone = std::exchange(inFlash, {});
  for (const auto &[number, value] : values)
    if (gone.count(value.data()) != 0)
      inFlash.insert(value.data());
  uint64_t bytes = bytesInMemory(values, inFlash);
  while (bytes > room) {
    auto largest = values.end();
    for (auto value = values.begin(); value != values.end(); ++value)
      if (inFlash.count(value->second.data()) == 0 && (largest == values.end() || value->second.bytes() > largest->second.bytes()))
        largest = value;
    largest->second = copyToFlash(largest->second, options_.flashFolder);
    inFlash.insert(largest->second.data());
    bytes -= largest->second.bytes();
    flashBytesWritten_ += largest->second.bytes();
  }
}

PhaseStats Session::runInMemoryX(const wexe::PhaseT &phase, TensorValues &values) {
  const wexe::ProgramT &program = program_.program();
  const wexe::FunctionT &function = *program.functions[phase.function];
  std::unique_ptr<Callable> &callable = functions_[phase.function];
  if (!callable)
    callable = computeBackend()->compile(function.mlir, function.name);

  std::vector<Tensor> inputs;
  std::vector<LeasedTensor> weights;
  for (uint32_t number : phase.inputs) {
    const wexe::TensorT &tensor = *program.tensors[number];
    if (tensor.role == wexe::Role::Weight) {
      weights.push_back(loadWhole(store_.dram(), *store_.find(tensor.name, dtypeOf(tensor.type), tensor.shape)));
      inputs.push_back(weights.back().tensor);
      continue;
    }
    auto value = values.find(number);
    if (value == values.end())
      throw RuntimeError("function '" + function.name + "' takes tensor '" + tensor.name +
                         "', which has no value yet: no earlier phase makes it");
    inputs.push_back(value->second);
  }
  std::vector<Tensor> outputs = callable->call(inputs);
  if (outputs.size() != phase.outputs.size())
    throw RuntimeError("function '" + function.name + "' gives " + std::to_string(outputs.size()) + " tensors, expected " +
                       std::to_string(phase.outputs.size()));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const wexe::TensorT &tensor = *program.tensors[phase.outputs[i]];
    if (!isLike(outputs[i], tensor))
      throw RuntimeError("function '" + function.name + "' gives " + describe(outputs[i]) + " for tensor '" + tensor.name + "', expected " +
                         describe(tensor));
    values[phase.outputs[i]] = outputs[i];
  }
  PhaseStats stats;
  stats.onWafer = false;
  stats.name = function.name;
  stats.reason = function.reason;
  return stats;
}

void Session::finishStats(const wexe::EntryT &entry, RunStats &stats, const MemoryXCounters &before) const {
  stats.entry = entry.name;
  stats.engine = options_.engine;
  stats.machine = program_.machine().name;
  stats.clockGHz = program_.machine().clockGHz;
  stats.threads = options_.threads;
  for (const PhaseStats &phase : stats.phases) {
    accumulate(stats.total, phase.engine);
    stats.streamed.weights += phase.streamed.weights;
    stats.streamed.activationsIn += phase.streamed.activationsIn;
    stats.streamed.activationsOut += phase.streamed.activationsOut;
    stats.streamed.commands += phase.streamed.commands;
  }
  stats.memoryX = store_.counters();
  stats.memoryX.flashBytesRead -= before.flashBytesRead;
  stats.memoryX.flashBytesWritten = flashBytesWritten_;
  stats.memoryX.prefetchHits -= before.prefetchHits;
  stats.memoryX.prefetchWaits -= before.prefetchWaits;
  stats.weightColours = program_.provedWeightColours();
  const auto &entries = program_.program().entries;
  for (const auto &op : program_.program().report)
    if (op->entry < entries.size() && entries[op->entry].get() == &entry)
      stats.ops.push_back({op->name, op->location, op->placement, op->reason, op->macs});
}

NamedTensors Session::run(const std::string &name, const NamedTensors &inputs, const OutputObserver &made) {
  if (options_.engine == timingEngine)
    throw RuntimeError("the timing engine gives no results, only time; ask for the time (wafer-run --engine timing, Program.time), or run on another engine");
  const Clock::time_point start = Clock::now();
  const MemoryXCounters before = store_.counters();
  const wexe::EntryT &entry = findEntry(name);
  TensorValues values = checkInputs(entry, inputs);
  checkWeights(entry);
  checkBlocks(entry);

  RunStats stats;
  FlashPlaces inFlash;
  std::set<uint32_t> told;
  flashBytesWritten_ = 0;
  for (size_t i = 0; i < entry.phases.size(); ++i) {
    const Clock::time_point phaseStart = Clock::now();
    const wexe::PhaseT &phase = *entry.phases[i];
    stats.phases.push_back(phase.kind == wexe::PhaseKind::Wafer ? runOnWafer(phase, values) : runInMemoryX(phase, values));
    stats.phases.back().seconds = secondsSince(phaseStart);
    stats.phases.back().outputs = outputsOf(entry, phase);
    if (made)
      for (uint32_t number : entry.outputs)
        if (auto value = values.find(number); value != values.end() && told.insert(number).second)
          made(program_.program().tensors[number]->name, value->second);
    stats.activationPeakBytes = std::max(stats.activationPeakBytes, bytesInMemory(values, inFlash));
    dropUnused(program_.program(), entry, i, values);
    if (!options_.flashFolder.empty())
      spill(values, inFlash);
  }

  NamedTensors outputs;
  for (uint32_t number : entry.outputs) {
    auto value = values.find(number);
    if (value == values.end())
      throw RuntimeError("output '" + program_.program().tensors[number]->name + "' of entry '" + entry.name +
                         "' has no value: no phase makes it");
    outputs[program_.program().tensors[number]->name] = value->second;
  }
  for (const auto &[number, value] : values)
    if (int state = program_.program().tensors[number]->updates; state >= 0)
      states_[static_cast<unsigned>(state)] = value;
  finishStats(entry, stats, before);
  stats.seconds = secondsSince(start);
  stats_ = std::move(stats);
  return outputs;
}

PhaseStats Session::timeOnWafer(const wexe::PhaseT &phase, std::mutex &readsWeights, const std::shared_ptr<KnownTimes> &known) const {
  const Clock::time_point start = Clock::now();
  const wexe::ProgramT &program = program_.program();
  TimingOptions options;
  options.known = known;
  options.density = [&](const wexe::StepT &step) {
    if (step.kind == wexe::StepKind::Sample && step.pattern < 0)
      return 1.0;
    const wexe::TensorT &weight = *program.tensors[step.kind == wexe::StepKind::Sample ? step.pattern : step.tensor];
    const uint64_t elements = elementCount(weight.shape).value();
    return elements == 0 || weight.dense_nonzeros == 0 ? 1.0 : double(weight.dense_nonzeros) / double(elements);
  };
  KeptWeights kept(program, store_);
  options.kept = [&](const wexe::StepT &step, uint64_t row, uint64_t column) {
    const std::lock_guard<std::mutex> lock(readsWeights); // other phases are timed meanwhile
    return kept.of(step, phase.grid->columns, row, column, options.density(step));
  };
  PhaseStats stats;
  stats.timing = timePhase(program_, phase, options);
  const PhaseTiming &timing = *stats.timing;
  stats.engine.cycles = timing.cycles;
  stats.engine.macs = timing.macs;
  stats.engine.cores = timing.cores;
  stats.engine.waveletsIn = timing.wavelets.weightWavelets + timing.wavelets.activationsIn + timing.wavelets.commands;
  stats.engine.waveletsOut = timing.wavelets.activationsOut;
  stats.microBatches = phase.grid->micro_batches;
  stats.name = nameOf(phase);
  stats.streamed = {timing.wavelets.weights * bytesPerWavelet, timing.wavelets.activationsIn * bytesPerWavelet,
                    timing.wavelets.activationsOut * bytesPerWavelet, timing.wavelets.commands * bytesPerWavelet};
  stats.seconds = secondsSince(start);
  return stats;
}

/// Those phases, each by itself, on as many threads as the session has.
std::vector<PhaseStats> Session::timeEach(const std::vector<const wexe::PhaseT *> &phases) const {
  std::vector<PhaseStats> timed(phases.size());
  std::vector<std::exception_ptr> failed(phases.size());
  std::atomic<size_t> next{0};
  std::mutex readsWeights;
  const std::shared_ptr<KnownTimes> known = makeKnownTimes();
  auto work = [&] {
    for (size_t i; (i = next++) < phases.size();)
      try {
        timed[i] = timeOnWafer(*phases[i], readsWeights, known);
      } catch (...) {
        failed[i] = std::current_exception();
      }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min<size_t>(options_.threads, phases.size()); ++i)
    others.emplace_back(work);
  work();
  for (std::thread &thread : others)
    thread.join();
  for (const std::exception_ptr &exception : failed)
    if (exception)
      std::rethrow_exception(exception);
  return timed;
}

std::vector<std::string> Session::outputsOf(const wexe::EntryT &entry, const wexe::PhaseT &phase) const {
  std::vector<std::string> names;
  auto add = [&](uint32_t number) {
    if (std::find(entry.outputs.begin(), entry.outputs.end(), number) != entry.outputs.end())
      names.push_back(program_.program().tensors[number]->name);
  };
  for (uint32_t number : phase.outputs)
    add(number);
  for (const auto &step : phase.steps)
    if (step->kind == wexe::StepKind::Receive || step->kind == wexe::StepKind::Sample)
      add(static_cast<uint32_t>(step->tensor));
  return names;
}

/// What the time of a phase depends on; empty where that is the values of a weight.
static std::vector<int64_t> timingKey(const wexe::ProgramT &program, const wexe::PhaseT &phase) {
  const wexe::GridT &grid = *phase.grid;
  std::vector<int64_t> key = {phase.load, phase.command_colour, grid.x0, grid.y0, grid.columns, grid.rows, grid.groups, grid.token_block,
                              static_cast<int64_t>(grid.tokens), grid.micro_batches, grid.batches, grid.batches_at_once, grid.bands};
  for (const auto &step : phase.steps) {
    if (step->kind == wexe::StepKind::Sample || step->wire == wexe::WireFormat::Indexed16 || step->wire == wexe::WireFormat::Indexed32 || step->link != wexe::LinkFormat::Wavelets)
      return {};
    if (step->kind == wexe::StepKind::Send)
      key.push_back(static_cast<int64_t>(groupsThatDiffer(grid, *step, program.tensors[step->tensor]->shape)));
    for (uint64_t number = 0; number < step->batch_sizes.size(); ++number) {
      key.push_back(step->batch_sizes[number]);
      key.push_back(step->batch_strides[number] != 0);
    }
    for (int64_t field : {int64_t(step->kind), int64_t(step->bias >= 0), int64_t(step->type), int64_t(step->wire), int64_t(step->rows),
                          int64_t(step->columns), int64_t(step->feature_block), int64_t(step->out_block), int64_t(step->colour), int64_t(step->task),
                          int64_t(step->times), int64_t(step->task_east), int64_t(step->task_west), int64_t(step->task_own), int64_t(step->task_bias), int64_t(step->input_zeros), int64_t(step->output_zeros),
                          int64_t(step->rows_together), int64_t(step->beside)})
      key.push_back(field);
  }
  return key;
}

void Session::time(const std::string &name) {
  const Clock::time_point start = Clock::now();
  const MemoryXCounters before = store_.counters();
  const wexe::EntryT &entry = findEntry(name);
  checkBlocks(entry);
  RunStats stats;
  std::map<std::vector<int64_t>, size_t> known; ///< phases of layers that do the same
  std::vector<const wexe::PhaseT *> different;
  std::vector<size_t> like; ///< of each phase on the wafer, which of those
  for (const auto &phase : entry.phases) {
    if (phase->kind != wexe::PhaseKind::Wafer)
      continue;
    const std::vector<int64_t> key = timingKey(program_.program(), *phase);
    const auto found = key.empty() ? known.end() : known.find(key);
    like.push_back(found == known.end() ? different.size() : found->second);
    if (found != known.end())
      continue;
    if (!key.empty())
      known.emplace(key, different.size());
    different.push_back(phase.get());
  }
  const std::vector<PhaseStats> timed = timeEach(different);
  size_t onWafer = 0;
  for (const auto &phase : entry.phases) {
    if (phase->kind == wexe::PhaseKind::Wafer) {
      const size_t which = like[onWafer++];
      stats.phases.push_back(timed[which]);
      if (different[which] != phase.get()) {
        stats.phases.back().seconds = 0;
        stats.phases.back().name = nameOf(*phase);
        for (size_t i = 0; i < phase->steps.size(); ++i) {
          stats.phases.back().timing->steps[i].name = phase->steps[i]->name;
          stats.phases.back().timing->steps[i].location = phase->steps[i]->location;
        }
      }
    } else {
      const wexe::FunctionT &function = *program_.program().functions[phase->function];
      stats.phases.emplace_back();
      stats.phases.back().onWafer = false;
      stats.phases.back().name = function.name;
      stats.phases.back().reason = function.reason;
    }
    stats.phases.back().outputs = outputsOf(entry, *phase);
  }
  flashBytesWritten_ = 0;
  finishStats(entry, stats, before);
  stats.engine = timingEngine;
  stats.seconds = secondsSince(start);
  stats_ = std::move(stats);
}

} // namespace wafer
