//===- VerifyRoutes.cpp - channels are whole, and end where code is -------===//

#include "Verify.h"

#include <algorithm>

namespace wafer {

namespace {

using wexe::Dir;

constexpr Dir meshDirections[] = {Dir::N, Dir::E, Dir::S, Dir::W};

Dir opposite(Dir direction) { return static_cast<Dir>((unsigned(direction) + 2) % 4); }

/// The router next to (x, y); false at the edge of the machine.
bool neighbour(const Machine &machine, uint32_t x, uint32_t y, Dir direction, uint32_t &nx, uint32_t &ny) {
  nx = x + (direction == Dir::E) - (direction == Dir::W);
  ny = y + (direction == Dir::S) - (direction == Dir::N);
  return nx < machine.width && ny < machine.height;
}

class Routes {
public:
  explicit Routes(VerifyContext &context) : context_(context), program_(context.program), machine_(context.machine) {}

  void place();
  void checkLinks(unsigned colour) const;
  void checkCycles(unsigned colour) const;
  void findUsers();
  void checkUsers(unsigned colour) const;

private:
  const RouteGrid &grid(unsigned colour) const { return context_.expanded.routes[colour]; }
  std::string routeName(size_t index) const { return entryName("routes", index, program_.routes[index]->channel); }
  /// The entry of the file that covers a router and colour.
  std::string routeAt(uint32_t x, uint32_t y, unsigned colour) const;
  std::string channel(unsigned colour) const { return describeColour(context_.expanded, colour); }
  void checkEntry(size_t index) const;
  void refuseSend(unsigned colour, uint32_t x, uint32_t y, Dir direction) const;
  void refuseReceive(unsigned colour, uint32_t x, uint32_t y, Dir direction) const;

  VerifyContext &context_;
  const wexe::ProgramT &program_;
  const Machine &machine_;
  std::vector<uint32_t> sends_, receives_; ///< by region: colours that its code sends on, receives or is commanded by
};

std::string Routes::routeAt(uint32_t x, uint32_t y, unsigned colour) const {
  for (size_t r = 0; r < program_.routes.size(); ++r) {
    const wexe::RouteT &route = *program_.routes[r];
    if (route.colour == colour && !placesIn(*route.rect, {x, y, x + 1, y + 1}).empty())
      return routeName(r);
  }
  return "section 'routes'";
}

void Routes::checkEntry(size_t index) const {
  const wexe::RouteT &route = *program_.routes[index];
  std::string where = routeName(index);
  verifyRect(context_, route.rect.get(), where, "route_c1");
  if (route.colour >= machine_.colours)
    refuse(where, "uses colour " + std::to_string(route.colour) + ", expected less than the machine's " + std::to_string(machine_.colours),
           "route_c4");
  if (unsigned(route.rx) >= routeDirections)
    refuse(where, "has unknown direction " + std::to_string(unsigned(route.rx)) + " as rx", "exe_c4");
  if (route.tx == 0 || route.tx >> routeDirections)
    refuse(where, "has tx bits " + std::to_string(route.tx) + ", expected at least one of N, E, S, W, RAMP and no other", "route_c1");
  if (route.tx & bitOf(route.rx))
    refuse(where, std::string("sends back to ") + directionName(route.rx) + ", where it receives from", "route_c1");
}

void Routes::place() {
  std::vector<RouteGrid> &grids = context_.expanded.routes;
  grids.resize(machine_.colours);
  for (size_t r = 0; r < program_.routes.size(); ++r) {
    checkEntry(r);
    grids[program_.routes[r]->colour].grow(boundsOf(*program_.routes[r]->rect));
  }
  for (RouteGrid &grid : grids)
    grid.allocate();
  for (size_t r = 0; r < program_.routes.size(); ++r) {
    const wexe::RouteT &route = *program_.routes[r];
    const wexe::Rect &rect = *route.rect;
    RouteGrid &grid = grids[route.colour];
    for (uint32_t j = 0; j < rect.ny(); ++j)
      for (uint32_t i = 0; i < rect.nx(); ++i) {
        uint32_t x = rect.x0() + i * rect.sx(), y = rect.y0() + j * rect.sy();
        RouteEntry &entry = grid.entry(x, y);
        if (entry.tx != 0)
          refuse(routeName(r),
                 "is a second sender into " + channel(route.colour) + " at router " + describeCore(x, y) + ", which " +
                     routeAt(x, y, route.colour) + " already gives an entry; use another colour for one of them",
                 "route_c1");
        entry = {route.rx, route.tx};
      }
  }
}

void Routes::refuseSend(unsigned colour, uint32_t x, uint32_t y, Dir direction) const {
  uint32_t nx, ny;
  std::string what = "router " + describeCore(x, y) + " sends " + channel(colour) + " to " + directionName(direction);
  if (!neighbour(machine_, x, y, direction, nx, ny))
    refuse(routeAt(x, y, colour), what + ", off the wafer, which only the south edge has a port for", "route_c2");
  if (grid(colour).at(nx, ny).tx == 0)
    refuse(routeAt(x, y, colour),
           what + ", but router " + describeCore(nx, ny) + " has no entry for it; add a route with rx " +
               directionName(opposite(direction)) + " there",
           "route_c2");
  refuse(routeAt(x, y, colour),
         what + ", but router " + describeCore(nx, ny) + " receives it from " + directionName(grid(colour).at(nx, ny).rx) + " by " +
             routeAt(nx, ny, colour) + ", expected rx " + directionName(opposite(direction)),
         "route_c2");
}

void Routes::refuseReceive(unsigned colour, uint32_t x, uint32_t y, Dir direction) const {
  uint32_t nx, ny;
  std::string what = "router " + describeCore(x, y) + " receives " + channel(colour) + " from " + directionName(direction);
  if (!neighbour(machine_, x, y, direction, nx, ny))
    refuse(routeAt(x, y, colour), what + ", off the wafer, which only the north edge has a port for", "route_c3");
  if (grid(colour).at(nx, ny).tx == 0)
    refuse(routeAt(x, y, colour),
           what + ", but router " + describeCore(nx, ny) + " has no entry for it; add a route with " + directionName(opposite(direction)) +
               " in tx there",
           "route_c3");
  refuse(routeAt(x, y, colour),
         what + ", but router " + describeCore(nx, ny) + " does not send it there by " + routeAt(nx, ny, colour) + ", expected " +
             directionName(opposite(direction)) + " in tx",
         "route_c3");
}

void Routes::checkLinks(unsigned colour) const {
  const RouteGrid &routes = grid(colour);
  const CoreRange &bounds = routes.bounds();
  for (uint32_t y = bounds.y0; y < bounds.y1; ++y)
    for (uint32_t x = bounds.x0; x < bounds.x1; ++x) {
      RouteEntry entry = routes.at(x, y);
      if (entry.tx == 0)
        continue;
      uint32_t nx, ny;
      for (Dir direction : meshDirections) {
        if (!(entry.tx & bitOf(direction)))
          continue;
        if (neighbour(machine_, x, y, direction, nx, ny)) {
          RouteEntry next = routes.at(nx, ny);
          if (next.tx == 0 || next.rx != opposite(direction))
            refuseSend(colour, x, y, direction);
        } else if (direction != Dir::S) {
          refuseSend(colour, x, y, direction);
        }
      }
      if (entry.rx == Dir::Ramp)
        continue;
      if (neighbour(machine_, x, y, entry.rx, nx, ny)) {
        if (!(routes.at(nx, ny).tx & bitOf(opposite(entry.rx))))
          refuseReceive(colour, x, y, entry.rx);
      } else if (entry.rx != Dir::N) {
        refuseReceive(colour, x, y, entry.rx);
      }
    }
}

/// Every router has one `rx`, so a colour is a forest unless some routers are reached from no root: those hang on a cycle.
void Routes::checkCycles(unsigned colour) const {
  const RouteGrid &routes = grid(colour);
  const CoreRange &bounds = routes.bounds();
  std::vector<bool> reached(routes.size());
  std::vector<std::pair<uint32_t, uint32_t>> pending;
  for (uint32_t y = bounds.y0; y < bounds.y1; ++y)
    for (uint32_t x = bounds.x0; x < bounds.x1; ++x) {
      RouteEntry entry = routes.at(x, y);
      if (entry.tx != 0 && (entry.rx == Dir::Ramp || (entry.rx == Dir::N && y == 0)))
        pending.push_back({x, y});
      while (!pending.empty()) {
        auto [px, py] = pending.back();
        pending.pop_back();
        reached[routes.indexOf(px, py)] = true;
        uint32_t nx, ny;
        for (Dir direction : meshDirections)
          if ((routes.at(px, py).tx & bitOf(direction)) && neighbour(machine_, px, py, direction, nx, ny))
            pending.push_back({nx, ny});
      }
    }
  for (uint32_t y = bounds.y0; y < bounds.y1; ++y)
    for (uint32_t x = bounds.x0; x < bounds.x1; ++x)
      if (routes.at(x, y).tx != 0 && !reached[routes.indexOf(x, y)])
        refuse(routeAt(x, y, colour),
               channel(colour) + " comes back to router " + describeCore(x, y) +
                   " or is fed by routers that it comes back to, expected to begin at a RAMP or at the north edge",
               "route_c6");
}

void Routes::findUsers() {
  sends_.resize(program_.regions.size());
  receives_.resize(program_.regions.size());
  for (size_t r = 0; r < program_.regions.size(); ++r) {
    unsigned image = program_.regions[r]->image;
    const ImageFlow &flow = context_.flow[image];
    receives_[r] = uint32_t(1) << program_.images[image]->command_colour;
    for (size_t d = 0; d < flow.written.size(); ++d) {
      if (!flow.written[d] && !flow.read[d])
        continue;
      RegionDescriptor descriptor = context_.expanded.descriptor(program_, r, d);
      uint32_t bit = descriptor.colour < 32 ? uint32_t(1) << descriptor.colour : 0;
      if (descriptor.kind == wexe::DescKind::FabOut && flow.written[d])
        sends_[r] |= bit;
      if (descriptor.kind == wexe::DescKind::FabIn && flow.read[d])
        receives_[r] |= bit;
    }
  }
}

void Routes::checkUsers(unsigned colour) const {
  const RouteGrid &routes = grid(colour);
  const CoreRange &bounds = routes.bounds();
  uint32_t bit = uint32_t(1) << colour;
  for (uint32_t y = bounds.y0; y < bounds.y1; ++y)
    for (uint32_t x = bounds.x0; x < bounds.x1; ++x) {
      RouteEntry entry = routes.at(x, y);
      if (entry.tx == 0)
        continue;
      bool sends = entry.rx == Dir::Ramp, receives = entry.tx & bitOf(Dir::Ramp);
      if (!sends && !receives)
        continue;
      uint16_t region = context_.expanded.region(x, y);
      if (region == noRegion)
        refuse(routeAt(x, y, colour),
               "connects " + channel(colour) + " with RAMP at core " + describeCore(x, y) + ", where no region runs a program", "route_c5");
      if ((!sends || (sends_[region] & bit)) && (!receives || (receives_[region] & bit)))
        continue;
      std::string program = "image " + quoted(program_.images[program_.regions[region]->image]->name) + " of region " +
                            quoted(program_.regions[region]->name);
      if (sends && !(sends_[region] & bit))
        refuse(routeAt(x, y, colour),
               "takes " + channel(colour) + " from RAMP at core " + describeCore(x, y) + ", but no instruction of " + program +
                   " sends on it",
               "route_c5");
      if (receives && !(receives_[region] & bit))
        refuse(routeAt(x, y, colour),
               "delivers " + channel(colour) + " to RAMP at core " + describeCore(x, y) + ", but no instruction of " + program +
                   " receives on it, nor is it the command colour",
               "route_c5");
    }
}

} // namespace

void verifyRoutes(VerifyContext &context) {
  Routes routes(context);
  routes.place();
  for (unsigned colour = 0; colour < context.machine.colours; ++colour) {
    routes.checkLinks(colour);
    routes.checkCycles(colour);
  }
}

void verifyRouteUsers(VerifyContext &context) {
  Routes routes(context);
  routes.findUsers();
  for (unsigned colour = 0; colour < context.machine.colours; ++colour)
    routes.checkUsers(colour);
}

} // namespace wafer
