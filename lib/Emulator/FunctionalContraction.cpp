//===- FunctionalContraction.cpp - rows of a contraction all together --------===//

#include "FunctionalContraction.h"

namespace wafer {

namespace {

/// Weights that are multiplied before others are read.
constexpr size_t mostWeights = size_t(1) << 19;
constexpr size_t mostRows = 1024;

bool isZeroConstant(const Descriptor &descriptor) {
  return descriptor.kind == wexe::DescKind::Const && descriptor.type == wexe::ElemType::F32 && descriptor.imm == 0;
}

bool isRowOfFloats(const Descriptor &descriptor, size_t elements) {
  return isMemory(descriptor) && descriptor.type == wexe::ElemType::F32 && isContiguous(descriptor) && descriptor.elements() == elements;
}

Instruction exchange(uint8_t a, uint8_t b) {
  Instruction insn;
  insn.opcode = Opcode::Swapd;
  insn.dst = a;
  insn.src0 = b;
  return insn;
}

} // namespace

/// A command of a column, and where it lets sums go.
struct FunctionalContraction::Command {
  uint32_t number = 0;
  SumTask task;
  /// Column beside this one that takes what is passed on: -1 or 1.
  int to = 0;
  /// Colours, -1: from nowhere.
  int in = -1, secondIn = -1, out = -1;
  Trigger otherRows; ///< of an exchange: what weights behind it multiply
};

/// The cores of one column of all groups.
struct FunctionalContraction::Column {
  std::vector<FunctionalCore *> cores; ///< of each group from north to south
  Trigger trigger;
  size_t each = 0; ///< elements of a core
  std::unique_ptr<FunctionalPanels> panels;
  std::vector<std::unique_ptr<Command>> commands;
  const Command *own = nullptr;
  std::map<uint8_t, Footprint> held; ///< by register: what commands work on, apart from each other
  int otherSum = -1;                 ///< register
  uint64_t taken = 0, owned = 0;
  uint32_t last = 0; ///< command
  bool hasWeights = false;
  uint64_t instructions = 0, elementOps = 0, products = 0; ///< to be counted; instructions of one core

  CoreModel &first() const { return cores[0]->model; }
  size_t numbers() const { return each * cores.size(); }
  const Descriptor &at(uint8_t reg) const { return *first().descriptorIn(reg); }
  /// Whether a register holds the same in all cores.
  bool isUniform(uint8_t reg) const {
    const Descriptor *mine = first().descriptorIn(reg);
    return mine && std::all_of(cores.begin(), cores.end(), [&](const FunctionalCore *core) {
             const Descriptor *other = core->model.descriptorIn(reg);
             return other && sameDescriptor(*mine, *other);
           });
  }
  /// Whether the register is one row of f32 in memory, apart from everything else.
  bool holdsRow(uint8_t reg) { return isUniform(reg) && isRowOfFloats(at(reg), each) && holdsApart(reg); }
  bool holdsApart(uint8_t reg) {
    const Footprint place = footprintOf(at(reg));
    if (held.count(reg) != 0)
      return true;
    held[reg] = place;
    return std::none_of(held.begin(), held.end(), [&](const auto &other) { return other.first != reg && other.second.overlaps(place); });
  }
  /// The accumulator that takes turns with the trigger's: empty, and the same for all commands.
  bool takesTurns(uint8_t reg) {
    if (otherSum < 0 && holdsRow(reg) && isZero(at(reg)))
      otherSum = reg;
    return otherSum == reg;
  }
  bool isZero(const Descriptor &row) const {
    return std::all_of(cores.begin(), cores.end(), [&](const FunctionalCore *core) {
      const uint8_t *at = core->model.memory(row.kind) + row.base;
      return std::all_of(at, at + row.elements() * sizeof(float), [](uint8_t byte) { return byte == 0; });
    });
  }
};

/// The columns that rows go to one after another.
struct FunctionalContraction::Team {
  uint8_t colour = 0;
  uint16_t firstPort = 0, portStep = 1, portCount = 1;
  bool isReady = false;
  std::vector<Column> columns;
  uint32_t endPort() const { return firstPort + uint32_t(portStep) * portCount; }

  std::vector<const Command *> commands; ///< of the row that was read last, by column
  std::vector<ProductRow> rows;          ///< keep their room
  size_t waiting = 0;    ///< rows that are taken and not multiplied
  size_t weights = 0;    ///< of them
  uint64_t taken = 0;    ///< rows that were multiplied
};

FunctionalContraction::FunctionalContraction(const LoadedProgram &program, FunctionalRouting &routing, const std::vector<std::unique_ptr<FunctionalBatch>> &batches,
                                             unsigned threads)
    : program_(program), routing_(routing), batches_(batches), product_(threads) {}
FunctionalContraction::~FunctionalContraction() = default;

/// Whether the rows that begin with this burst can be taken.
FunctionalContraction::Team *FunctionalContraction::teamOf(const Burst &burst) {
  std::unique_ptr<Team> &team = teams_[{burst.firstPort, burst.portCount}];
  if (!team) {
    team = std::make_unique<Team>();
    team->colour = burst.colour;
    team->firstPort = burst.firstPort;
    team->portStep = burst.portStep;
    team->portCount = burst.portCount;
    // Cores whose rows wait in another team are not what they seem.
    const bool isApart = std::none_of(teams_.begin(), teams_.end(), [&](const auto &other) {
      return other.second && other.second != team && other.second->isReady && other.second->firstPort < team->endPort() && team->firstPort < other.second->endPort();
    });
    team->isReady = isApart && prepare(*team);
  }
  return team->isReady ? team.get() : nullptr;
}

bool FunctionalContraction::prepare(Team &team) {
  // Groups lie side by side, so that the distance of a column's ports is the number of columns.
  const size_t columns = team.portStep;
  if (columns == 0 || size_t(team.firstPort) + columns * team.portCount > program_.machine().width)
    return false;
  team.columns.resize(columns);
  for (size_t c = 0; c < columns; ++c) {
    Column &column = team.columns[c];
    for (size_t i = 0; i < team.portCount; ++i) {
      const auto &target = routing_.targetOfPort(static_cast<uint16_t>(team.firstPort + c + i * columns), team.colour);
      if (!target.cores.empty() || !target.ports.empty())
        return false;
      for (uint32_t batch : target.commandedBatches) {
        if (!batches_[batch]->quiet())
          return false;
        column.cores.insert(column.cores.end(), batches_[batch]->cores().begin(), batches_[batch]->cores().end());
      }
    }
    if (!prepare(column) || column.cores.size() != team.columns[0].cores.size() || column.each != team.columns[0].each)
      return false;
  }
  return true;
}

bool FunctionalContraction::prepare(Column &column) {
  if (column.cores.empty() || column.first().dataTask < 0)
    return false;
  const Instruction &insn = column.first().at(static_cast<uint16_t>(column.first().dataTask));
  for (const FunctionalCore *core : column.cores)
    if (&core->model.image != &column.first().image || core->model.dataTask != column.first().dataTask)
      return false;
  if (insn.opcode == Opcode::Dotw || isMaskedFmac(insn.opcode) || !isFloat(insn.type) || !column.isUniform(insn.dst) || !column.isUniform(insn.src0))
    return false;
  try {
    column.trigger = column.first().boundTrigger();
  } catch (const Trap &) {
    return false; // when a weight arrives, the core says so
  }
  column.each = column.trigger.dst.elements();
  if (column.each == 0 || !isRowOfFloats(column.trigger.dst, column.each) || !isFloat(elementType(column.trigger.rows.type)) ||
      !column.isZero(column.trigger.dst) || !column.holdsRow(insn.dst) || !column.holdsApart(insn.src0))
    return false;
  column.panels = std::make_unique<FunctionalPanels>(column.cores, pool_);
  return true;
}

/// What a command does in a column, if it is one of a contraction.
const FunctionalContraction::Command *FunctionalContraction::commandOf(Team &team, size_t c, uint32_t number) {
  Column &column = team.columns[c];
  for (const auto &known : column.commands)
    if (known->number == number)
      return known->task.kind == SumTask::Other ? nullptr : known.get();
  column.commands.push_back(std::make_unique<Command>());
  Command &command = *column.commands.back();
  command.number = number;
  const auto code = column.first().image.controlTasks.find(number & 0xffff);
  if (code == column.first().image.controlTasks.end())
    return nullptr;
  const Instruction &trigger = column.first().at(static_cast<uint16_t>(column.first().dataTask));
  const SumTask task = readSumTask(column.first(), code->second, trigger.dst, trigger.src0);

  auto uniform = [&](std::initializer_list<uint8_t> registers) {
    return std::all_of(registers.begin(), registers.end(), [&](uint8_t reg) { return column.isUniform(reg); });
  };
  auto input = [&](uint8_t reg, int &colour) {
    const Descriptor &from = column.at(reg);
    if (isZeroConstant(from))
      return true;
    colour = from.colour;
    return from.kind == wexe::DescKind::FabIn && from.type == wexe::ElemType::F32 && from.elements() == column.each &&
           std::all_of(column.cores.begin(), column.cores.end(), [&](const FunctionalCore *core) { return core->model.receives(from.colour); });
  };
  switch (task.kind) {
  case SumTask::Other:
    return nullptr;
  case SumTask::Exchange:
    if (!uniform({task.otherRows}))
      return nullptr;
    command.otherRows = column.trigger;
    command.otherRows.rows = column.at(task.otherRows);
    command.otherRows.reads = footprintOf(command.otherRows.rows);
    if (!isMemory(command.otherRows.rows) || !isFloat(elementType(command.otherRows.rows.type)) || command.otherRows.elementsPerRow() != column.each ||
        command.otherRows.rows.extent[0] == 0 || !column.holdsApart(task.otherRows))
      return nullptr;
    break;
  case SumTask::Pass: {
    if (!column.takesTurns(task.otherSum) || !uniform({task.in, task.out}) || !input(task.in, command.in))
      return nullptr;
    const Descriptor &out = column.at(task.out);
    if (out.kind != wexe::DescKind::FabOut || out.type != wexe::ElemType::F32 || out.elements() != column.each)
      return nullptr;
    command.out = out.colour;
    // To the core beside each.
    for (int to : {1, -1}) {
      const size_t beside = c + static_cast<size_t>(to);
      if (beside >= team.columns.size())
        continue;
      bool all = true;
      for (size_t i = 0; all && i < column.cores.size(); ++i) {
        const auto &target = routing_.targetOf(column.cores[i]->number, out.colour);
        all = column.cores[i]->model.sends(out.colour) && target.ports.empty() && target.cores.size() == 1 &&
              target.cores[0] == team.columns[beside].cores[i]->number;
      }
      if (all)
        command.to = to;
    }
    if (command.to == 0)
      return nullptr;
    break;
  }
  case SumTask::Own: {
    if (column.own || !column.takesTurns(task.otherSum) || !column.holdsRow(task.total) || !column.holdsRow(task.otherTotal) ||
        !uniform({task.in, task.secondIn, task.result}) || !input(task.in, command.in) || !input(task.secondIn, command.secondIn))
      return nullptr;
    const Descriptor &result = column.at(task.result);
    if (!isMemory(result) || result.kind == wexe::DescKind::Acc || !isFloat(elementType(result.type)) || !isContiguous(result) || result.elements() != column.each)
      return nullptr;
    column.own = &command;
    break;
  }
  }
  command.task = task;
  return &command;
}

/// Whether the commands of the row that was read last let its sums go from both edges to one owner.
bool FunctionalContraction::isChain(Team &team) const {
  const size_t columns = team.columns.size();
  const auto isOwn = [](const Command *command) { return command->task.kind == SumTask::Own; };
  const auto owner = std::find_if(team.commands.begin(), team.commands.end(), isOwn);
  if (owner == team.commands.end())
    return false;
  ProductRow &row = team.rows[team.waiting];
  row.owner = static_cast<size_t>(owner - team.commands.begin());
  int east = -1, west = -1; // colours on which sums come
  for (size_t c = 0; c < row.owner; ++c) {
    const Command &command = *team.commands[c];
    if (command.task.kind != SumTask::Pass || command.to != 1 || command.in != east)
      return false;
    east = command.out;
  }
  for (size_t c = columns - 1; c > row.owner; --c) {
    const Command &command = *team.commands[c];
    if (command.task.kind != SumTask::Pass || command.to != -1 || command.in != west)
      return false;
    west = command.out;
  }
  return (*owner)->in == east && (*owner)->secondIn == west && (east < 0 || east != west);
}

/// The next row, if all of it is here and as expected.
bool FunctionalContraction::takeRow(FunctionalStream &stream, Team &team) {
  const size_t columns = team.columns.size();
  if (team.rows.size() == team.waiting)
    team.rows.emplace_back();
  ProductRow &row = team.rows[team.waiting];
  row.weights.resize(columns);
  team.commands.resize(columns);
  row.hasBias = false;
  auto decode = [](const Trigger &trigger, const FunctionalStream::Part &part, Weights &weights) {
    weights.values.clear();
    weights.rows.clear();
    return part.count == 0 || decodeWeights(trigger, part.data, part.count, 0, weights);
  };
  size_t bursts = 0, count = 0;
  uint64_t wavelets = 0;
  const Command *exchanged = nullptr;
  for (size_t c = 0; c < columns;) {
    const FunctionalStream::Part *part = stream.peek(bursts++);
    if (!part || !part->burst.control || part->burst.colour != team.colour || part->burst.firstPort != team.firstPort + c || part->burst.portStep != team.portStep ||
        part->burst.portCount != team.portCount)
      return false;
    Column &column = team.columns[c];
    const Command *command = commandOf(team, c, *part->burst.control);
    if (!command)
      return false;
    if (exchanged) {
      if (command->task.kind != SumTask::Own || !command->task.exchangesRows || command->task.otherRows != exchanged->task.otherRows ||
          !decode(exchanged->otherRows, *part, row.bias) || row.bias.values.size() != 1 || (!row.bias.rows.empty() && row.bias.rows[0] != 0))
        return false;
      row.hasBias = true;
    } else if ((command->task.kind == SumTask::Own && command->task.exchangesRows) || !decode(column.trigger, *part, row.weights[c])) {
      return false;
    } else {
      count += row.weights[c].values.size();
    }
    wavelets += part->count + 1;
    exchanged = command->task.kind == SumTask::Exchange ? command : nullptr;
    if (exchanged)
      continue;
    team.commands[c] = command;
    ++c;
  }
  if (!isChain(team))
    return false;

  // The result has its place beside all that the owner holds.
  Column &owner = team.columns[row.owner];
  const SumTask &own = owner.own->task;
  Descriptor result = owner.at(own.result);
  result.base = static_cast<uint32_t>(static_cast<int64_t>(result.base) + static_cast<int64_t>(owner.owned) * own.step);
  const Footprint place = footprintOf(result);
  if (static_cast<int64_t>(result.base) > UINT16_MAX || place.low < owner.first().image.dataStart || place.high > program_.machine().sramBytes ||
      result.base % byteSize(elementType(result.type)) != 0)
    return false;
  for (const auto &[reg, other] : owner.held)
    if (other.overlaps(place))
      return false;

  row.resultBase = result.base;
  row.number = owner.owned++;
  for (size_t c = 0; c < columns; ++c) {
    Column &column = team.columns[c];
    const SumTask &task = team.commands[c]->task;
    ++column.taken;
    column.last = team.commands[c]->number;
    column.elementOps += task.vectors * column.numbers();
    column.instructions += task.instructions;
  }
  for (size_t c = 0, at = 0; c < columns; ++at) {
    const FunctionalStream::Part &part = *stream.peek(at);
    team.columns[c].instructions += 2 * part.count;
    team.columns[c].hasWeights |= part.count != 0;
    if (row.hasBias && c == row.owner && at == c)
      team.columns[c].instructions += 2; // the exchange and its end
    else
      ++c;
  }
  for (size_t i = 0; i < bursts; ++i)
    stream.skip();
  wavelets_ += wavelets;
  team.weights += count;
  ++team.waiting;
  return true;
}

/// Begins with all rows that wait.
void FunctionalContraction::multiply(Team &team) {
  product_.complete();
  if (team.waiting == 0)
    return;
  std::vector<ProductColumn> columns(team.columns.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    Column &column = team.columns[c];
    Trigger ones = column.trigger;
    const bool mayHaveBias = column.own && column.own->task.exchangesRows;
    if (mayHaveBias) {
      ones.rows = column.at(column.own->task.otherRows);
      ones.reads = footprintOf(ones.rows);
    }
    auto count = [&](const Trigger &trigger, const Weights &weights) {
      if (!trigger.insn.skip0) {
        column.products += weights.values.size() * column.numbers();
        return;
      }
      columns[c].skipsZeros |= !zerosAddNothing(trigger, weights);
      const std::vector<uint32_t> &nonzeros = column.panels->nonzerosOf(trigger.rows, trigger.reads);
      for (size_t i = 0; i < weights.values.size(); ++i)
        column.products += nonzeros[weights.rows.empty() ? i : weights.rows[i]];
    };
    for (size_t r = 0; r < team.waiting; ++r) {
      const ProductRow &row = team.rows[r];
      count(column.trigger, row.weights[c]);
      if (row.hasBias && row.owner == c)
        count(ones, row.bias);
    }
    columns[c].cores = &column.cores;
    columns[c].each = column.each;
    // Packing one may move the other: pointers are taken when both are there.
    if (mayHaveBias)
      column.panels->of(ones.rows, ones.reads);
    columns[c].rows = &column.panels->of(column.trigger.rows, column.trigger.reads);
    if (mayHaveBias)
      columns[c].ones = &column.panels->of(ones.rows, ones.reads);
    if (column.own) {
      columns[c].result = column.at(column.own->task.result);
      columns[c].totals[0] = column.at(column.own->task.total);
      columns[c].totals[1] = column.at(column.own->task.otherTotal);
    }
  }
  // The last two stay where owners build them; more rows may come.
  for (size_t r = 0; r < team.waiting; ++r)
    team.rows[r].keepsTotal = team.rows[r].number + 2 >= team.columns[team.rows[r].owner].owned;
  product_.begin(std::move(columns), team.rows, team.waiting);
  team.taken += team.waiting;
  team.waiting = team.weights = 0;
}

/// Leaves the cores as their own work would have.
void FunctionalContraction::finish(Team &team, EngineStats &stats) {
  multiply(team);
  product_.complete();
  stats.rowsTogether += team.taken;
  for (Column &column : team.columns) {
    if (column.taken == 0)
      continue;
    const Command &any = **std::find_if(column.commands.begin(), column.commands.end(),
                                        [](const auto &command) { return command->task.kind == SumTask::Pass || command->task.kind == SumTask::Own; });
    const SumTask *own = column.owned > 0 ? &column.own->task : nullptr;
    Instruction advance;
    advance.opcode = Opcode::Addd;
    Footprint results;
    if (own) {
      advance.dst = own->result;
      advance.offset = own->step;
      results = footprintOf(column.at(own->result));
      results.high += std::max<int64_t>(0, static_cast<int64_t>(column.owned - 1) * own->step);
    }
    for (FunctionalCore *core : column.cores) {
      CoreModel &model = core->model;
      auto note = [&](uint8_t reg) { model.noteUse(footprintOf(*model.descriptorIn(reg))); };
      model.noteUse(column.trigger.writes);
      if (column.hasWeights)
        model.noteUse(column.trigger.reads);
      if (column.taken > 1)
        note(any.task.otherSum);
      if (own) {
        model.noteUse(results);
        note(own->total);
        if (column.owned > 1)
          note(own->otherTotal);
        if (own->exchangesRows)
          note(own->otherRows);
        for (uint64_t i = 0; i < column.owned; ++i)
          model.control(advance, own->pc);
        if (column.owned % 2 == 1)
          model.control(exchange(own->total, own->otherTotal), own->pc);
      }
      if (column.taken % 2 == 1)
        model.control(exchange(any.task.sum, any.task.otherSum), any.task.pc);
      model.startControlTask(column.last);
    }
    stats.instructions += column.instructions * column.cores.size();
    stats.elementOps += column.elementOps;
    column.first().count(column.products, stats);
  }
}

bool FunctionalContraction::run(FunctionalStream &stream, EngineStats &stats) {
  teams_.clear();
  wavelets_ = 0;
  bool any = false;
  while (const FunctionalStream::Part *part = stream.peek(0)) {
    if (!mayBegin(*part))
      break;
    Team *team = teamOf(part->burst);
    if (!team || !takeRow(stream, *team))
      break;
    any = true;
    if (team->weights >= mostWeights || team->waiting == mostRows)
      multiply(*team);
  }
  for (const auto &[place, team] : teams_)
    if (team->isReady)
      finish(*team, stats);
  teams_.clear();
  stats.waveletsIn += wavelets_;
  return any;
}

} // namespace wafer
