//===- CoreBatch.cpp - cores that run in step: tasks and the scoreboard -------===//

#include "CoreBatch.h"

#include "FunctionalVector.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace wafer {

void BatchMemory::Free::operator()(uint8_t *pointer) const { std::free(pointer); }

static uint8_t *zeros(size_t bytes) {
  void *memory = std::calloc(std::max<size_t>(bytes, 1), 1);
  if (!memory)
    throw std::bad_alloc();
  return static_cast<uint8_t *>(memory);
}

BatchMemory::BatchMemory(const Machine &machine, size_t lanes)
    : lanes_(lanes), sramBytes_(machine.sramBytes), sram_(zeros(lanes * machine.sramBytes)), accumulator_(zeros(lanes * ((machine.accumulatorBytes + 3) / 4 * 4))) {}

bool CoreBatch::Work::finished() const {
  return lanes.empty() ? common.finished() : std::all_of(lanes.begin(), lanes.end(), [](const Operation &op) { return op.finished(); });
}

CoreBatch::CoreBatch(const LoadedProgram &program, const ImageModel &image, std::shared_ptr<BatchMemory> memory, uint32_t number)
    : program_(program), image_(image), memory_(std::move(memory)), number_(number), registers_(numDescriptorRegisters),
      templates_(program.program().images[image.index]->descriptors.size()) {}

CoreBatch::CoreBatch(const LoadedProgram &program, const ImageModel &image, const std::vector<std::pair<uint16_t, uint16_t>> &places, uint32_t number)
    : CoreBatch(program, image, std::make_shared<BatchMemory>(program.machine(), places.size()), number) {
  for (size_t lane = 0; lane < places.size(); ++lane)
    models_.emplace_back(program, image, places[lane].first, places[lane].second, memory_->lane(lane));
  in.assign(program.machine().colours, Inbox(places.size()));
}

CoreBatch CoreBatch::only(size_t lane, uint32_t number) const {
  CoreBatch batch(program_, image_, memory_, number);
  batch.ownsAccumulators_ = false;
  batch.models_.emplace_back(program_, image_, models_[lane].x, models_[lane].y, models_[lane].memory);
  batch.models_[0].sramHighWater = sramHighWater();
  for (size_t r = 0; r < registers_.size(); ++r)
    batch.registers_[r] = {registers_[r].loaded, registers_[r].of(lane), {}};
  batch.dataTask_ = dataTask_;
  batch.implicitIndex_ = implicitIndex_;
  batch.task_ = task_;
  batch.burstAt_ = burstAt_;
  auto workOf = [&](const Work &work) {
    Work alone;
    alone.touchesMemory = work.touchesMemory;
    // Word by word from here on: what was read early is put back where it is read again.
    alone.lanes = {work.of(lane)};
    if (!work.source1.empty()) {
      alone.lanes.clear();
      alone.common = work.of(lane);
      for (size_t i = lane; i < work.source1.size(); i += lanes())
        alone.source1.push_back(work.source1[i]);
    }
    return alone;
  };
  for (const auto &work : pending_)
    if (!work->of(lane).finished())
      batch.pending_.push_back(std::make_unique<Work>(workOf(*work)));
  if (work_)
    batch.work_ = workOf(*work_);
  batch.commands = commands;
  for (Inbox inbox : in) {
    batch.in.emplace_back(1);
    WordQueue &queue = inbox.ofLane(lane);
    batch.in.back().pushAll(queue.data(), queue.size());
  }
  return batch;
}

bool CoreBatch::quiet() const {
  return pending_.empty() && !work_ && task_ < 0 && commands.empty() && std::all_of(in.begin(), in.end(), [](const Inbox &inbox) { return inbox.empty(); });
}

uint64_t CoreBatch::sramHighWater() const {
  uint64_t highest = 0;
  for (const CoreModel &model : models_)
    highest = std::max(highest, model.sramHighWater);
  return highest;
}

const CoreBatch::Register &CoreBatch::use(uint8_t reg, uint16_t pc) const {
  if (!registers_[reg].loaded)
    models_[0].trap("desc_c2", pc, "d" + std::to_string(reg) + " is used before a ldd into it");
  return registers_[reg];
}

void CoreBatch::control(const Instruction &insn, uint16_t pc) {
  switch (insn.opcode) {
  case Opcode::Ldd: {
    std::unique_ptr<Register> &known = templates_[insn.descriptorTemplate];
    if (!known) {
      known = std::make_unique<Register>();
      known->loaded = true;
      auto at = [&](size_t lane) { return program_.descriptorAt(models_[lane].x, models_[lane].y, insn.descriptorTemplate); };
      known->common = at(0);
      std::vector<Descriptor> all;
      for (size_t lane = 0; lane < lanes(); ++lane)
        all.push_back(at(lane));
      auto same = [&](const Descriptor &d) {
        const Descriptor &c = known->common;
        return d.kind == c.kind && d.type == c.type && d.colour == c.colour && d.base == c.base && d.imm == c.imm &&
               std::equal(d.extent, d.extent + 4, c.extent) && std::equal(d.stride, d.stride + 4, c.stride);
      };
      if (!std::all_of(all.begin(), all.end(), same))
        known->lanes = std::move(all);
    }
    registers_[insn.dst] = *known;
    break;
  }
  case Opcode::Swapd:
    use(insn.dst, pc);
    use(insn.src0, pc);
    std::swap(registers_[insn.dst], registers_[insn.src0]);
    break;
  case Opcode::Addd: {
    use(insn.dst, pc);
    // Checked when it is used: one step past the end is how a loop leaves it.
    auto advance = [&](Descriptor &descriptor) { descriptor.base = static_cast<uint32_t>(static_cast<int64_t>(descriptor.base) + insn.offset) & 0xffff; };
    advance(registers_[insn.dst].common);
    for (Descriptor &descriptor : registers_[insn.dst].lanes)
      advance(descriptor);
    break;
  }
  case Opcode::Bind:
    dataTask_ = insn.pc;
    break;
  default:
    break;
  }
}

void CoreBatch::checkRoutes(const Operation &op) {
  // Once per pair of colours: routes do not change.
  const size_t colours = program_.machine().colours;
  routesChecked_.resize((colours + 1) * (colours + 1));
  size_t pair = static_cast<size_t>(op.inputColour + 1) * (colours + 1) + static_cast<size_t>(op.outputColour + 1);
  if (routesChecked_[pair])
    return;
  for (const CoreModel &model : models_)
    model.checkRoutes(op);
  routesChecked_[pair] = true;
}

CoreBatch::Work CoreBatch::issue(const Instruction &insn, uint16_t pc) {
  const uint8_t numbers[3] = {insn.src0, insn.src1, insn.src2};
  const unsigned sources = numSources(insn.opcode);
  const Register *registers[4] = {&use(insn.dst, pc), nullptr, nullptr, nullptr};
  bool differ = !registers[0]->lanes.empty();
  for (unsigned i = 0; i < sources; ++i) {
    registers[i + 1] = &use(numbers[i], pc);
    differ = differ || !registers[i + 1]->lanes.empty();
  }
  auto issueAt = [&](size_t lane) {
    Descriptor source[3];
    for (unsigned i = 0; i < sources; ++i)
      source[i] = registers[i + 1]->of(lane);
    return models_[lane].issue(insn, pc, registers[0]->of(lane), source);
  };
  Work work;
  work.common = issueAt(0);
  if (differ) {
    work.lanes.push_back(work.common);
    for (size_t lane = 1; lane < lanes(); ++lane)
      work.lanes.push_back(issueAt(lane));
    return work;
  }
  checkRoutes(work.common);
  if (runsTogether(work.common))
    readEarly(work);
  else
    work.lanes.assign(lanes(), work.common);
  return work;
}

bool CoreBatch::blocks(const Work &earlier, const Work &later, size_t lane) const {
  return !earlier.of(lane).finished() && conflict(earlier.of(lane), later.of(lane));
}

/// Whether one of the first `older` pending operations is in the way of all lanes of `work`.
bool CoreBatch::isBlocked(const Work &work, size_t older) const {
  for (size_t i = 0; i < older; ++i) {
    const Work &earlier = *pending_[i];
    if (earlier.lanes.empty() && work.lanes.empty() && !(earlier.touchesMemory && work.touchesMemory)) {
      const Operation &a = earlier.common, &b = work.common;
      if ((a.inputColour >= 0 && a.inputColour == b.inputColour) || (a.outputColour >= 0 && a.outputColour == b.outputColour))
        return true;
      continue;
    }
    const size_t different = earlier.lanes.empty() && work.lanes.empty() ? 1 : lanes();
    for (size_t lane = 0; lane < different; ++lane)
      if (blocks(earlier, work, lane))
        return true;
  }
  return false;
}

/// An accumulator that goes out with a sum from the fabric is read at once if nobody is still to write it: the next sums can begin before the fabric's comes.
void CoreBatch::readEarly(Work &work) {
  Operation &op = work.common;
  if (!op.insn.async || op.fabricSource() < 0 || op.sources != 2 || op.src[1].kind != wexe::DescKind::Acc || !op.insn.clear1)
    return;
  for (const auto &earlier : pending_) {
    const size_t different = !earlier->touchesMemory ? 0 : earlier->lanes.empty() ? 1 : lanes();
    for (size_t lane = 0; lane < different; ++lane) {
      const Operation &other = earlier->of(lane);
      if (other.finished())
        continue;
      for (const Footprint &written : other.writes)
        if (written.overlaps(op.reads[1]))
          return;
      for (const Footprint &read : other.reads)
        if (read.overlaps(op.writes[1]))
          return;
    }
  }
  if (op.writes[0].overlaps(op.reads[1]))
    return;
  float *from = accumulator(op.src[1], 0);
  const size_t count = op.elements * lanes();
  work.source1.assign(from, from + count);
  std::fill_n(from, count, 0.0f);
  op.reads[1] = op.writes[1] = Footprint();
  work.touchesMemory = isMemory(op.dst) || isMemory(op.src[0]);
}

bool CoreBatch::runPending(WordSink &sink, EngineStats &stats) {
  bool did = false;
  uint64_t waiting = 0; // input colours that an older operation waits for
  size_t kept = 0;
  for (size_t i = 0; i < pending_.size(); ++i) {
    Work &work = *pending_[i];
    const int colour = work.lanes.empty() ? work.common.inputColour : -1;
    if (colour < 0 || colour >= 64 || !(waiting >> colour & 1))
      did |= progress(work, kept, sink, stats);
    if (work.finished()) {
      did = true;
      continue;
    }
    if (colour >= 0 && colour < 64)
      waiting |= uint64_t(1) << colour;
    if (kept != i)
      pending_[kept] = std::move(pending_[i]);
    ++kept;
  }
  pending_.resize(kept);
  return did;
}

void CoreBatch::runTask(EngineStats &stats) {
  uint16_t pc = static_cast<uint16_t>(task_);
  const Instruction &insn = models_[0].at(pc);
  stats.instructions += lanes();
  if (insn.opcode == Opcode::End) {
    task_ = -1;
    return;
  }
  ++task_;
  if (insnClass(insn.opcode) == InsnClass::Control)
    control(insn, pc);
  else if (insn.async)
    pending_.push_back(std::make_unique<Work>(issue(insn, pc)));
  else
    work_ = issue(insn, pc);
}

/// One step of the task at work, or the next command. False when it has to wait.
bool CoreBatch::runMain(WordSink &sink, EngineStats &stats) {
  if (work_) {
    bool did = progress(*work_, pending_.size(), sink, stats);
    if (work_->finished()) {
      work_.reset();
      did = true;
    }
    return did;
  }
  if (task_ >= 0) {
    runTask(stats);
    return true;
  }
  if (commands.empty())
    return false;
  const CommandBurst &burst = *commands.front();
  if (burstAt_ < burst.data.size() && !runWeights(burst, stats))
    return false;
  if (burst.hasControl) {
    implicitIndex_ = 0;
    task_ = models_[0].startControlTask(burst.control);
  }
  burstAt_ = 0;
  commands.pop_front();
  return true;
}

void CoreBatch::run(WordSink &sink, EngineStats &stats) {
  for (bool did = true; did;) {
    did = !pending_.empty() && runPending(sink, stats);
    // What waits is looked at when it has doubled, so that looking stays cheap.
    size_t most = std::max<size_t>(32, 2 * pending_.size());
    while (runMain(sink, stats)) {
      did = true;
      if (pending_.size() < most)
        continue;
      runPending(sink, stats);
      most = std::max<size_t>(32, 2 * pending_.size());
    }
  }
}

Waiter CoreBatch::waiter(const LoadedProgram &program) const {
  const CoreModel &model = models_[0];
  const Operation *op = !pending_.empty() ? &pending_.front()->of(0) : work_ ? &work_->of(0) : nullptr;
  if (op && op->fabricSource() >= 0)
    return waitsForInput(program, model, op->pc, op->src[op->fabricSource()].colour);
  for (unsigned colour = 0; colour < in.size(); ++colour)
    if (size_t waiting = in[colour].available(0))
      return {model.x, model.y,
              "core (" + std::to_string(model.x) + ", " + std::to_string(model.y) + ") has " + std::to_string(waiting) + " wavelets of " +
                  program.colourName(colour) + " that no task takes",
              {}};
  return {model.x, model.y, "", {}};
}

} // namespace wafer
