//===- FunctionalTransfer.cpp - values that come to all cores, or leave them --===//

#include "FunctionalTransfer.h"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace wafer {

/// A core on the way of a column's blocks.
struct FunctionalTransfer::Place {
  FunctionalCore *core = nullptr;
  std::vector<std::pair<uint8_t, Descriptor>> registers; ///< that the command loads, and what with
  Descriptor block;           ///< in its memory
  Footprint footprint;
  int input = -1, output = -1; ///< colours of its own block and of what it passes on; -1: none
  size_t words = 0, passed = 0; ///< of its block, and of those that it passes on

  size_t bytes() const { return block.elements() * byteSize(elementType(block.type)); }
};

struct FunctionalTransfer::Column {
  uint16_t port = 0;
  std::vector<Place> places; ///< from the port on
};

struct FunctionalTransfer::Plan {
  bool isReady = false;
  bool isInput = false;          ///< blocks come
  uint8_t colour = 0;            ///< at the ports
  uint32_t command = 0;
  std::vector<uint32_t> batches; ///< whose cores take part
  std::vector<Place> cores;      ///< until they are in columns
  std::vector<Column> columns;   ///< by port
  uint64_t instructions = 0, elementOps = 0;

  /// The core's task but for its moves.
  void loadRegisters(const Place &place) const {
    CoreModel &model = place.core->model;
    model.startControlTask(command);
    for (const auto &[reg, descriptor] : place.registers)
      model.load(reg, descriptor);
  }
};

FunctionalTransfer::FunctionalTransfer(const LoadedProgram &program, FunctionalRouting &routing, const std::vector<std::unique_ptr<FunctionalBatch>> &batches, Crew &crew)
    : program_(program), routing_(routing), batches_(batches), crew_(crew) {}
FunctionalTransfer::~FunctionalTransfer() = default;

/// Null for what is no command of a transfer.
FunctionalTransfer::Plan *FunctionalTransfer::planOf(const FunctionalStream::Part &part) {
  const Burst &burst = part.burst;
  if (part.count != 0 || !burst.control || burst.portStep != 1)
    return nullptr;
  std::unique_ptr<Plan> &plan = plans_[{burst.colour, burst.firstPort, burst.portCount, *burst.control}];
  if (!plan) {
    plan = std::make_unique<Plan>();
    plan->isReady = prepare(*plan, burst);
    plan->cores = {};
  }
  return plan->isReady ? plan.get() : nullptr;
}

bool FunctionalTransfer::mayBegin(const FunctionalStream::Part &part) { return planOf(part); }

bool FunctionalTransfer::prepare(Plan &plan, const Burst &command) {
  plan.command = *command.control;
  for (unsigned port = command.firstPort; port < unsigned(command.firstPort) + command.portCount; ++port) {
    if (port >= program_.machine().width)
      return false;
    const FunctionalRouting::Target &target = routing_.targetOfPort(static_cast<uint16_t>(port), command.colour);
    if (!target.cores.empty() || !target.ports.empty())
      return false;
    for (uint32_t batch : target.commandedBatches) {
      plan.batches.push_back(batch);
      for (FunctionalCore *core : batches_[batch]->cores())
        if (!addCore(plan, *core, plan.command))
          return false;
    }
  }
  return !plan.cores.empty() && linkColumns(plan, command);
}

/// Reads what the command lets a core do: load registers, then move its block and pass others on. A task that would trap is left to the core.
bool FunctionalTransfer::addCore(Plan &plan, FunctionalCore &core, uint32_t number) const {
  CoreModel model(program_, core.model.image, core.model.x, core.model.y, nullptr);
  const auto task = model.image.controlTasks.find(number & 0xffff);
  if (task == model.image.controlTasks.end())
    return false;
  Place place;
  std::vector<Operation> moves;
  unsigned instructions = 1; // its end
  try {
    for (uint16_t pc = task->second; model.at(pc).opcode != Opcode::End; ++pc, ++instructions) {
      const Instruction &insn = model.at(pc);
      if (insn.opcode == Opcode::Ldd) {
        model.control(insn, pc);
        place.registers.emplace_back(insn.dst, *model.descriptorIn(insn.dst));
      } else if (insn.opcode == Opcode::Mov && insn.async && moves.size() < 2) {
        moves.push_back(model.issue(insn, pc));
      } else {
        return false;
      }
    }
  } catch (const Trap &) {
    return false;
  }
  if (moves.size() != 2 || !isPlainMove(moves[0]) || moves[0].elements == 0 || !isRelay(moves[1]))
    return false;
  const Operation &own = moves[0], &others = moves[1];
  const bool isInput = own.inputColour >= 0;
  if (isInput && own.outputColour >= 0)
    return false; // a relay
  // The core's own block is the first of what comes, or of what leaves.
  if (others.elements != 0 && (isInput ? others.inputColour != own.inputColour : others.outputColour != own.outputColour))
    return false;
  if (plan.cores.empty())
    plan.isInput = isInput;
  if (plan.isInput != isInput)
    return false;
  place.core = &core;
  place.block = isInput ? own.dst : own.src[0];
  place.footprint = footprintOf(place.block);
  place.input = isInput ? own.inputColour : others.inputColour;
  place.output = isInput ? others.outputColour : own.outputColour;
  place.words = (place.bytes() + 3) / 4;
  place.passed = others.elements;
  plan.cores.push_back(place);
  plan.instructions += instructions;
  plan.elementOps += own.elements + others.elements;
  return true;
}

/// Finds the columns: from each port the core that it sends to or receives from, and so on. Each core passes on what those behind it take, or send.
bool FunctionalTransfer::linkColumns(Plan &plan, const Burst &command) {
  constexpr size_t nobody = SIZE_MAX;
  std::map<uint32_t, size_t> placeOf; // by number of a core
  for (size_t i = 0; i < plan.cores.size(); ++i)
    if (!placeOf.emplace(plan.cores[i].core->number, i).second)
      return false;
  auto onlyCore = [&](const FunctionalRouting::Target &target) {
    const auto found = target.ports.empty() && target.commandedBatches.empty() && target.cores.size() == 1 ? placeOf.find(target.cores[0]) : placeOf.end();
    return found == placeOf.end() ? nobody : found->second;
  };
  // Behind a core is the one that takes what it passes on, or the one that it passes on from.
  std::vector<size_t> behind(plan.cores.size(), nobody);
  std::vector<char> isBehind(plan.cores.size());
  std::map<uint16_t, std::pair<size_t, int>> atPort; // core and colour
  for (size_t i = 0; i < plan.cores.size(); ++i) {
    const Place &place = plan.cores[i];
    if (place.output < 0)
      continue;
    const FunctionalRouting::Target &target = routing_.targetOf(place.core->number, static_cast<unsigned>(place.output));
    if (!plan.isInput && target.cores.empty() && target.commandedBatches.empty() && target.ports.size() == 1) {
      if (!atPort.emplace(target.ports[0], std::pair(i, place.output)).second)
        return false;
      continue;
    }
    const size_t other = onlyCore(target);
    if (other == nobody || plan.cores[other].input != place.output)
      return false;
    const size_t from = plan.isInput ? i : other, to = plan.isInput ? other : i;
    if (behind[from] != nobody || isBehind[to])
      return false;
    behind[from] = to;
    isBehind[to] = 1;
  }
  if (plan.isInput)
    for (size_t i = 0; i < plan.cores.size(); ++i)
      for (unsigned port = command.firstPort; !isBehind[i] && port < unsigned(command.firstPort) + command.portCount; ++port)
        if (onlyCore(routing_.targetOfPort(static_cast<uint16_t>(port), static_cast<unsigned>(plan.cores[i].input))) == i &&
            !atPort.emplace(static_cast<uint16_t>(port), std::pair(i, plan.cores[i].input)).second)
          return false;
  size_t linked = 0;
  for (unsigned port = command.firstPort; port < unsigned(command.firstPort) + command.portCount; ++port) {
    const auto first = atPort.find(static_cast<uint16_t>(port));
    if (first == atPort.end())
      return false;
    const auto colour = static_cast<uint8_t>(first->second.second);
    if (plan.columns.empty())
      plan.colour = colour;
    if (plan.colour != colour)
      return false;
    Column &column = plan.columns.emplace_back();
    column.port = static_cast<uint16_t>(port);
    for (size_t i = first->second.first; i != nobody; i = behind[i])
      column.places.push_back(plan.cores[i]);
    size_t further = 0;
    for (size_t i = column.places.size(); i-- > 0; further += column.places[i].words)
      if (column.places[i].passed != further)
        return false;
    linked += column.places.size();
  }
  return linked == plan.cores.size() && atPort.size() == plan.columns.size() && (plan.isInput || haveSameBlocks(plan));
}

/// Whether as many blocks leave each column, all of them equally long.
bool FunctionalTransfer::haveSameBlocks(const Plan &plan) {
  const std::vector<Place> &first = plan.columns[0].places;
  return std::all_of(plan.columns.begin(), plan.columns.end(), [&](const Column &column) {
    return column.places.size() == first.size() && std::all_of(column.places.begin(), column.places.end(), [&](const Place &place) { return place.words == first[0].words; });
  });
}

bool FunctionalTransfer::run(FunctionalStream &stream, Egress &out, EngineStats &stats) {
  const FunctionalStream::Part *part = stream.peekRow() ? nullptr : stream.peek(0);
  const Plan *plan = part ? planOf(*part) : nullptr;
  if (!plan || !std::all_of(plan->batches.begin(), plan->batches.end(), [&](uint32_t batch) { return batches_[batch]->quiet(); }))
    return false;
  if (plan->isInput && !receive(*plan, stream, stats))
    return false;
  if (!plan->isInput) {
    stream.skip();
    send(*plan, out, stats);
  }
  ++stats.waveletsIn; // the command
  ++stats.transfersTogether;
  stats.instructions += plan->instructions;
  stats.elementOps += plan->elementOps;
  return true;
}

/// Takes the command and the blocks behind it, if they are all that the cores wait for.
bool FunctionalTransfer::receive(const Plan &plan, FunctionalStream &stream, EngineStats &stats) {
  blocks_.assign(plan.columns.size(), {});
  size_t left = 0, bursts = 1, wavelets = 0;
  for (const Column &column : plan.columns)
    left += column.places.size();
  for (; left > 0; ++bursts) {
    const FunctionalStream::Part *part = stream.peek(bursts);
    if (!part || part->burst.control || part->burst.colour != plan.colour || part->burst.portCount > left)
      return false;
    wavelets += part->count;
    left -= part->burst.portCount;
    for (unsigned i = 0; i < part->burst.portCount; ++i) {
      const size_t column = size_t(part->burst.firstPort) + i * part->burst.portStep - plan.columns[0].port;
      if (column >= plan.columns.size())
        return false;
      const std::vector<Place> &places = plan.columns[column].places;
      if (blocks_[column].size() == places.size() || places[blocks_[column].size()].words != part->count)
        return false;
      blocks_[column].push_back(part->data);
    }
  }
  crew_.forEach(plan.columns.size(), [&](size_t c) {
    for (size_t i = 0; i < plan.columns[c].places.size(); ++i) {
      const Place &place = plan.columns[c].places[i];
      CoreModel &model = place.core->model;
      plan.loadRegisters(place);
      model.noteUse(place.footprint);
      uint8_t *to = model.memory(place.block.kind) + place.block.base;
      std::memcpy(to, blocks_[c][i], place.bytes());
      quiet16(elementType(place.block.type), to, place.block.elements());
    }
  });
  for (size_t i = 0; i < bursts; ++i)
    stream.skip();
  stats.waveletsIn += wavelets;
  return true;
}

/// Lets the blocks leave, those nearest to the ports first.
void FunctionalTransfer::send(const Plan &plan, Egress &out, EngineStats &stats) {
  LeavingBlocks leaving;
  leaving.colour = plan.colour;
  leaving.firstPort = plan.columns[0].port;
  leaving.ports = plan.columns.size();
  leaving.blocks = plan.columns[0].places.size();
  leaving.words = plan.columns[0].places[0].words;
  leaving.copy = [&](size_t port, size_t block, uint32_t *to) {
    const Place &place = plan.columns[port].places[block];
    CoreModel &model = place.core->model;
    plan.loadRegisters(place);
    model.noteUse(place.footprint);
    to[place.words - 1] = 0;
    std::memcpy(to, model.memory(place.block.kind) + place.block.base, place.bytes());
    quiet16(elementType(place.block.type), reinterpret_cast<uint8_t *>(to), place.block.elements());
  };
  out.deliver(leaving, [&](size_t count, const std::function<void(size_t)> &use) { crew_.forEach(count, use); });
  stats.waveletsOut += leaving.ports * leaving.blocks * leaving.words;
}

} // namespace wafer
