//===- TimingClasses.cpp - a wafer of one core per class ---------------------===//

#include "TimingClasses.h"

#include "Semantics.h"

#include <algorithm>
#include <numeric>

namespace wafer {

namespace {

wexe::Rect resized(const wexe::Rect &rect, uint32_t y0, uint32_t nx, uint32_t ny) {
  return {rect.x0(), static_cast<uint16_t>(y0), static_cast<uint16_t>(nx), static_cast<uint16_t>(ny), rect.sx(), rect.sy()};
}

/// Columns of a rect that are west of x.
uint32_t columnsBefore(const wexe::Rect &rect, uint32_t x) { return rect.x0() >= x ? 0 : std::min<uint32_t>(rect.nx(), (x - 1 - rect.x0()) / rect.sx() + 1); }

/// Whether what is left of a rect without columns [first, first + count) is a rect.
bool isCleanOfColumns(const wexe::Rect &rect, uint32_t first, uint32_t count) {
  const uint32_t before = columnsBefore(rect, first), upTo = columnsBefore(rect, first + count);
  return before == 0 || upTo == rect.nx() || (upTo - before) * rect.sx() == count;
}

/// A rect without those columns, those behind moved up; false: none is left.
bool cutColumns(wexe::Rect &rect, uint32_t first, uint32_t count) {
  const uint32_t before = columnsBefore(rect, first), upTo = columnsBefore(rect, first + count), left = before + rect.nx() - upTo;
  const uint32_t x0 = before > 0 ? rect.x0() : rect.x0() + upTo * rect.sx() - count;
  rect = {static_cast<uint16_t>(x0), rect.y0(), static_cast<uint16_t>(left), rect.ny(), rect.sx(), rect.sy()};
  return left > 0;
}

/// Rows of a rect north of y.
uint32_t rowsBefore(const wexe::Rect &rect, uint32_t y) { return rect.y0() >= y ? 0 : std::min<uint32_t>(rect.ny(), (y - 1 - rect.y0()) / rect.sy() + 1); }

/// What is left of a rect without rows [first, first + count), those behind moved up: calls keep(rect, rows of it that are before).
template <typename Keep> void keepRows(const wexe::Rect &rect, uint32_t first, uint32_t count, Keep keep) {
  const uint32_t before = rowsBefore(rect, first), upTo = rowsBefore(rect, first + count);
  if (before > 0)
    keep(resized(rect, rect.y0(), rect.nx(), before), 0u);
  if (upTo < rect.ny())
    keep(resized(rect, rect.y0() + upTo * rect.sy() - count, rect.nx(), rect.ny() - upTo), upTo);
}

} // namespace

TimingClasses::TimingClasses(const LoadedProgram &part, const wexe::GridT &grid, TimingUse use) : part_(part), program_(part.program()), machine_(part.machine()), grid_(grid), use_(use) {
  for (const auto &region : program_.regions)
    period_ = std::lcm(period_, region->rect->sy());
  for (const auto &route : program_.routes)
    if (route->rect->ny() > 1 && isUsed(route->colour))
      period_ = std::lcm(period_, route->rect->sy());
  // What of a group reaches into the next: nothing, or sums below the grid.
  const uint32_t end = grid.x0 + grid.columns, south = grid.y0 + uint32_t(grid.rows);
  bool reachesOver = false, isBelow = true;
  for (const auto &route : program_.routes)
    if (const uint32_t to = columnsBefore(*route->rect, end); isUsed(route->colour) && to > columnsBefore(*route->rect, end - 1) && (route->rx == wexe::Dir::E || (route->tx >> unsigned(wexe::Dir::E) & 1))) {
      reachesOver = true;
      isBelow &= route->rect->y0() >= south;
    }
  // Of few cores all are there: how the last blocks of a transfer share the link, as many at a time as it has wavelets in a cycle, is a part of its time then.
  if ((reachesOver && !isBelow) || uint64_t(grid.columns) * grid.groups * grid.rows <= manyCores)
    groupsLeft_ = grid.groups;
  else if (reachesOver && grid.groups > 1 && use.below)
    leaveOutChainedGroups();
  // Where relays fill much of their links, which few columns do, cores hold each other up from row to row.
  const uint64_t share = std::max(machine_.ingestWaveletsPerCycle, machine_.egressWaveletsPerCycle), simulated = uint64_t(grid.columns) * groupsLeft_;
  const bool isCalm = uint64_t(grid.columns) * grid.groups >= 8 * share;
  const uint32_t many = isCalm ? pairOfRows : std::max<uint32_t>(manyRows, static_cast<uint32_t>(manyCores / 4 / simulated * 2));
  if (2 * many >= grid.rows || !hasSameImages())
    return;
  if (isCalm && !use.pairs)
    missing_ = cutOf(grid.y0 + 1u, south - 1);
  if (missing_.count == 0)
    missing_ = cutOf(grid.y0 + many, south - many);
}

/// Takes groups out between the last and the first, or of an odd number the second: neighbours send to each other on colours that take turns, and it sends as the last wants it.
void TimingClasses::leaveOutChainedGroups() {
  firstGroup_ = grid_.groups % 2;
  groupsLeft_ = 2;
  auto isClean = [&](const wexe::Rect &rect) { return isCleanOfColumns(rect, groupsBetween().first, groupsBetween().count) && isCleanOfColumns(rect, grid_.x0, firstGroup_ * grid_.columns); };
  auto isPlain = [](const wexe::Override &entry) { return entry.dx() == 0; };
  if (std::all_of(program_.regions.begin(), program_.regions.end(), [&](const auto &region) { return isClean(*region->rect) && std::all_of(region->overrides.begin(), region->overrides.end(), isPlain); }) &&
      std::all_of(program_.routes.begin(), program_.routes.end(), [&](const auto &route) { return isClean(*route->rect); }))
    return;
  firstGroup_ = 0;
  groupsLeft_ = grid_.groups;
}

/// All columns of groups that need not be there, behind the first of those that are.
TimingClasses::Cut TimingClasses::groupsBetween() const { return {grid_.x0 + (firstGroup_ + 1) * grid_.columns, (grid_.groups - groupsLeft_ - firstGroup_) * uint32_t(grid_.columns)}; }

/// What the second group's cores below the grid get from the first, as what the first one's have in its place: nothing, to which they add.
void TimingClasses::beginsSums(wexe::RegionT &region, const wexe::Rect &source) const {
  const wexe::RegionT &first = *program_.regions[static_cast<size_t>(part_.regionAt(source.x0() - grid_.columns, source.y0()))];
  for (const wexe::Override &kind : first.overrides)
    if (kind.field() == wexe::DescField::Kind)
      std::copy_if(first.overrides.begin(), first.overrides.end(), std::back_inserter(region.overrides), [&](const wexe::Override &entry) { return entry.descriptor() == kind.descriptor(); });
}

/// Whether it brings sums of the group before, in the first group that is left.
bool TimingClasses::bringsSums(const wexe::RouteT &route, const wexe::Rect &kept) const {
  if (firstGroup_ == 0 || route.rx != wexe::Dir::W || route.rect->y0() < grid_.y0 + uint32_t(grid_.rows) || kept.x0() >= grid_.x0 + uint32_t(grid_.columns))
    return false;
  // Sums of all columns come over the group's first one.
  const uint32_t west = grid_.x0 + grid_.columns, y = route.rect->y0();
  const RouteEntry entry = part_.routeAt(west, y, route.colour);
  return entry.tx != 0 && entry.rx == wexe::Dir::W;
}

/// Whether all rows of the grid run what the first one does.
bool TimingClasses::hasSameImages() const {
  auto imageAt = [&](uint32_t x, uint32_t y) {
    const int region = part_.regionAt(x, y);
    return region < 0 ? -1 : static_cast<int64_t>(program_.regions[static_cast<size_t>(region)]->image);
  };
  for (uint32_t x = grid_.x0; x < grid_.x0 + uint32_t(grid_.columns) * grid_.groups; ++x)
    for (uint32_t y = grid_.y0 + 1u; y < grid_.y0 + uint32_t(grid_.rows); ++y)
      if (imageAt(x, y) != imageAt(x, grid_.y0))
        return false;
  return true;
}

bool TimingClasses::hasCores(uint32_t first, uint32_t end) const {
  return std::any_of(program_.regions.begin(), program_.regions.end(), [&](const auto &region) { return rowsBefore(*region->rect, end) > rowsBefore(*region->rect, first); });
}

/// As many of the rows [first, end) as can go, such that what is behind them goes on as they begin: its routers are as theirs. A band of rows may begin among them.
TimingClasses::Cut TimingClasses::cutOf(uint32_t first, uint32_t end) const {
  auto isAlike = [&](uint32_t y) {
    for (uint32_t x = grid_.x0; x < grid_.x0 + uint32_t(grid_.columns) * grid_.groups; ++x)
      for (uint32_t colour = 0; colour < machine_.colours; ++colour) {
        if (!isUsed(colour))
          continue;
        const RouteEntry a = part_.routeAt(x, first, colour), b = part_.routeAt(x, y, colour);
        if (a.tx != b.tx || (a.tx != 0 && a.rx != b.rx))
          return false;
      }
    return true;
  };
  for (uint32_t left = 0; left < period_; ++left)
    if (first + left < end && isAlike(end - left))
      return {first, end - left - first};
  return {};
}

MissingRows TimingClasses::missingRows() const {
  const Cut &cut = missing_;
  // Right below the grid, or behind the rows that add sums of groups.
  Cut below;
  for (const uint32_t south : {uint32_t(grid_.y0) + grid_.rows, uint32_t(grid_.y0) + grid_.rows + grid_.columns})
    if (use_.below && below.count == 0 && machine_.height > south + 2 * period_ && !hasCores(south + period_, machine_.height))
      below = cutOf(south + period_, machine_.height - period_);
  // Without a last group behind them, nothing passes the others.
  const uint32_t passed = groupsLeft_ == 1 ? 0 : grid_.groups - groupsLeft_;
  return {{cut.first - 1, cut.count}, {below.first - 1 - cut.count, below.count}, {grid_.x0 + grid_.columns - 1u, passed, grid_.columns}, grid_.y0 + grid_.rows - cut.count};
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

LoadedProgram TimingClasses::reduced(const MissingRows &missing) const {
  wexe::ProgramT program;
  program.format_version = program_.format_version;
  program.isa_hash = program_.isa_hash;
  for (const auto &colour : program_.colours)
    program.colours.push_back(std::make_unique<wexe::ColourT>(*colour));
  for (const auto &image : program_.images)
    program.images.push_back(std::make_unique<wexe::ImageT>(*image));

  const Cut cut = {missing.cores.above + 1, missing.cores.count}, below = {missing.routers.above + 1, missing.routers.count};
  const Cut groups = groupsBetween();
  const uint32_t end = use_.below ? machine_.height : grid_.y0 + uint32_t(grid_.rows);

  auto shrink = [&](wexe::Rect &rect) {
    rect = resized(rect, rect.y0(), rect.nx(), rowsBefore(rect, end));
    return rect.ny() > 0 && cutColumns(rect, grid_.x0 + uint32_t(grid_.columns) * grid_.groups, machine_.width) && cutColumns(rect, groups.first, groups.count) && cutColumns(rect, grid_.x0, firstGroup_ * grid_.columns);
  };
  for (const auto &source : program_.regions) {
    wexe::Rect rect = *source->rect;
    if (!shrink(rect))
      continue;
    // A row counts those that are missing too, so that what is below them is a region of its own.
    keepRows(rect, cut.first, cut.count, [&](const wexe::Rect &kept, uint32_t before) {
      auto &region = program.regions.emplace_back(std::make_unique<wexe::RegionT>(*source));
      *region->rect = kept;
      if (firstGroup_ > 0 && kept.x0() < grid_.x0 + uint32_t(grid_.columns) && source->rect->y0() >= grid_.y0 + uint32_t(grid_.rows))
        beginsSums(*region, *source->rect);
      if (before == 0)
        return;
      region->name += "_below";
      for (wexe::Override &override : region->overrides)
        override = wexe::Override(override.descriptor(), override.field(), static_cast<uint32_t>(int64_t(override.base()) + int64_t(override.dy()) * before), override.dx(), override.dy());
    });
  }
  for (const auto &source : program_.routes) {
    wexe::Rect rect = *source->rect;
    if (!isUsed(source->colour) || !shrink(rect) || bringsSums(*source, rect))
      continue;
    keepRows(rect, below.first + cut.count, below.count, [&](const wexe::Rect &some, uint32_t) {
      keepRows(some, cut.first, cut.count, [&](const wexe::Rect &kept, uint32_t) {
        auto &route = program.routes.emplace_back(std::make_unique<wexe::RouteT>(*source));
        *route->rect = kept;
      });
    });
  }
  Machine machine = machine_;
  machine.width = grid_.x0 + grid_.columns * groupsLeft_;
  machine.height = end - below.count - cut.count;
  machine.defects = {}; // rows that differ in their dead cores are no class
  program.machine = machine.toJson();
  program.machine_hash = machine.hash();
  return LoadedProgram::verify(std::move(program));
}

} // namespace wafer
