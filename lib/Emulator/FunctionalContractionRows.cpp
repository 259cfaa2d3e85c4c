//===- FunctionalContractionRows.cpp - rows of a contraction as they come -----===//
//
// A row comes whole, or as a burst for each column. Either way it is taken only if all of it is as the cores' code expects.
//
//===----------------------------------------------------------------------===//

#include "FunctionalContractionTeam.h"

namespace wafer {

/// The next row, if all of its bursts are here and as expected.
bool FunctionalContraction::readRow(FunctionalStream &stream, Team &team, ProductRow &row, size_t &bursts) {
  const size_t columns = team.columns.size();
  if (team.columns[0].sums != 1)
    return false; // the cores tell rows whose sums go together apart
  team.room->rows.beginRow();
  team.commands.resize(columns);
  auto decode = [&](const Trigger &trigger, const FunctionalStream::Part &part) {
    weights_.values.clear();
    weights_.rows.clear();
    return part.count == 0 || decodeWeights(trigger, part.data, part.count, 0, weights_);
  };
  const Command *exchanged = nullptr;
  for (size_t c = 0; c < columns;) {
    const FunctionalStream::Part *part = stream.peek(bursts++);
    if (!part || !part->burst.control || part->burst.colour != team.ports.colour || part->burst.firstPort != team.ports.first + c || part->burst.portStep != team.ports.step ||
        part->burst.portCount != team.ports.count)
      return false;
    const Command *command = commandOf(team, c, *part->burst.control);
    if (!command)
      return false;
    if (exchanged) {
      if (command->task.kind != SumTask::Own || !command->task.exchangesRows || command->task.otherRows != exchanged->task.otherRows ||
          !decode(exchanged->otherRows, *part) || weights_.values.size() != 1 || (!weights_.rows.empty() && weights_.rows[0] != 0))
        return false;
      row.hasBias = true;
      row.bias = weights_.values[0];
    } else if ((command->task.kind == SumTask::Own && command->task.exchangesRows) || !decode(team.columns[c].trigger, *part)) {
      return false;
    } else {
      team.room->rows.addColumn(weights_);
    }
    exchanged = command->task.kind == SumTask::Exchange ? command : nullptr;
    if (exchanged)
      continue;
    team.commands[c] = command;
    ++c;
  }
  return isChain(team, row.owner);
}

/// Whether the cores do the same with rows of as many weights.
static bool haveSameCommands(const WeightRow &a, const WeightRow &b) {
  return a.opcode == b.opcode && a.type == b.type && a.count == b.count && a.together == b.together && a.east == b.east && a.west == b.west && a.own == b.own &&
         a.bias.has_value() == b.bias.has_value() && (!a.bias || a.bias->command == b.bias->command);
}

/// Finds the commands of a row that MemoryX gives whole. False when the cores do something else with it, or might trap.
bool FunctionalContraction::readCommands(const WeightRow &whole, Team &team) {
  const size_t columns = team.columns.size();
  const bool isPacked = whole.opcode == Opcode::Fmacp;
  if (whole.owner >= columns || whole.together > team.columns[0].sums)
    return false;
  team.seen.resize(columns);
  std::optional<Team::Seen> &seen = team.seen[whole.owner];
  if (seen && haveSameCommands(seen->row, whole)) {
    team.commands = seen->commands;
    return true;
  }
  team.commands.resize(columns);
  for (size_t c = 0; c < columns; ++c) {
    const Trigger &trigger = team.columns[c].trigger;
    const size_t rows = trigger.rows.extent[0], count = whole.countIn(c);
    // What is left of the last wavelet multiplies nothing only if there is no row for it; and as many weights as rows come before those of the next sum.
    if (trigger.insn.opcode != whole.opcode || trigger.insn.type != whole.type || count > rows || (isPacked && count % 2 != 0 && count != rows) ||
        (whole.together > 1 && count != 0 && count != rows))
      return false;
    team.commands[c] = commandOf(team, c, c < whole.owner ? whole.east : c > whole.owner ? whole.west : whole.own);
    if (!team.commands[c])
      return false;
  }
  size_t owner = 0;
  if (!isChain(team, owner) || owner != whole.owner || team.commands[owner]->task.exchangesRows != whole.bias.has_value())
    return false;
  if (whole.bias) {
    const Command *exchange = commandOf(team, owner, whole.bias->command);
    if (!exchange || exchange->task.kind != SumTask::Exchange || exchange->task.otherRows != team.commands[owner]->task.otherRows)
      return false;
    // A wavelet for two brings one that is 0 along; and each sum has one bias.
    if ((isPacked || whole.together > 1) && exchange->otherRows.rows.extent[0] != 1)
      return false;
  }
  seen = {whole, team.commands};
  return true;
}

/// A row that MemoryX gives whole.
bool FunctionalContraction::readRow(const WeightRow &whole, Team &team, ProductRow &row) {
  const bool isIndexed = whole.opcode == Opcode::Fmacw || whole.opcode == Opcode::Fmacx;
  team.room->rows.beginRow();
  if (!readCommands(whole, team))
    return false;
  row.owner = whole.owner;
  row.place = whole.place;
  row.isLast = whole.place + 1 == whole.together;
  if (whole.bias) {
    row.hasBias = true;
    row.bias = numberFromBits(whole.type, whole.bias->bits).f;
  }
  if (whole.sorted && whole.sorted->isComplete()) {
    row.kept = whole.sorted;
    row.keptRow = whole.number;
  } else if (hasManyTeams() && !isIndexed && !whole.sorted) {
    team.room->rows.addUnsorted(whole);
  } else {
    sorter_.sort(whole, isIndexed, team.room->rows);
    if (whole.sorted)
      whole.sorted->add(whole.number, [&](size_t column) {
        const ProductRows::Run run = team.room->rows.lastRun(column);
        return SortedRows::Run{run.values, run.rows, run.count};
      });
  }
  return true;
}

/// Whether the owner has a place for what it makes next, beside all that it holds.
bool FunctionalContraction::hasPlace(Column &owner) const {
  constexpr uint64_t mostAtOnce = 16;
  for (uint64_t count = mostAtOnce; owner.owned >= owner.withPlace && count > 0; count /= mostAtOnce)
    if (areFree(owner, count))
      owner.withPlace = owner.owned + count;
  return owner.owned < owner.withPlace;
}

/// Whether the places of so many results from the next one on are.
bool FunctionalContraction::areFree(const Column &owner, uint64_t count) const {
  const SumTask &own = owner.own->task;
  const Descriptor &result = owner.at(own.result);
  const unsigned size = byteSize(elementType(result.type));
  const int64_t first = int64_t(result.base) + static_cast<int64_t>(owner.owned) * own.step, last = first + static_cast<int64_t>(count - 1) * own.step;
  const int64_t low = std::min(first, last), high = std::max(first, last);
  if (low < 0 || high > UINT16_MAX || first % size != 0 || last % size != 0)
    return false;
  Descriptor lowest = result, highest = result;
  lowest.base = static_cast<uint32_t>(low);
  highest.base = static_cast<uint32_t>(high);
  Footprint place = footprintOf(lowest);
  place.high = footprintOf(highest).high;
  return place.low >= owner.first().image.dataStart && place.high <= program_.machine().sramBytes &&
         std::none_of(owner.held.begin(), owner.held.end(), [&](const auto &other) { return other.second.overlaps(place); });
}

/// Takes the row that was read, if its result has a place.
bool FunctionalContraction::acceptRow(Team &team, ProductRow row) {
  Column &owner = team.columns[row.owner];
  if (row.place == 0 && !hasPlace(owner))
    return false;
  const SumTask &own = owner.own->task;
  const Descriptor &result = owner.at(own.result);
  row.number = owner.owned;
  const auto rowBytes = static_cast<uint32_t>(owner.each * byteSize(elementType(result.type)));
  row.resultBase = static_cast<uint32_t>(static_cast<int64_t>(result.base) + static_cast<int64_t>(row.number) * own.step) + row.place * rowBytes;
  team.room->rows.endRow(row);
  ++team.taken;
  if (!row.isLast)
    return true;
  acceptCommands(team, row);
  // Sums for which no row has come are 0.
  row.kept = nullptr;
  weights_.values.clear();
  weights_.rows.clear();
  for (row.hasBias = false; ++row.place < owner.sums;) {
    row.resultBase += rowBytes;
    team.room->rows.beginRow();
    for (size_t c = 0; c < team.columns.size(); ++c)
      team.room->rows.addColumn(weights_);
    team.room->rows.endRow(row);
  }
  return true;
}

/// What comes behind rows whose sums go together.
void FunctionalContraction::acceptCommands(Team &team, const ProductRow &row) {
  for (size_t c = 0; c < team.columns.size(); ++c) {
    Column &column = team.columns[c];
    const SumTask &task = team.commands[c]->task;
    ++column.taken;
    column.last = team.commands[c]->number;
    column.elementOps += task.vectors * column.numbers() * column.sums;
    column.instructions += task.instructions;
  }
  Column &owner = team.columns[row.owner];
  ++owner.owned;
  if (row.hasBias) {
    owner.instructions += 2; // the exchange and its end
    ++owner.biases;
  }
}

} // namespace wafer
