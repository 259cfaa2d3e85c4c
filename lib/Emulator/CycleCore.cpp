//===- CycleCore.cpp - one core, cycle by cycle ------------------------------===//

#include "CycleCore.h"

#include <algorithm>

namespace wafer {

namespace {

uint32_t lanesFor(const Lanes &lanes, ElementType type) {
  unsigned bytes = byteSize(type);
  return bytes == 4 ? lanes.bits32 : bytes == 2 ? lanes.bits16 : lanes.bits8;
}

uint64_t waveletsFor(const Descriptor &descriptor, uint64_t elements) {
  unsigned per = elementsPerWavelet(descriptor.type);
  return (elements + per - 1) / per;
}

} // namespace

CycleCore::CycleCore(const LoadedProgram &program, const ImageModel &image, uint16_t x, uint16_t y, const uint64_t &clock, const EngineOptions &options,
                     std::shared_ptr<uint8_t> memory)
    : model(program, image, x, y, std::move(memory)), router(uint32_t(y) * program.machine().width + x), machine_(program.machine()), now_(clock) {
  model.clock = &clock;
  for (auto [number, share] : options.nonzeros)
    if (auto task = image.controlTasks.find(number); task != image.controlTasks.end())
      nonzeros_[task->second] = share;
  if (image.start)
    startTask(*image.start);
}

std::optional<CycleCore::TaskAtWork> CycleCore::taskAtWork() const {
  if (task_)
    return TaskAtWork{taskSerial_, taskEntry_};
  if (trigger_)
    return TaskAtWork{taskSerial_, trigger_->pc};
  return std::nullopt;
}

Operation *CycleCore::relayOf(uint8_t colour) {
  for (Running &running : microthreads_)
    if (Operation &op = running.operation; op.inputColour >= 0 && op.outputColour >= 0 && (op.inputColour == colour || op.outputColour == colour))
      return &op;
  return nullptr;
}

/// Factors of 16 bits are multiplied as arriving ones are.
uint64_t CycleCore::fmacLanesOf(const Operation &op) const {
  const Lanes &lanes = op.dst.kind == wexe::DescKind::Acc ? machine_.fmacAccLanes : machine_.fmacMemLanes;
  const bool isNarrow = std::all_of(op.src, op.src + 2, [](const Descriptor &factor) { return factor.kind != wexe::DescKind::Const && byteSize(elementType(factor.type)) == 2; });
  return isNarrow ? lanes.bits16 : lanes.bits32;
}

/// Elements that the datapath handles in a cycle: the lanes, and never more than a fabric queue can hold.
uint64_t CycleCore::lanesOf(const Operation &op) const {
  uint64_t group = op.isFmac() ? fmacLanesOf(op) : lanesFor(insnClass(op.insn.opcode) == InsnClass::Function ? machine_.functionLanes : machine_.vectorLanes, op.insn.type);
  // An accumulating destination depends on itself.
  if (isMemory(op.dst) && op.dst.stride[3] == 0 && op.dst.extent[3] > 1)
    group = 1;
  auto limit = [&](const Descriptor &descriptor) {
    if (isFabric(descriptor))
      group = std::min<uint64_t>(group, uint64_t(machine_.coreQueueDepth) * elementsPerWavelet(descriptor.type));
  };
  limit(op.dst);
  for (unsigned i = 0; i < op.sources; ++i)
    limit(op.src[i]);
  return group;
}

CycleCore::Readiness CycleCore::readiness(const Running &running, const RampQueues &queues) const {
  const Operation &op = running.operation;
  uint64_t group = groupOf(running);
  if (int source = op.fabricSource; source >= 0 && group > 0) {
    uint64_t needed = waveletsFor(op.src[source], group - op.hasPendingIn);
    if (queues.in[op.src[source].colour].readyCount(now_, needed) < needed)
      return Readiness::NoInput;
  }
  if (op.dst.kind == wexe::DescKind::FabOut) {
    uint64_t needed = waveletsFor(op.dst, group + op.hasPendingOut);
    // A group that begins with half a wavelet may need one place more than there is; it then waits for an empty queue.
    if (queues.out[op.dst.colour].size() + needed > std::max<uint64_t>(machine_.coreQueueDepth, needed))
      return Readiness::NoRoom;
  }
  return Readiness::Ready;
}

/// Works on one group of elements.
void CycleCore::advance(Running &running, CycleFabric &fabric, EngineStats &stats) {
  Operation &op = running.operation;
  int source = op.fabricSource;
  for (uint64_t i = 0, group = groupOf(running); i < group; ++i) {
    uint32_t bits = 0;
    if (source >= 0) {
      if (op.hasPendingIn) {
        bits = op.pendingIn;
        op.hasPendingIn = false;
      } else {
        bits = fabric.take(router, op.src[source].colour).payload;
        // Behind the last of an odd number of elements is padding, which leaves with the operation.
        if (elementsPerWavelet(op.src[source].type) == 2) {
          op.pendingIn = bits >> 16;
          op.hasPendingIn = true;
          bits &= 0xffff;
        }
      }
    }
    uint32_t result = model.element(op, bits);
    ++stats.elementOps;
    stats.macs += op.isFmac();
    if (op.dst.kind != wexe::DescKind::FabOut)
      continue;
    bool pairs = elementsPerWavelet(op.dst.type) == 2;
    if (pairs && !op.hasPendingOut && !op.finished()) {
      op.pendingOut = result & 0xffff;
      op.hasPendingOut = true;
      continue;
    }
    uint32_t payload = !pairs ? result : op.hasPendingOut ? (op.pendingOut | result << 16) : (result & 0xffff);
    op.hasPendingOut = false;
    fabric.give(router, op.dst.colour, payload, now_ + 1);
  }
}

template <typename Later> size_t CycleCore::conflictOf(const Later &later, size_t older) const {
  for (size_t i = 0; i < older; ++i)
    if (conflict(microthreads_[i].operation, later))
      return i;
  return noConflict;
}

/// The oldest microthread with a full group takes the datapath; set-up needs none. Returns whether one did.
bool CycleCore::stepMicrothreads(CycleFabric &fabric, EngineStats &stats) {
  bool took = false;
  for (size_t i = 0; i < microthreads_.size(); ++i) {
    Running &thread = microthreads_[i];
    if (!thread.isFree && !(thread.isFree = conflictOf(thread.operation, i) == noConflict))
      continue;
    if (thread.setup > 0) {
      --thread.setup;
      changed_ = true;
      continue;
    }
    if (took || thread.operation.finished() || readiness(thread, fabric.ramp(router)) != Readiness::Ready)
      continue;
    advance(thread, fabric, stats);
    took = true;
  }
  // A finished operation leaves after the cycle, so that those behind it start in the next.
  const size_t before = microthreads_.size();
  microthreads_.erase(std::remove_if(microthreads_.begin(), microthreads_.end(),
                                     [](const Running &thread) { return thread.setup == 0 && thread.operation.finished(); }),
                      microthreads_.end());
  changed_ |= took || microthreads_.size() != before;
  return took;
}

/// Whether a sum on its way can take its addend and give off its result.
Activity CycleCore::sumWaits(const RampQueues &queues) const {
  if (trigger_->inputColour >= 0 && !queues.in[trigger_->inputColour].readyAt(now_))
    return Activity::WaitFabricIn;
  return queues.out[trigger_->outputColour].size() >= machine_.coreQueueDepth ? Activity::WaitFabricOut : Activity::Busy;
}

/// Of the trigger's value at work.
uint64_t CycleCore::products() const {
  const auto share = nonzeros_.find(model.bindingTask);
  return model.products(*trigger_, triggerValue_, share == nonzeros_.end() ? 1 : share->second);
}

Activity CycleCore::stepTrigger(CycleFabric &fabric, EngineStats &stats, bool datapathFree) {
  if (!triggerIsFree_ && !(triggerIsFree_ = conflictOf(*trigger_, microthreads_.size()) == noConflict))
    return Activity::WaitConflict;
  if (!datapathFree)
    return Activity::Microthread;
  const bool inRegisters = trigger_->addsOnTheWay() || trigger_->dst.kind == wexe::DescKind::Acc;
  const Lanes &lanes = inRegisters ? machine_.fmacAccLanes : machine_.fmacMemLanes;
  if (trigger_->values == 0) {
    trigger_ = nullptr; // an index
    return Activity::Busy;
  }
  // A wavelet takes at least one cycle, its values that have nothing to multiply take none.
  uint64_t elements = products();
  while (elements == 0 && triggerValue_ + 1 < trigger_->values) {
    ++triggerValue_;
    elements = products();
  }
  const uint64_t end = std::min<uint64_t>(elements, triggerElement_ + lanesFor(lanes, trigger_->insn.type));
  if (trigger_->addsOnTheWay() && end == elements) {
    if (Activity waits = sumWaits(fabric.ramp(router)); waits != Activity::Busy)
      return waits;
    uint32_t addend = 0;
    if (trigger_->inputColour >= 0) {
      addend = fabric.take(router, static_cast<unsigned>(trigger_->inputColour)).payload;
    }
    fabric.give(router, static_cast<unsigned>(trigger_->outputColour), model.sumOnTheWay(*trigger_, triggerValue_, addend), now_ + 1);
  } else if (!trigger_->addsOnTheWay()) {
    model.fmac(*trigger_, triggerValue_, triggerElement_, end);
  }
  model.count(end - triggerElement_, stats);
  triggerElement_ = end;
  if (triggerElement_ == elements) {
    triggerElement_ = 0;
    if (++triggerValue_ >= trigger_->values)
      trigger_ = nullptr;
  }
  return Activity::Busy;
}

Activity CycleCore::stepOperation(CycleFabric &fabric, EngineStats &stats, bool datapathFree) {
  Operation &op = operation_->operation;
  if (!operation_->isFree && !(operation_->isFree = conflictOf(op, microthreads_.size()) == noConflict))
    return Activity::WaitConflict;
  if (operation_->setup > 0) {
    // Without elements, set-up is all there is.
    if (--operation_->setup == 0 && op.finished())
      operation_.reset();
    return Activity::Busy;
  }
  if (!op.finished()) {
    switch (readiness(*operation_, fabric.ramp(router))) {
    case Readiness::NoInput:
      return Activity::WaitFabricIn;
    case Readiness::NoRoom:
      return Activity::WaitFabricOut;
    case Readiness::Ready:
      break;
    }
    if (!datapathFree)
      return Activity::Microthread;
    advance(*operation_, fabric, stats);
  }
  if (op.finished())
    operation_.reset();
  return Activity::Busy;
}

/// Takes the next instruction of the task. What it takes in cycles is left in `busy_`; an activity is returned when the cycle is used up at
/// once.
std::optional<Activity> CycleCore::fetch(EngineStats &stats) {
  uint16_t pc = *task_;
  const Instruction &insn = model.at(pc);
  if (insnClass(insn.opcode) == InsnClass::Control) {
    ++stats.instructions;
    if (insn.opcode == Opcode::End) {
      task_.reset();
    } else {
      model.control(insn, pc);
      bound_.reset();
      ++*task_;
    }
    busy_ = insn.opcode == Opcode::Ldd ? machine_.descriptorCycles : machine_.scalarCycles;
    return std::nullopt;
  }
  // A vector or function instruction; the loader leaves triggers to data tasks (task_c4).
  if (insn.async && microthreads_.size() == machine_.microthreads)
    return Activity::WaitSlot;
  Running running{model.issue(insn, pc), machine_.vectorSetupCycles};
  running.lanes = lanesOf(running.operation);
  ++stats.instructions;
  ++*task_;
  if (insn.async) {
    microthreads_.push_back(std::move(running));
    busy_ = machine_.scalarCycles;
  } else {
    operation_ = std::move(running);
  }
  return std::nullopt;
}

void CycleCore::startTask(uint32_t number) {
  task_ = taskEntry_ = model.startControlTask(number);
  ++taskSerial_;
  busy_ = machine_.taskCycles;
}

void CycleCore::startCommand(CycleFabric &fabric, EngineStats &stats) {
  Wavelet wavelet = fabric.take(router, model.image.commandColour);
  if (wavelet.control) {
    startTask(wavelet.payload);
    return;
  }
  if (!bound_)
    bound_ = model.boundTrigger();
  trigger_ = &*bound_;
  model.take(*trigger_, wavelet.payload);
  triggerValue_ = 0;
  triggerIsFree_ = false;
  stats.instructions += 2; // the trigger and the end of its task
  busy_ = machine_.triggerCycles;
  if (trigger_->elementsPerRow() == 0)
    trigger_ = nullptr;
}

/// One cycle of the task. Steps that a machine does in no time are followed by the next one at once; tasks and queues are finite.
Activity CycleCore::stepTask(CycleFabric &fabric, EngineStats &stats, bool datapathFree) {
  for (bool did = false;;) {
    if (busy_ > 0) {
      --busy_;
      return Activity::Busy;
    }
    if (trigger_)
      return stepTrigger(fabric, stats, datapathFree);
    if (operation_)
      return stepOperation(fabric, stats, datapathFree);
    if (task_) {
      if (std::optional<Activity> activity = fetch(stats))
        return did ? Activity::Busy : *activity;
    } else {
      if (!fabric.ramp(router).in[model.image.commandColour].readyAt(now_))
        return did ? Activity::Busy : Activity::WaitCommand;
      startCommand(fabric, stats);
    }
    did = changed_ = true;
  }
}

Activity CycleCore::step(CycleFabric &fabric, EngineStats &stats) {
  changed_ = false;
  bool took = stepMicrothreads(fabric, stats);
  Activity activity = stepTask(fabric, stats, !took);
  changed_ |= activity == Activity::Busy;
  return took && activity != Activity::Busy ? Activity::Microthread : activity;
}

Blocked CycleCore::describe(const Running &running, size_t older, const RampQueues &queues) const {
  const Operation &op = running.operation;
  Blocked blocked;
  blocked.pc = op.pc;
  blocked.inputColour = op.inputColour;
  blocked.outputColour = op.outputColour;
  if (size_t behind = conflictOf(op, older); behind != noConflict) {
    blocked.reason = Blocked::Conflict;
    blocked.behind = behind;
  } else if (readiness(running, queues) == Readiness::NoInput) {
    blocked.reason = Blocked::Input;
    blocked.colour = static_cast<unsigned>(op.inputColour);
  } else {
    blocked.reason = Blocked::Room;
    blocked.colour = static_cast<unsigned>(op.outputColour);
  }
  return blocked;
}

std::vector<Blocked> CycleCore::blocked(const RampQueues &queues) const {
  std::vector<Blocked> all;
  for (size_t i = 0; i < microthreads_.size(); ++i)
    all.push_back(describe(microthreads_[i], i, queues));
  Blocked task;
  task.colour = model.image.commandColour;
  if (operation_) {
    task = describe(*operation_, microthreads_.size(), queues);
  } else if (trigger_) {
    task.pc = trigger_->pc;
    task.inputColour = trigger_->inputColour;
    task.outputColour = trigger_->outputColour;
    if (size_t behind = conflictOf(*trigger_, microthreads_.size()); behind != noConflict) {
      task.reason = Blocked::Conflict;
      task.behind = behind;
    } else {
      const bool needsInput = trigger_->inputColour >= 0 && !queues.in[trigger_->inputColour].readyAt(now_);
      task.reason = needsInput ? Blocked::Input : Blocked::Room;
      task.colour = static_cast<unsigned>(needsInput ? trigger_->inputColour : trigger_->outputColour);
    }
  } else if (task_) {
    task.reason = Blocked::Slot;
    task.pc = *task_;
  }
  all.push_back(task);
  return all;
}

} // namespace wafer
