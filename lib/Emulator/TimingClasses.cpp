//===- TimingClasses.cpp - a wafer of one core per class ---------------------===//

#include "TimingClasses.h"

#include "Semantics.h"

#include <algorithm>
#include <numeric>

namespace wafer {

namespace {

uint32_t endY(const wexe::Rect &rect) { return rect.y0() + uint32_t(rect.ny() - 1) * rect.sy() + 1; }

wexe::Rect resized(const wexe::Rect &rect, uint32_t y0, uint32_t nx, uint32_t ny) {
  return {rect.x0(), static_cast<uint16_t>(y0), static_cast<uint16_t>(nx), static_cast<uint16_t>(ny), rect.sx(), rect.sy()};
}

/// A rect without its columns from `end` on; false: none is left.
bool clipColumns(wexe::Rect &rect, uint32_t end) {
  if (rect.x0() >= end)
    return false;
  rect = resized(rect, rect.y0(), std::min<uint32_t>(rect.nx(), (end - 1 - rect.x0()) / rect.sx() + 1), rect.ny());
  return true;
}

/// A rect without the rows of a cut, those behind moved up: it reaches over all of them or has none.
void cutRows(wexe::Rect &rect, uint32_t first, uint32_t count) {
  if (count == 0 || endY(rect) <= first)
    return;
  if (rect.y0() >= first + count)
    rect = resized(rect, rect.y0() - count, rect.nx(), rect.ny());
  else
    rect = resized(rect, rect.y0(), rect.nx(), rect.ny() - count / rect.sy());
}

} // namespace

TimingClasses::TimingClasses(const LoadedProgram &part, const wexe::GridT &grid) : part_(part), program_(part.program()), machine_(part.machine()), grid_(grid) {
  for (const auto &region : program_.regions)
    period_ = std::lcm(period_, region->rect->sy());
  for (const auto &route : program_.routes)
    if (route->rect->ny() > 1)
      period_ = std::lcm(period_, route->rect->sy());
  // Nothing of a group may reach into the next.
  const uint32_t end = grid.x0 + grid.columns;
  groupsAreAlike_ = grid.groups > 1;
  for (const auto &route : program_.routes)
    if (route->rx == wexe::Dir::W || route->rx == wexe::Dir::E || (route->tx & 0b1010))
      for (uint32_t i = 0; i < route->rect->nx(); ++i) {
        const uint32_t x = route->rect->x0() + i * route->rect->sx();
        groupsAreAlike_ &= !(x == end - 1 && (route->rx == wexe::Dir::E || (route->tx >> unsigned(wexe::Dir::E) & 1)));
      }
  // Where relays fill much of their links, which few columns do, cores hold each other up from row to row.
  const uint64_t share = std::max(machine_.ingestWaveletsPerCycle, machine_.egressWaveletsPerCycle), simulated = uint64_t(grid.columns) * (groupsAreAlike_ ? 1 : grid.groups);
  const bool isCalm = uint64_t(grid.columns) * grid.groups >= 8 * share;
  first_ = (isCalm ? keptRows : std::max<uint32_t>(manyRows, static_cast<uint32_t>(manyCores / 2 / simulated))) / period_ * period_;
  rowsAreAlike_ = first_ > 0 && grid.rows >= 2 * first_ + period_ && isClean(cutOfGrid());
}

/// Whether whatever has a row there has all that are of its parity, begins before and goes on behind.
bool TimingClasses::isClean(const Cut &cut) const {
  auto clean = [&](const wexe::Rect &rect) {
    if (endY(rect) <= cut.first || rect.y0() >= cut.first + cut.count)
      return true;
    return rect.y0() < cut.first + rect.sy() && endY(rect) + rect.sy() > cut.first + cut.count && cut.count % rect.sy() == 0;
  };
  if (!std::all_of(program_.regions.begin(), program_.regions.end(), [&](const auto &region) { return clean(*region->rect); }))
    return false;
  return std::all_of(program_.routes.begin(), program_.routes.end(), [&](const auto &route) { return clean(*route->rect); });
}

TimingClasses::Cut TimingClasses::cutOfGrid() const { return {grid_.y0 + first_, (grid_.rows - 2 * first_) / period_ * period_}; }

MissingRows TimingClasses::missingRows() const {
  const Cut cut = rowsAreAlike_ ? cutOfGrid() : Cut();
  const uint32_t south = grid_.y0 + grid_.rows;
  Cut below;
  if (machine_.height > south + 2 * period_) {
    below = {south + period_, (machine_.height - south - 2 * period_) / period_ * period_};
    if (!isClean(below))
      below.count = 0;
  }
  return {{cut.first - 1, cut.count}, {below.first - 1 - cut.count, below.count}};
}

/// Wavelets of `colour` that core (x, y) sends in a task that begins at `pc`.
uint64_t TimingClasses::sentInTask(uint32_t x, uint32_t y, uint16_t pc, std::optional<uint8_t> &colour) const {
  const std::vector<Instruction> &code = part_.code(program_.regions[static_cast<size_t>(part_.regionAt(x, y))]->image);
  std::map<uint8_t, uint8_t> templates; ///< by register
  uint64_t sent = 0;
  for (; pc < code.size() && code[pc].opcode != Opcode::End; ++pc) {
    const Instruction &insn = code[pc];
    if (insn.opcode == Opcode::Ldd)
      templates[insn.dst] = insn.descriptorTemplate;
    if (insnClass(insn.opcode) == InsnClass::Control || !templates.count(insn.dst))
      continue;
    const Descriptor target = part_.descriptorAt(x, y, templates[insn.dst]);
    if (target.kind != wexe::DescKind::FabOut || !(part_.routeAt(x, y, target.colour).tx >> unsigned(wexe::Dir::S) & 1))
      continue;
    if (!colour)
      colour = target.colour;
    const uint64_t each = elementsPerWavelet(target.type);
    sent += *colour == target.colour ? (target.elements() + each - 1) / each : 0;
  }
  return sent;
}

std::optional<std::pair<uint8_t, MissingRows::Relay>> TimingClasses::relayOf(const MissingRows &missing, uint16_t number) const {
  for (const auto &task : program_.images[program_.regions[static_cast<size_t>(part_.regionAt(grid_.x0, missing.cores.above))]->image]->tasks) {
    if (task->kind != wexe::TaskKind::Control || task->number != number)
      continue;
    std::optional<uint8_t> colour;
    const uint64_t sent = sentInTask(grid_.x0, missing.cores.above, task->pc, colour), last = sentInTask(grid_.x0, missing.cores.above + missing.cores.count, task->pc, colour);
    if (!colour)
      return std::nullopt;
    return std::pair(*colour, MissingRows::Relay{sent, sent > last ? sent - last : 0, last > sent ? last - sent : 0});
  }
  return std::nullopt;
}

LoadedProgram TimingClasses::reduced(const MissingRows &missing, uint32_t groups) const {
  wexe::ProgramT program;
  program.format_version = program_.format_version;
  program.isa_hash = program_.isa_hash;
  for (const auto &colour : program_.colours)
    program.colours.push_back(std::make_unique<wexe::ColourT>(*colour));
  for (const auto &image : program_.images)
    program.images.push_back(std::make_unique<wexe::ImageT>(*image));

  const Cut cut = {missing.cores.above + 1, missing.cores.count}, below = {missing.routers.above + 1 + cut.count, missing.routers.count};
  const uint32_t columns = grid_.x0 + grid_.columns * groups;

  auto shrink = [&](wexe::Rect &rect) {
    if (!clipColumns(rect, columns))
      return false;
    cutRows(rect, below.first, below.count);
    cutRows(rect, cut.first, cut.count);
    return true;
  };
  for (const auto &source : program_.regions) {
    auto region = std::make_unique<wexe::RegionT>(*source);
    if (!shrink(*region->rect))
      continue;
    // A row counts those that are missing too, so that what is below them is a region of its own.
    auto below = std::make_unique<wexe::RegionT>(*region);
    wexe::Rect &rect = *region->rect;
    const uint32_t above = rect.y0() < cut.first ? (cut.first - 1 - rect.y0()) / rect.sy() + 1 : 0;
    if (cut.count > 0 && rect.y0() < cut.first + cut.count && above < rect.ny()) {
      const uint32_t skipped = above + cut.count / rect.sy();
      below->name += "_below";
      *below->rect = resized(rect, rect.y0() + above * rect.sy(), rect.nx(), rect.ny() - above);
      for (wexe::Override &override : below->overrides)
        override = wexe::Override(override.descriptor(), override.field(), static_cast<uint32_t>(int64_t(override.base()) + int64_t(override.dy()) * skipped),
                                  override.dx(), override.dy());
      program.regions.push_back(std::move(below));
      if (above == 0)
        continue;
      rect = resized(rect, rect.y0(), rect.nx(), above);
    }
    program.regions.push_back(std::move(region));
  }
  for (const auto &source : program_.routes) {
    auto route = std::make_unique<wexe::RouteT>(*source);
    if (shrink(*route->rect))
      program.routes.push_back(std::move(route));
  }
  Machine machine = machine_;
  machine.width = std::min(machine_.width, columns);
  machine.height = machine_.height - below.count - cut.count;
  machine.defects = {}; // rows that differ in their dead cores are no class
  program.machine = machine.toJson();
  program.machine_hash = machine.hash();
  return LoadedProgram::verify(std::move(program));
}

} // namespace wafer
