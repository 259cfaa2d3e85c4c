//===- TimingParts.cpp - steps that are timed by themselves --------------------===//

#include "TimingParts.h"

#include "Semantics.h"
#include "TimingIngress.h"
#include "wafer/Machine/FeatureLayout.h"

#include <algorithm>
#include <bitset>
#include <map>
#include <set>

namespace wafer {

namespace {

constexpr uint64_t resultsBesides = 16; ///< what leaves beside a long step takes so much less than it, at least
constexpr uint64_t turnsThatTell = 8;   ///< at least, of a weight's owners

/// Tasks that a step commands, in the order in which cores may first run them.
std::vector<uint16_t> tasksOf(const wexe::StepT &step) {
  switch (step.kind) {
  case wexe::StepKind::Contract: {
    std::vector<uint16_t> tasks;
    if (step.output_zeros > 0)
      tasks = {step.mask_own, step.mask_east, step.mask_west, step.mask_last};
    if (step.bias >= 0)
      tasks.push_back(step.task_bias);
    tasks.insert(tasks.end(), {step.task_own, step.task_east, step.task_west});
    return tasks;
  }
  case wexe::StepKind::Scale:
    return step.bias >= 0 ? std::vector<uint16_t>{step.task_bias, step.task_own} : std::vector<uint16_t>{step.task_own};
  case wexe::StepKind::Sample:
    return {step.task_own, step.task_east, step.task_west, step.task};
  default:
    return {step.task};
  }
}

bool streams(const wexe::StepT &step) { return step.kind == wexe::StepKind::Contract || step.kind == wexe::StepKind::Scale || step.kind == wexe::StepKind::Sample; }

/// Calls visit(instruction) for those of the control task with this number, if the image has it.
template <typename Visit> void forEachInstruction(const LoadedProgram &program, unsigned image, uint16_t number, Visit visit) {
  const std::vector<Instruction> &code = program.code(image);
  for (const auto &task : program.program().images[image]->tasks)
    if (task->kind == wexe::TaskKind::Control && task->number == number)
      for (uint16_t pc = task->pc; pc < code.size() && code[pc].opcode != Opcode::End; ++pc)
        visit(code[pc]);
}

/// Descriptor registers of a core, as far as tasks that ran one after another loaded them.
class LoadedRegisters {
public:
  LoadedRegisters(const LoadedProgram &program, unsigned image) : program_(program), image_(image) {}

  /// Whether all that a step's tasks use was loaded by then.
  bool run(const wexe::StepT &step) {
    bool isComplete = !streams(step) || (bound_ && uses(program_.code(image_)[*bound_]));
    for (uint16_t task : tasksOf(step))
      forEachInstruction(program_, image_, task, [&](const Instruction &insn) {
        if (insn.opcode == Opcode::Ldd)
          loaded_.set(insn.dst);
        else if (insn.opcode == Opcode::Bind)
          bound_ = insn.pc;
        else
          isComplete &= uses(insn);
      });
    return isComplete;
  }

private:
  bool uses(const Instruction &insn) const {
    const unsigned sources = insn.opcode == Opcode::Swapd ? 1 : numSources(insn.opcode);
    const uint8_t registers[] = {insn.src0, insn.src1, insn.src2};
    return loaded_[insn.dst] && std::all_of(registers, registers + sources, [&](uint8_t reg) { return loaded_[reg]; });
  }

  const LoadedProgram &program_;
  const unsigned image_;
  std::bitset<numDescriptorRegisters> loaded_;
  std::optional<uint16_t> bound_;
};

/// Whether cores that did nothing before can run the part.
bool standsAlone(const LoadedProgram &program, const wexe::PhaseT &phase, const TimingPart &part) {
  std::set<unsigned> images;
  for (const auto &region : program.program().regions)
    if (region->rect->y0() < phase.grid->y0 + uint32_t(phase.grid->rows))
      images.insert(region->image);
  return std::all_of(images.begin(), images.end(), [&](unsigned image) {
    LoadedRegisters registers(program, image);
    for (size_t i = part.first; i < part.first + part.count; ++i)
      if (!registers.run(*phase.steps[i]))
        return false;
    return true;
  });
}

/// Cycles that a step takes at least.
uint64_t leastCycles(const Machine &machine, const wexe::GridT &grid, const wexe::StepT &step, const TimingOptions &options) {
  switch (step.kind) {
  case wexe::StepKind::Contract:
  case wexe::StepKind::Sample:
    return static_cast<uint64_t>(static_cast<double>(uint64_t(step.rows) * featuresInColumn(step.columns, grid.columns, 0)) * (isIndexed(step) && options.density ? options.density(step) : 1));
  case wexe::StepKind::Command:
    return step.macs / (uint64_t(grid.columns) * grid.groups * grid.rows) / std::max(machine.fmacAccLanes.bits16, machine.fmacMemLanes.bits16);
  case wexe::StepKind::Receive:
    return uint64_t(step.feature_block) * grid.token_block / elementsPerWavelet(step.type) * grid.columns * grid.groups * grid.rows / machine.egressWaveletsPerCycle;
  default:
    return 0;
  }
}

/// But for its address.
void addDescriptor(const Descriptor &descriptor, std::vector<int64_t> &key) {
  key.insert(key.end(), {int64_t(descriptor.kind), int64_t(descriptor.type), descriptor.colour, descriptor.imm});
  key.insert(key.end(), descriptor.extent, descriptor.extent + 4);
  key.insert(key.end(), descriptor.stride, descriptor.stride + 4);
}

/// The instructions that cores of the first group have for the part, and their descriptors; of addresses, which are alike.
void addCode(const LoadedProgram &program, const wexe::PhaseT &part, std::vector<int64_t> &key) {
  const wexe::GridT &grid = *part.grid;
  std::vector<int64_t> last;
  for (const uint32_t y : {uint32_t(grid.y0), grid.y0 + grid.rows - 1u})
    for (uint32_t x = grid.x0; x < grid.x0 + uint32_t(grid.columns); ++x) {
      const unsigned image = program.program().regions[static_cast<size_t>(program.regionAt(x, y))]->image;
      std::vector<int64_t> core;
      std::map<uint32_t, size_t> places; ///< number of an address among those that came before
      auto add = [&](const Instruction &insn) {
        core.insert(core.end(), {int64_t(insn.opcode), int64_t(insn.type), insn.dst, insn.src0, insn.src1, insn.src2, insn.async, insn.clear1, insn.skip0, insn.offset});
        if (insn.opcode != Opcode::Ldd)
          return;
        const Descriptor descriptor = program.descriptorAt(x, y, insn.descriptorTemplate);
        addDescriptor(descriptor, core);
        core.push_back(static_cast<int64_t>(places.try_emplace(descriptor.base, places.size()).first->second));
      };
      for (const auto &step : part.steps)
        for (uint16_t task : tasksOf(*step))
          forEachInstruction(program, image, task, [&](const Instruction &insn) {
            add(insn);
            if (insn.opcode == Opcode::Bind)
              add(program.code(image)[insn.pc]);
          });
      // Most cores are as their neighbours.
      if (core == last) {
        ++key.back();
        continue;
      }
      key.insert(key.end(), core.begin(), core.end());
      key.push_back(1);
      last = std::move(core);
    }
}

/// What cores below the grid do, all of it.
void addBelow(const LoadedProgram &program, const wexe::PhaseT &part, std::vector<int64_t> &key) {
  for (const auto &region : program.program().regions) {
    const wexe::Rect &rect = *region->rect;
    if (rect.y0() < part.grid->y0 + uint32_t(part.grid->rows))
      continue;
    const wexe::ImageT &image = *program.program().images[region->image];
    key.insert(key.end(), {rect.x0(), rect.y0(), rect.nx(), rect.ny(), rect.sx(), rect.sy(), image.command_colour});
    for (const Instruction &insn : program.code(region->image))
      key.insert(key.end(), {int64_t(insn.opcode), int64_t(insn.type), insn.dst, insn.src0, insn.src1, insn.src2, insn.async, insn.clear1, insn.skip0, insn.offset, insn.pc, insn.descriptorTemplate});
    for (uint16_t number = 0; number < image.descriptors.size(); ++number)
      addDescriptor(program.descriptorAt(rect.x0(), rect.y0(), number), key);
    for (const wexe::Override &override : region->overrides)
      key.insert(key.end(), {int64_t(override.descriptor()), int64_t(override.field()), override.dx(), override.dy()});
  }
}

void addRoutes(const LoadedProgram &program, uint32_t colours, std::vector<int64_t> &key) {
  for (const auto &route : program.program().routes)
    if (const wexe::Rect &rect = *route->rect; colours >> route->colour & 1)
      key.insert(key.end(), {route->colour, rect.x0(), rect.y0(), rect.nx(), rect.ny(), rect.sx(), rect.sy(), int64_t(route->rx), route->tx});
}

} // namespace

bool hasEqualRows(const wexe::StepT &step, const TimingOptions &options) {
  const bool isStreamed = step.kind == wexe::StepKind::Contract || step.kind == wexe::StepKind::Sample, isMasked = step.kind == wexe::StepKind::Contract && step.output_zeros > 0;
  return isStreamed && !isMasked && (!isIndexed(step) || !options.density || options.density(step) >= 1);
}

uint32_t rowsThatTell(const wexe::GridT &grid, const wexe::StepT &step, const TimingOptions &options) {
  if (!hasEqualRows(step, options))
    return step.rows;
  const uint64_t turn = uint64_t(grid.columns) * step.rows_together * (step.kind == wexe::StepKind::Contract ? 2 : 1), cycles = turn * featuresInColumn(step.columns, grid.columns, 0);
  const uint64_t turns = std::max(turnsThatTell, options.longCycles / std::max<uint64_t>(1, cycles));
  return static_cast<uint32_t>(std::min<uint64_t>(step.rows, turns * turn + step.rows % turn));
}

std::vector<TimingPart> partsOf(const LoadedProgram &program, const wexe::PhaseT &phase, const TimingOptions &options) {
  const std::vector<TimingPart> whole = {{0, phase.steps.size(), false, std::nullopt}};
  if (phase.grid->micro_batches > 1)
    return whole;
  std::vector<TimingPart> parts;
  // Commands are far ahead of what they start: behind the last of them a part ends when all is done.
  auto add = [&](size_t begin, size_t count, bool isLong, size_t end) {
    const bool isCommand = phase.steps[begin + count - 1]->kind == wexe::StepKind::Command;
    parts.push_back({begin, count, isLong, isCommand ? std::nullopt : std::optional(phase.steps[end]->task)});
  };
  size_t first = 0, beside = 0; // steps before this one have blocks of a send among what they send
  uint64_t leaving = 0; // cycles for which results of receives are still on their way
  for (size_t i = 0; i < phase.steps.size(); ++i) {
    const wexe::StepT &step = *phase.steps[i];
    const uint64_t cycles = leastCycles(program.machine(), *phase.grid, step, options);
    if (step.kind == wexe::StepKind::Receive) {
      leaving += cycles;
      continue;
    }
    if (step.kind == wexe::StepKind::Send && step.beside > 0)
      beside = std::max<size_t>(beside, i + 1 + step.beside);
    // Nothing comes beside the step or its command.
    const bool isBegun = i > first && i > beside && phase.steps[i - 1]->kind == wexe::StepKind::Command && phase.steps[i - 1]->times == 1;
    if (isBegun && cycles >= options.longCycles && leaving <= cycles / resultsBesides) {
      if (i - 1 > first)
        add(first, i - 1 - first, false, i - 1);
      add(i - 1, 2, true, i - 1);
      first = i + 1;
    }
    leaving -= std::min(leaving, cycles);
  }
  if (first < phase.steps.size())
    add(first, phase.steps.size() - first, false, first);
  if (!parts.empty())
    parts.back().end.reset();
  return std::all_of(parts.begin(), parts.end(), [&](const TimingPart &part) { return standsAlone(program, phase, part); }) ? parts : whole;
}

wexe::PhaseT phaseOf(const wexe::PhaseT &phase, const TimingPart &part) {
  wexe::PhaseT some;
  some.kind = phase.kind;
  some.grid = std::make_unique<wexe::GridT>(*phase.grid);
  some.command_colour = phase.command_colour;
  some.load = phase.load;
  for (size_t i = part.first; i < part.first + part.count; ++i)
    some.steps.push_back(std::make_unique<wexe::StepT>(*phase.steps[i]));
  if (part.end) {
    some.steps.push_back(std::make_unique<wexe::StepT>());
    some.steps.back()->kind = wexe::StepKind::Command;
    some.steps.back()->task = *part.end;
  }
  return some;
}

uint32_t coloursOf(const LoadedProgram &program, const wexe::PhaseT &part) {
  uint32_t colours = 1u << part.command_colour;
  auto add = [&](const wexe::RegionT &region, uint16_t number) {
    const Descriptor descriptor = program.descriptorAt(region.rect->x0(), region.rect->y0(), number);
    if (isFabric(descriptor))
      colours |= 1u << descriptor.colour;
  };
  for (const auto &region : program.program().regions) {
    if (region->rect->y0() >= part.grid->y0 + uint32_t(part.grid->rows)) {
      colours |= 1u << program.program().images[region->image]->command_colour;
      for (uint16_t number = 0; number < program.program().images[region->image]->descriptors.size(); ++number)
        add(*region, number);
      continue;
    }
    for (const auto &step : part.steps)
      for (uint16_t task : tasksOf(*step))
        forEachInstruction(program, region->image, task, [&](const Instruction &insn) {
          if (insn.opcode == Opcode::Ldd)
            add(*region, insn.descriptorTemplate);
        });
  }
  return colours;
}

std::vector<int64_t> timingKey(const LoadedProgram &program, const wexe::PhaseT &part, const TimingOptions &options) {
  const wexe::GridT &grid = *part.grid;
  std::vector<int64_t> key = {grid.x0, grid.y0, grid.columns, grid.groups, grid.rows, grid.bands, int64_t(grid.batches_at_once), part.command_colour};
  for (const auto &step : part.steps) {
    const bool isEqual = hasEqualRows(*step, options);
    if (step->kind != wexe::StepKind::Command && !isEqual)
      return {};
    for (uint64_t number = 0; number < step->batch_sizes.size(); ++number) {
      key.push_back(step->batch_sizes[number]);
      key.push_back(step->batch_strides[number] != 0);
    }
    key.insert(key.end(), {int64_t(step->kind), step->bias >= 0, int64_t(step->type), int64_t(step->wire), int64_t(step->link), step->link_kept, step->link_size, step->columns,
                           int64_t(step->feature_block), step->colour, step->times, step->input_zeros, step->rows_together, step->groups_added, step->pattern >= 0, isEqual ? rowsThatTell(*part.grid, *step, options) : 0});
  }
  addCode(program, part, key);
  addBelow(program, part, key);
  addRoutes(program, coloursOf(program, part), key);
  return key;
}

} // namespace wafer
