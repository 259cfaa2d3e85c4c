//===- FunctionalBatch.cpp - cores of one column that run in step -------------===//

#include "FunctionalBatch.h"

#include "wafer/Emulator/NumberFormats.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace wafer {

namespace {

/// Descriptors that an instruction meets in turn: two of each that a kernel swaps.
constexpr size_t mostPlans = 4;

/// Elements of a core from which on an operation on memory is done there, core by core: a value of all cores would leave the host's first cache.
constexpr uint64_t manyElements = 128;

/// Operations that BatchOperation can say.
bool isForFabric(const Operation &op) {
  if (op.inputColour < 0 && op.outputColour < 0 && op.elements >= manyElements)
    return false;
  if (op.insn.type != ElementType::F32 || op.sources > 2)
    return false;
  constexpr Opcode known[] = {Opcode::Mov, Opcode::Add, Opcode::Sub, Opcode::Mul, Opcode::Max};
  if (std::find(std::begin(known), std::end(known), op.insn.opcode) == std::end(known))
    return false;
  auto fits = [](const Descriptor &descriptor) {
    if (isMemory(descriptor))
      return FunctionalBlocks::fits(descriptor);
    return descriptor.type == wexe::ElemType::F32;
  };
  bool all = fits(op.dst);
  for (unsigned i = 0; i < op.sources; ++i)
    all = all && fits(op.src[i]);
  return all && mayReadAhead(op);
}

} // namespace

FunctionalBatch::FunctionalBatch(const LoadedProgram &program, std::vector<FunctionalCore *> cores, ValuePool &pool, uint32_t number)
    : cores_(std::move(cores)), pool_(pool), commandColour_(cores_[0]->model.image.commandColour), registers_(program, cores_), blocks_(cores_, pool),
      panels_(cores_, pool), waiting_(cores_, pool, number, program.machine().colours), taken_(cores_.size()) {
  assert(cores_.size() <= mostCoresInBatch && "a mask has a bit for each core");
  for (size_t i = 0; i < cores_.size(); ++i) {
    cores_[i]->earlier = this;
    cores_[i]->place = static_cast<uint32_t>(i);
  }
}

void FunctionalBatch::receive(size_t place, unsigned colour, Words words) {
  isQuiet_ = false;
  mayRun_ |= maskOf(place);
  if (colour == commandColour_)
    command({std::move(words), false, 0});
  else
    waiting_.receive(place, colour, std::move(words));
}

void FunctionalBatch::start(uint32_t task) {
  isQuiet_ = false;
  mayRun_ = all();
  for (FunctionalCore *core : cores_)
    core->resume(core->model.startControlTask(task));
}

void FunctionalBatch::receive(size_t place, unsigned colour, std::vector<Words> &parts) {
  for (Words &words : parts)
    receive(place, colour, std::move(words));
  parts.clear();
}

void FunctionalBatch::receiveAll(unsigned colour, ValueRef value, size_t elementsPerCore) {
  isQuiet_ = false;
  mayRun_ = all();
  waiting_.receiveAll(colour, std::move(value), elementsPerCore);
}

bool FunctionalBatch::isInTheWay(uint32_t place, const Operation &op) const {
  if (waiting_.isInTheWay(place, op))
    return true;
  if (blocks_.empty())
    return false;
  for (const Footprint &footprint : op.writes)
    if (blocks_.holds(place, footprint))
      return true;
  for (const Footprint &footprint : op.reads)
    if (blocks_.holds(place, footprint))
      return true;
  return false;
}

bool FunctionalBatch::isInTheWay(uint32_t place, const Trigger &trigger) const {
  // What is added on its way and sent must not overtake what waits.
  return (trigger.addsOnTheWay() && !waiting_.empty()) || blocks_.holds(place, trigger.writes) || blocks_.holds(place, trigger.reads) ||
         blocks_.holds(place, trigger.readsRow);
}

void FunctionalBatch::run(BatchSink &sink, EngineStats &stats) {
  for (;;) {
    if (waiting_.run(sink) && !isJoined_) {
      // The cores may have waited for these.
      blocks_.settleReady();
      mayRun_ = all();
    }
    if (isJoined_) {
      while (isJoined_ && runJoined(sink, stats)) {
      }
      if (isJoined_)
        return;
    }
    runCores(sink, stats);
    if (!joinOrTake())
      return;
  }
}

//===----------------------------------------------------------------------===//
// Apart
//===----------------------------------------------------------------------===//

void FunctionalBatch::runCores(BatchSink &sink, EngineStats &stats) {
  if (!allIdle())
    waiting_.handOut();
  // What a core sends may let another one of the batch go on.
  while (mayRun_ != 0)
    for (size_t i = 0; i < cores_.size(); ++i)
      if (mayRun_ & maskOf(i)) {
        mayRun_ &= ~maskOf(i);
        cores_[i]->run(sink, stats);
      }
}

bool FunctionalBatch::allIdle() const {
  for (size_t i = 0; i < cores_.size(); ++i)
    if (!cores_[i]->isIdle() || taken_[i] != taken_[0])
      return false;
  return true;
}

/// Gets the cores to work on the next command, in step if possible. False when they cannot.
bool FunctionalBatch::joinOrTake() {
  if (!allIdle())
    return false;
  at_ = static_cast<size_t>(taken_[0] - firstCommand_);
  commands_.erase(commands_.begin(), commands_.begin() + static_cast<long>(at_));
  firstCommand_ += at_;
  at_ = 0;
  if (commands_.empty())
    return false;
  bool isSame = blocks_.empty();
  for (const FunctionalCore *core : cores_)
    isSame = isSame && core->model.dataTask == first().dataTask && core->model.implicitIndex == first().implicitIndex;
  if (!isSame) {
    runAhead();
    return true;
  }
  registers_.join();
  panels_.forgetAll();
  isJoined_ = true;
  return true;
}

bool FunctionalBatch::runAhead() {
  if (isJoined_ && !pausedAt_)
    return false;
  if (isJoined_) {
    part();
    return true;
  }
  bool did = false;
  for (size_t i = 0; i < cores_.size(); ++i) {
    const size_t next = static_cast<size_t>(taken_[i] - firstCommand_);
    if (!cores_[i]->isIdle() || next >= commands_.size())
      continue;
    cores_[i]->take(commands_[next].command);
    ++taken_[i];
    mayRun_ |= maskOf(i);
    did = true;
  }
  return did;
}

/// Each core goes on by itself, with the instruction at which all of them are, or the next command.
void FunctionalBatch::part() {
  isJoined_ = false;
  mayRun_ = all();
  registers_.part();
  blocks_.settleReady();
  waiting_.handOut();
  for (size_t i = 0; i < cores_.size(); ++i) {
    taken_[i] = firstCommand_ + at_;
    cores_[i]->model.dataTask = first().dataTask;
    cores_[i]->model.bindingTask = first().bindingTask;
    cores_[i]->model.implicitIndex = first().implicitIndex;
    if (pausedAt_)
      cores_[i]->resume(*pausedAt_);
  }
  pausedAt_.reset();
}

bool FunctionalBatch::quiet() {
  if (isQuiet_)
    return true;
  if (isJoined_)
    part();
  waiting_.handOut();
  if (!blocks_.empty() || !waiting_.empty() || taken_[0] != firstCommand_ + commands_.size() || !allIdle())
    return false;
  isQuiet_ = std::all_of(cores_.begin(), cores_.end(), [](FunctionalCore *core) { return core->quiet(); });
  return isQuiet_;
}

void FunctionalBatch::addWaiters(const LoadedProgram &program, std::vector<Waiter> &waiters) const {
  CoreMask known = 0;
  waiting_.forEachWaiting([&](size_t place, uint16_t pc, unsigned colour) {
    if (!(known & maskOf(place)))
      waiters.push_back(waitsForInput(program, cores_[place]->model, pc, colour));
    known |= maskOf(place);
  });
  for (size_t i = 0; i < cores_.size(); ++i)
    if (!(known & maskOf(i)) && !cores_[i]->quiet())
      waiters.push_back(cores_[i]->waiter(program));
}

//===----------------------------------------------------------------------===//
// In step
//===----------------------------------------------------------------------===//

/// The next command, or the rest of the one at work. False when there is none, or nothing could be done; the cores may have parted.
bool FunctionalBatch::runJoined(BatchSink &sink, EngineStats &stats) {
  if (pausedAt_) {
    const uint16_t pc = *std::exchange(pausedAt_, std::nullopt);
    runTask(pc, sink, stats);
    return pausedAt_ != pc;
  }
  if (at_ == commands_.size()) {
    firstCommand_ += at_;
    at_ = 0;
    commands_.clear();
    return false;
  }
  const Command &command = commands_[at_].command;
  if (command.data.count != 0 && !runWeights(stats)) {
    part();
    runAhead();
    return false;
  }
  ++at_;
  if (command.hasControl)
    runTask(first().startControlTask(command.control), sink, stats);
  return true;
}

void FunctionalBatch::runTask(uint16_t pc, BatchSink &sink, EngineStats &stats) {
  for (;; ++pc) {
    const Instruction &insn = first().at(pc);
    if (insn.opcode != Opcode::End && insnClass(insn.opcode) != InsnClass::Control) {
      const Issued issued = issue(insn, pc, sink, stats);
      if (issued != Issued::Yes) {
        runElementsOfAll();
        pausedAt_ = pc;
        if (issued == Issued::Apart)
          part();
        return;
      }
    }
    stats.instructions += cores_.size();
    if (insn.opcode == Opcode::End)
      return runElementsOfAll();
    if (insnClass(insn.opcode) == InsnClass::Control)
      registers_.control(insn, pc);
  }
}

/// The operation that the instruction is with the descriptors of the moment, which are those of all cores.
FunctionalBatch::Plan &FunctionalBatch::planOf(const Instruction &insn, uint16_t pc) {
  CoreModel &model = first();
  if (plans_.size() <= pc)
    plans_.resize(pc + 1u);
  std::vector<Plan> &plans = plans_[pc].known;
  const uint8_t registers[3] = {insn.src0, insn.src1, insn.src2};
  for (Plan &plan : plans) {
    const Descriptor *dst = model.descriptorIn(insn.dst);
    bool same = dst && sameDescriptor(plan.op.dst, *dst);
    for (unsigned i = 0; same && i < plan.op.sources; ++i)
      same = sameDescriptor(plan.op.src[i], *model.descriptorIn(registers[i]));
    if (same)
      return plan;
  }
  Plan plan;
  plan.op = model.issue(insn, pc);
  const Operation &op = plan.op;
  bool isLocal = op.dst.kind != wexe::DescKind::FabOut && op.fabricSource < 0, haveRoutes = true;
  for (const FunctionalCore *core : cores_)
    haveRoutes = haveRoutes && (op.inputColour < 0 || core->model.receives(op.inputColour)) && (op.outputColour < 0 || core->model.sends(op.outputColour));
  if (op.elements == 0)
    plan.kind = Plan::Nothing;
  else if (haveRoutes)
    plan.kind = isForFabric(op) ? Plan::Fabric : isLocal ? Plan::Local : Plan::Apart;
  if (plan.kind == Plan::Local)
    plan.runs = elementRuns(plan.op);
  if (plans.size() < mostPlans) {
    plans.push_back(std::move(plan));
    return plans.back();
  }
  size_t &oldest = plans_[pc].oldest;
  Plan &place = plans[oldest];
  oldest = (oldest + 1) % mostPlans;
  return place = std::move(plan);
}

FunctionalBatch::Issued FunctionalBatch::issue(const Instruction &insn, uint16_t pc, BatchSink &sink, EngineStats &stats) {
  const uint8_t registers[3] = {insn.src0, insn.src1, insn.src2};
  bool isUniform = registers_.isUniform(insn.dst);
  for (unsigned i = 0; i < numSources(insn.opcode); ++i)
    isUniform = isUniform && registers_.isUniform(registers[i]) && first().descriptorIn(registers[i]);
  if (!isUniform)
    return Issued::Apart;
  const Plan &plan = planOf(insn, pc);
  switch (plan.kind) {
  case Plan::Nothing:
    return Issued::Yes;
  case Plan::Local:
    return issueLocal(plan, stats) ? Issued::Yes : Issued::Later;
  case Plan::Fabric:
    return issueFabric(plan, sink, stats) ? Issued::Yes : Issued::Later;
  default:
    return Issued::Apart;
  }
}

/// False when it has to wait for what other operations wait for.
bool FunctionalBatch::issueLocal(const Plan &plan, EngineStats &stats) {
  for (const Footprint &footprint : plan.op.reads)
    if (!blocks_.settle(footprint))
      return false;
  for (const Footprint &footprint : plan.op.writes)
    if (!blocks_.settle(footprint))
      return false;
  for (const Footprint &footprint : plan.op.writes)
    panels_.forget(footprint);
  if (plan.runs) {
    stats.elementOps += plan.op.elements * cores_.size();
    stats.macs += plan.op.isFmac() ? plan.op.elements * cores_.size() : 0;
  }
  if (plan.runs) {
    elements_.push_back(*plan.runs);
    return true;
  }
  runElementsOfAll();
  for (FunctionalCore *core : cores_)
    core->runLocal(plan.op, stats);
  return true;
}

/// Each core does all of them before the next one begins, so that what it works on stays near.
void FunctionalBatch::runElementsOfAll() {
  for (FunctionalCore *core : cores_)
    for (const ElementRuns &runs : elements_)
      runElements(runs, core->model);
  elements_.clear();
}

/// The same.
bool FunctionalBatch::issueFabric(const Plan &plan, BatchSink &sink, EngineStats &stats) {
  const Operation &op = plan.op;
  runElementsOfAll(); // whose results it may read
  // Nothing is changed before it is clear that all can be done.
  for (unsigned i = 0; i < op.sources; ++i)
    if (isMemory(op.src[i]) && !blocks_.settle(op.reads[i], op.src[i].type == wexe::ElemType::F32 ? &op.src[i] : nullptr))
      return false;
  if (isMemory(op.dst) && !blocks_.settle(op.writes[0], &op.dst))
    return false;
  if (!blocks_.makeRoom(2) || (op.outputColour >= 0 && waiting_.sendsElsewhere(op.outputColour, op.inputColour)))
    return false;

  BatchOperation batched;
  batched.opcode = op.insn.opcode;
  batched.pc = op.pc;
  batched.elements = op.elements;
  batched.sources = op.sources;
  batched.inputColour = op.inputColour;
  batched.outputColour = op.outputColour;
  bool isReady = op.inputColour < 0;
  for (unsigned i = 0; i < op.sources; ++i) {
    BatchOperation::Source &source = batched.source[i];
    source.isFabric = op.src[i].kind == wexe::DescKind::FabIn;
    if (op.src[i].kind == wexe::DescKind::Const)
      source.constant = floatOf(op.src[i].imm);
    if (!isMemory(op.src[i]))
      continue;
    source.value = blocks_.read(op.src[i]);
    if (op.inputColour < 0 && !source.value.isReady(all()))
      return false;
  }
  stats.elementOps += op.elements * cores_.size();
  if (op.insn.clear1) {
    panels_.forget(op.writes[1]);
    blocks_.write(op.src[1], op.reads[1], ValueRef());
  }
  if (isMemory(op.dst)) {
    panels_.forget(op.writes[0]);
    batched.result = pool_.make(op.elements * cores_.size());
    blocks_.write(op.dst, op.writes[0], batched.result);
  }
  if (isReady) {
    waiting_.execute(batched, sink);
  } else {
    waiting_.wait(std::move(batched), sink);
  }
  return true;
}

} // namespace wafer
