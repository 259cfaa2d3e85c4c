//===- TimingClasses.cpp - a wafer of one core per class ---------------------===//

#include "TimingClasses.h"

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

TimingClasses::TimingClasses(const LoadedProgram &part, const wexe::GridT &grid) : program_(part.program()), machine_(part.machine()), grid_(grid) {
  for (const auto &region : program_.regions)
    period_ = std::lcm(period_, region->rect->sy());
  for (const auto &route : program_.routes)
    if (route->rect->ny() > 1)
      period_ = std::lcm(period_, route->rect->sy());
  const uint32_t few = 2 * period_;
  rowsAreAlike_ = grid.y0 == 0 && grid.rows > few && isClean({few / 2, (grid.rows - few) / period_ * period_}, true);
  // Nothing of a group may reach into the next.
  const uint32_t end = grid.x0 + grid.columns;
  groupsAreAlike_ = grid.groups > 1;
  for (const auto &route : program_.routes)
    if (route->rx == wexe::Dir::W || route->rx == wexe::Dir::E || (route->tx & 0b1010))
      for (uint32_t i = 0; i < route->rect->nx(); ++i) {
        const uint32_t x = route->rect->x0() + i * route->rect->sx();
        groupsAreAlike_ &= !(x == end - 1 && (route->rx == wexe::Dir::E || (route->tx >> unsigned(wexe::Dir::E) & 1)));
      }
}

/// Whether whatever has a row there has all that are of its parity, begins before and goes on behind.
bool TimingClasses::isClean(const Cut &cut, bool regionsToo) const {
  auto clean = [&](const wexe::Rect &rect) {
    if (endY(rect) <= cut.first || rect.y0() >= cut.first + cut.count)
      return true;
    return rect.y0() < cut.first + rect.sy() && endY(rect) + rect.sy() > cut.first + cut.count && cut.count % rect.sy() == 0;
  };
  // A region that began further south could hide in its constants how many rows there are.
  auto whole = [&](const wexe::Rect &rect) { return rect.y0() < cut.first + rect.sy() && endY(rect) + rect.sy() > cut.first + cut.count; };
  for (const auto &region : program_.regions)
    if (!clean(*region->rect) || (regionsToo && !whole(*region->rect)))
      return false;
  return std::all_of(program_.routes.begin(), program_.routes.end(), [&](const auto &route) { return clean(*route->rect); });
}

TimingClasses::Cut TimingClasses::cutOfGrid(uint32_t rows) const { return {rows / 2 / period_ * period_, grid_.rows - rows}; }

LoadedProgram TimingClasses::reduced(uint32_t rows, uint32_t groups, uint32_t &missingHops) const {
  wexe::ProgramT program;
  program.format_version = program_.format_version;
  program.isa_hash = program_.isa_hash;
  for (const auto &colour : program_.colours)
    program.colours.push_back(std::make_unique<wexe::ColourT>(*colour));
  for (const auto &image : program_.images)
    program.images.push_back(std::make_unique<wexe::ImageT>(*image));

  // Routers below the grid only add their hops.
  Cut below;
  const uint32_t south = grid_.y0 + grid_.rows;
  if (machine_.height > south + 2 * period_) {
    below = {south + period_, (machine_.height - south - 2 * period_) / period_ * period_};
    if (!isClean(below, false))
      below.count = 0;
  }
  missingHops = below.count;
  const Cut cut = rows < grid_.rows ? cutOfGrid(rows) : Cut();
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
    // What falls from row to row ends as it did, what rises begins as it did: both count rows that there are.
    for (wexe::Override &override : region->overrides)
      if (override.dy() < 0)
        override = wexe::Override(override.descriptor(), override.field(),
                                  static_cast<uint32_t>(int64_t(override.base()) + int64_t(override.dy()) * (source->rect->ny() - region->rect->ny())),
                                  override.dx(), override.dy());
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
