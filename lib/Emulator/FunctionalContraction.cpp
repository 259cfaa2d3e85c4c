//===- FunctionalContraction.cpp - rows of a contraction all together --------===//

#include "FunctionalContractionTeam.h"

namespace wafer {


namespace {

/// Weights that are multiplied before others are read; fewer where other threads wait for the first of them.
constexpr size_t mostWeights = size_t(1) << 19;
constexpr size_t mostRows = 1024, mostRowsOfCrew = 384;
/// The same for each of many teams, of which a thread takes one: some times as many as an owner's rows are multiplied at once.
constexpr size_t mostRowsOfTeam = 4 * panelHeight;

} // namespace

FunctionalContraction::FunctionalContraction(const LoadedProgram &program, FunctionalRouting &routing, const std::vector<std::unique_ptr<FunctionalBatch>> &batches,
                                             Crew &crew)
    : program_(program), routing_(routing), batches_(batches), crew_(crew) {}
FunctionalContraction::~FunctionalContraction() { crew_.wait(); }

/// Whether the rows that begin with this burst can be taken.
FunctionalContraction::Team *FunctionalContraction::teamOf(const Ports &ports) {
  std::unique_ptr<Team> &team = teams_[{ports.first, ports.count}];
  if (!team) {
    team = std::make_unique<Team>();
    team->ports = ports;
    if (spareRooms_.empty()) {
      team->room = std::make_unique<Room>();
    } else {
      team->room = std::move(spareRooms_.back());
      spareRooms_.pop_back();
    }
    // Cores whose rows wait in another team are not what they seem.
    const bool isApart = std::none_of(teams_.begin(), teams_.end(), [&](const auto &other) {
      return other.second && other.second != team && other.second->isReady && other.second->ports.first < ports.end() && ports.first < other.second->ports.end();
    });
    team->isReady = isApart && prepare(*team);
  }
  return team->isReady && team->ports == ports ? team.get() : nullptr;
}

bool FunctionalContraction::prepare(Team &team) {
  // Groups lie side by side, so that the distance of a column's ports is the number of columns.
  const size_t columns = team.ports.step;
  if (columns == 0 || size_t(team.ports.first) + columns * team.ports.count > program_.machine().width)
    return false;
  team.columns.resize(columns);
  team.room->rows.clear(columns);
  for (size_t c = 0; c < columns; ++c) {
    Column &column = team.columns[c];
    for (size_t i = 0; i < team.ports.count; ++i)
      if (!column.addCores(routing_.targetOfPort(static_cast<uint16_t>(team.ports.first + c + i * columns), team.ports.colour), batches_))
        return false;
    if (!prepare(column, *team.room) || column.cores.size() != team.columns[0].cores.size() || column.each != team.columns[0].each || column.sums != team.columns[0].sums)
      return false;
  }
  return true;
}

bool FunctionalContraction::prepare(Column &column, Room &room) {
  if (!column.bindProducts() || !isFloat(elementType(column.trigger.rows.type)) || !column.holdsSums(column.trigger.insn.dst) || !column.holdsApart(column.trigger.insn.src0))
    return false;
  column.panels = std::make_unique<FunctionalPanels>(column.cores, room.pool);
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
    return from.kind == wexe::DescKind::FabIn && from.type == wexe::ElemType::F32 && from.elements() == column.each * column.sums &&
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
    if (out.kind != wexe::DescKind::FabOut || out.type != wexe::ElemType::F32 || out.elements() != column.each * column.sums)
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
    if (column.own || !column.takesTurns(task.otherSum) || !column.holdsSums(task.total) || !column.holdsSums(task.otherTotal) ||
        !uniform({task.in, task.secondIn, task.result}) || !input(task.in, command.in) || !input(task.secondIn, command.secondIn))
      return nullptr;
    const Descriptor &result = column.at(task.result);
    if (!isMemory(result) || result.kind == wexe::DescKind::Acc || !isFloat(elementType(result.type)) || !isContiguous(result) || result.elements() != column.each * column.sums)
      return nullptr;
    column.own = &command;
    break;
  }
  }
  command.task = task;
  return &command;
}

/// Whether the commands of the row that was read last let its sums go from both edges to one owner.
bool FunctionalContraction::isChain(const Team &team, size_t &owned) const {
  const size_t columns = team.columns.size();
  const auto isOwn = [](const Command *command) { return command->task.kind == SumTask::Own; };
  const auto owner = std::find_if(team.commands.begin(), team.commands.end(), isOwn);
  if (owner == team.commands.end())
    return false;
  owned = static_cast<size_t>(owner - team.commands.begin());
  int east = -1, west = -1; // colours on which sums come
  for (size_t c = 0; c < owned; ++c) {
    const Command &command = *team.commands[c];
    if (command.task.kind != SumTask::Pass || command.to != 1 || command.in != east)
      return false;
    east = command.out;
  }
  for (size_t c = columns - 1; c > owned; --c) {
    const Command &command = *team.commands[c];
    if (command.task.kind != SumTask::Pass || command.to != -1 || command.in != west)
      return false;
    west = command.out;
  }
  return (*owner)->in == east && (*owner)->secondIn == west && (east < 0 || east != west);
}

void FunctionalContraction::complete() {
  if (atWork_.empty())
    return;
  if (atWork_.size() == 1)
    atWork_[0]->room->product.complete();
  else
    crew_.complete();
  atWork_.clear();
}

/// Whether enough rows wait for it to begin; of many teams, also whether nobody is at work.
bool FunctionalContraction::isTimeToMultiply(const Team &team) const {
  const ProductRows &rows = team.room->rows;
  if (hasManyTeams())
    return waiting_ >= mostRowsOfTeam * teams_.size() && (atWork_.empty() || doneAtWork_ == atWork_.size());
  return rows.weights() >= mostWeights || rows.size() >= (crew_.size() == 1 ? mostRows : mostRowsOfCrew);
}

/// Begins with the rows that wait, while the caller looks for more. A team has all threads, each of many has one.
void FunctionalContraction::multiplyMeanwhile() {
  complete();
  waiting_ = 0;
  for (const auto &[place, team] : teams_)
    if (team->isReady && handOver(*team))
      atWork_.push_back(team.get());
  if (atWork_.size() == 1)
    return multiply(*atWork_[0], &crew_);
  doneAtWork_ = 0;
  crew_.begin(atWork_.size(), [this](size_t i, size_t) {
    multiply(*atWork_[i], nullptr);
    ++doneAtWork_;
  });
}

/// Takes what multiplying the rows that wait needs from what reading more of them changes. Returns whether there are any.
bool FunctionalContraction::handOver(Team &team) {
  std::swap(team.room->rows, team.room->handedOver);
  team.room->rows.clear(team.columns.size());
  ProductRows &rows = team.room->handedOver;
  for (Column &column : team.columns)
    column.handedOver = column.own;
  // The last two stay where owners build them; more rows may come.
  for (size_t r = 0; r < rows.size(); ++r)
    rows[r].keepsTotal = rows[r].number + 2 >= team.columns[rows[r].owner].owned;
  return rows.size() != 0;
}

/// Begins with all rows that were handed over, or without a crew multiplies them. No others are being multiplied by this crew.
void FunctionalContraction::multiply(Team &team, Crew *crew) {
  ProductRows &rows = team.room->handedOver;
  if (rows.size() == 0)
    return;
  std::vector<ProductColumn> columns(team.columns.size());
  team.room->sorter.sortUnsorted(columns.size(), rows);
  for (size_t c = 0; c < columns.size(); ++c) {
    Column &column = team.columns[c];
    Trigger ones = column.trigger;
    const bool mayHaveBias = column.handedOver && column.handedOver->task.exchangesRows;
    if (mayHaveBias) {
      ones.rows = column.at(column.handedOver->task.otherRows);
      ones.reads = footprintOf(ones.rows);
    }
    uint64_t inOrder = 0; // products of so many weights in order
    std::optional<size_t> countInOrder;
    auto count = [&](const Trigger &trigger, const ProductRows::Run &run) {
      columns[c].skipsZeros |= !zerosAddNothing(trigger, run.values, run.count);
      const bool isInOrder = !run.rows && &trigger == &column.trigger;
      const uint64_t products = isInOrder && countInOrder == run.count ? inOrder : column.panels->productsOf(trigger.rows, trigger.reads, run.rows, run.count);
      column.products += products;
      if (isInOrder) {
        inOrder = products;
        countInOrder = run.count;
      }
    };
    for (size_t r = 0; column.trigger.insn.skip0 && r < rows.size(); ++r) {
      count(column.trigger, rows.run(r, c));
      if (rows[r].hasBias && rows[r].owner == c)
        count(ones, {&rows[r].bias, nullptr, 1});
    }
    columns[c].cores = &column.cores;
    columns[c].each = column.each;
    columns[c].panels = column.panels.get();
    // Making one may move the other: pointers are taken when both are there.
    if (mayHaveBias)
      column.panels->tilesOf(ones.rows, ones.reads);
    columns[c].rows = &column.panels->tilesOf(column.trigger.rows, column.trigger.reads);
    if (mayHaveBias)
      columns[c].ones = &column.panels->tilesOf(ones.rows, ones.reads);
    if (column.handedOver) {
      columns[c].result = column.at(column.handedOver->task.result);
      columns[c].totals[0] = column.at(column.handedOver->task.total);
      columns[c].totals[1] = column.at(column.handedOver->task.otherTotal);
    }
  }
  FunctionalProduct &product = team.room->product;
  product.begin(std::move(columns), rows, crew);
  for (size_t c = 0; c < team.columns.size(); ++c) {
    Column &column = team.columns[c];
    const uint64_t weights = product.weightsOf(c), biases = product.biasesOf(c);
    const Instruction &trigger = column.trigger.insn;
    if (!trigger.skip0)
      column.products += (weights + biases) * column.numbers();
    column.wavelets += trigger.opcode == Opcode::Fmacp ? product.pairsOf(c) + biases : (trigger.opcode == Opcode::Fmacx ? 2 : 1) * (weights + biases);
  }
}

/// Leaves the cores as their own work would have.
void FunctionalContraction::finish(Team &team, Crew *crew, EngineStats &stats) {
  handOver(team);
  multiply(team, crew);
  team.room->product.complete();
  stats.rowsTogether += team.taken;
  for (Column &column : team.columns) {
    stats.waveletsIn += column.wavelets + column.taken + column.biases;
    if (column.taken == 0)
      continue;
    const Command &any = **std::find_if(column.commands.begin(), column.commands.end(),
                                        [](const auto &command) { return command->task.kind == SumTask::Pass || command->task.kind == SumTask::Own; });
    const SumTask *own = column.owned > 0 ? &column.own->task : nullptr;
    Footprint results;
    if (own) {
      results = footprintOf(column.at(own->result));
      results.high += std::max<int64_t>(0, static_cast<int64_t>(column.owned - 1) * own->step);
    }
    for (FunctionalCore *core : column.cores) {
      CoreModel &model = core->model;
      auto note = [&](uint8_t reg) { model.noteUse(footprintOf(*model.descriptorIn(reg))); };
      model.noteUse(column.trigger.writes);
      if (column.wavelets != 0)
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
        model.advance(own->result, static_cast<int64_t>(column.owned) * own->step, own->pc);
        if (column.owned % 2 == 1)
          model.control(exchange(own->total, own->otherTotal), own->pc);
      }
      if (column.taken % 2 == 1)
        model.control(exchange(any.task.sum, any.task.otherSum), any.task.pc);
      model.startControlTask(column.last);
    }
    stats.instructions += (2 * column.wavelets + column.instructions) * column.cores.size();
    stats.elementOps += column.elementOps;
    column.first().count(column.products, stats);
  }
}

/// Takes the next row if it is one that can be. False: there is none.
bool FunctionalContraction::takeRow(FunctionalStream &stream) {
  Team *team = nullptr;
  ProductRow row;
  if (const WeightRow *whole = stream.peekRow()) {
    team = teamOf({whole->colour, whole->firstPort, whole->columns, whole->groups});
    if (!team || !readRow(*whole, *team, row) || !acceptRow(*team, row))
      return false;
    stream.skipRow();
    lastWasWhole_ = true;
  } else {
    // To read what comes behind whole rows takes its time.
    if (std::exchange(lastWasWhole_, false) && teams_.size() == 1)
      multiplyMeanwhile();
    const FunctionalStream::Part *part = stream.peek(0);
    if (!part || !mayBegin(*part))
      return false;
    size_t bursts = 0;
    team = teamOf({part->burst.colour, part->burst.firstPort, part->burst.portStep, part->burst.portCount});
    if (!team || !readRow(stream, *team, row, bursts) || !acceptRow(*team, row))
      return false;
    for (size_t i = 0; i < bursts; ++i)
      stream.skip();
  }
  ++waiting_;
  if (isTimeToMultiply(*team))
    multiplyMeanwhile();
  return true;
}

bool FunctionalContraction::run(FunctionalStream &stream, EngineStats &stats) {
  crew_.wait(); // for what an exception left
  atWork_.clear();
  teams_.clear();
  waiting_ = 0;
  lastWasWhole_ = false;
  bool any = false;
  while (takeRow(stream))
    any = true;
  complete();
  std::vector<Team *> teams;
  for (const auto &[place, team] : teams_)
    if (team->isReady)
      teams.push_back(team.get());
  // Many teams have few tokens each, and a thread takes one of them; few share all threads.
  if (teams.size() >= crew_.size()) {
    std::vector<EngineStats> counts(teams.size());
    crew_.forEach(teams.size(), [&](size_t i) { finish(*teams[i], nullptr, counts[i]); });
    for (const EngineStats &more : counts)
      addCounts(more, stats);
  } else {
    for (Team *team : teams)
      finish(*team, &crew_, stats);
  }
  for (const auto &[place, team] : teams_) {
    team->columns.clear();
    spareRooms_.push_back(std::move(team->room));
  }
  teams_.clear();
  return any;
}

} // namespace wafer
