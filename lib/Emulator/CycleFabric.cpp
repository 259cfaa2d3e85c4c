//===- CycleFabric.cpp - routers, links and queues, cycle by cycle -----------===//

#include "CycleFabric.h"

#include <algorithm>

namespace wafer {

CycleFabric::CycleFabric(const LoadedProgram &program, unsigned copiesOfPort)
    : machine_(program.machine()), columnsOnWafer_(machine_.columnsOnWafer()), width_(machine_.width), height_(machine_.height), routers_(size_t(width_) * height_),
      ramps_(routers_.size()), ports_(width_), copiesOfPort_(copiesOfPort) {
  for (uint32_t index = 0; index < routers_.size(); ++index) {
    uint32_t x = index % width_, y = index / width_;
    Router &router = routers_[index];
    router.firstSlot = static_cast<uint32_t>(slots_.size());
    for (uint32_t colour = 0; colour < machine_.colours; ++colour)
      if (RouteEntry entry = program.routeAt(x, y, colour); entry.tx != 0) {
        Slot &slot = slots_.emplace_back();
        slot.colour = static_cast<uint8_t>(colour);
        slot.tx = entry.tx;
        slot.rx = entry.rx;
        slot.router = index;
        slot.depth = machine_.routerQueueDepth;
      }
    router.endSlot = static_cast<uint32_t>(slots_.size());
    if (program.regionAt(x, y) >= 0) {
      ramps_[index].in.resize(machine_.colours);
      ramps_[index].out.resize(machine_.colours);
    }
  }
  for (Slot &slot : slots_)
    for (unsigned side = 0; side < numSides; ++side)
      if (wexe::Dir direction = static_cast<wexe::Dir>(side); sends(slot, direction))
        if (uint32_t other = neighbour(slot.router, direction); other != none) {
          slot.next[side] = slotOf(other, slot.colour);
          slot.cycles[side] = machine_.hopCycles * linkLength(slot.router, other);
          // A long link passes routers of cores that are not used, which hold what is on its way.
          slots_[slot.next[side]].depth += slot.cycles[side] - machine_.hopCycles;
        }
}

/// Routers from one to the next, on the wafer as it is.
uint32_t CycleFabric::linkLength(uint32_t from, uint32_t to) const {
  if (columnsOnWafer_.empty())
    return 1;
  const uint32_t a = columnsOnWafer_[from], b = columnsOnWafer_[to], along = a > b ? a - b : b - a;
  return from / width_ == to / width_ ? along : along + 1;
}

uint32_t CycleFabric::neighbour(uint32_t router, wexe::Dir side) const {
  uint32_t x = router % width_, y = router / width_;
  switch (side) {
  case wexe::Dir::N:
    return y == 0 ? none : router - width_;
  case wexe::Dir::E:
    return x + 1 == width_ ? none : router + 1;
  case wexe::Dir::S:
    return y + 1 == height_ ? none : router + width_;
  case wexe::Dir::W:
    return x == 0 ? none : router - 1;
  case wexe::Dir::Ramp:
    break;
  }
  return none;
}

uint32_t CycleFabric::slotOf(uint32_t router, uint8_t colour) const {
  for (uint32_t i = routers_[router].firstSlot; i < routers_[router].endSlot; ++i)
    if (slots_[i].colour == colour)
      return i;
  return none;
}

void CycleFabric::beginRun() {
  hops = waveletsOut = 0;
  egressCredit_ = 0;
  egressTurn_ = 0;
  for (Slot &slot : slots_)
    slot.lastForward = slot.lastFromRamp = 0;
}

void CycleFabric::activate(uint32_t router) {
  if (routers_[router].active)
    return;
  routers_[router].active = true;
  active_.push_back(router);
}

void CycleFabric::enterPort(uint32_t port, uint8_t colour, Wavelet wavelet) {
  ports_[port].push_back({colour, wavelet});
  if (ports_[port].size() == 1)
    activePorts_.push_back(port);
  ++inFlight_;
}

void CycleFabric::give(uint32_t router, uint8_t colour, uint32_t payload, uint64_t ready) {
  ramps_[router].out[colour].push({payload, false}, ready);
  activate(router);
  ++inFlight_;
}

/// Whether all that a slot sends to can take a wavelet: a multicast moves as one.
bool CycleFabric::hasRoom(const Slot &slot, unsigned egressLeft) const {
  if (sends(slot, wexe::Dir::Ramp) && ramps_[slot.router].in[slot.colour].size() >= machine_.coreQueueDepth)
    return false;
  for (uint32_t next : slot.next)
    if (next != none && slots_[next].queue.size() >= slots_[next].depth)
      return false;
  return egressLeft > 0 || !leavesSouth(slot);
}

void CycleFabric::decideRouter(uint32_t index, uint64_t now, unsigned &egressLeft) {
  const Router &router = routers_[index];
  // Round robin: whose last grant is longest ago is asked first.
  std::array<uint32_t, 32> turn;
  unsigned waiting = 0, fromRamp = 0;
  auto insert = [&](uint32_t slot, unsigned &count, uint64_t Slot::*last) {
    unsigned at = count++;
    for (; at > 0 && slots_[turn[at - 1]].*last > slots_[slot].*last; --at)
      turn[at] = turn[at - 1];
    turn[at] = slot;
  };
  for (uint32_t i = router.firstSlot; i < router.endSlot; ++i)
    if (slots_[i].queue.readyAt(now))
      insert(i, waiting, &Slot::lastForward);
  unsigned claimed = 0; // each output serves one colour per cycle
  for (unsigned i = 0; i < waiting; ++i) {
    const Slot &slot = slots_[turn[i]];
    if ((claimed & slot.tx) || !hasRoom(slot, egressLeft))
      continue;
    claimed |= slot.tx;
    if (leavesSouth(slot)) {
      --egressLeft;
      egressTurn_ = index + 1;
    }
    moves_.push_back({MoveKind::Forward, turn[i]});
  }
  // The ramp brings one wavelet per cycle from the core.
  for (uint32_t i = router.firstSlot; i < router.endSlot; ++i)
    if (const Slot &slot = slots_[i];
        slot.rx == wexe::Dir::Ramp && slot.queue.size() < slot.depth && ramps_[index].out[slot.colour].readyAt(now))
      insert(i, fromRamp, &Slot::lastFromRamp);
  if (fromRamp > 0)
    moves_.push_back({MoveKind::FromRamp, turn[0]});
}

void CycleFabric::decide(uint64_t now) {
  moves_.clear();
  // Output ports share a budget, so routers of the south edge take turns; for all others the order does not matter.
  std::sort(active_.begin(), active_.end());
  // What a cycle leaves is lost, but for the rest that is less than one wavelet and its copies.
  egressCredit_ = std::min(egressCredit_, copiesOfPort_ - 1) + machine_.egressWaveletsPerCycle;
  const unsigned egressMost = static_cast<unsigned>(egressCredit_ / copiesOfPort_);
  unsigned egressLeft = egressMost;
  size_t first = static_cast<size_t>(std::lower_bound(active_.begin(), active_.end(), egressTurn_) - active_.begin());
  for (size_t i = 0; i < active_.size(); ++i)
    decideRouter(active_[(first + i) % active_.size()], now, egressLeft);
  egressCredit_ -= (egressMost - egressLeft) * copiesOfPort_;
  for (uint32_t port : activePorts_)
    if (const Slot &slot = slots_[slotOf(port, ports_[port].front().colour)]; slot.queue.size() < slot.depth)
      moves_.push_back({MoveKind::FromPort, port});
}

void CycleFabric::forward(Slot &slot, uint64_t now, Egress &egress) {
  Wavelet wavelet = slot.queue.pop();
  slot.lastForward = now + 1;
  --inFlight_;
  if (sends(slot, wexe::Dir::Ramp)) {
    ramps_[slot.router].in[slot.colour].push(wavelet, now + machine_.rampCycles);
    arrivals_.push_back(slot.router);
    ++inFlight_;
  }
  for (unsigned side = 0; side < numSides; ++side)
    if (uint32_t next = slot.next[side]; next != none) {
      slots_[next].queue.push(wavelet, now + slot.cycles[side]);
      activate(slots_[next].router);
      ++hops;
      ++inFlight_;
    }
  if (leavesSouth(slot)) {
    egress.deliver(static_cast<uint16_t>(slot.router % width_), slot.colour, &wavelet.payload, 1);
    ++waveletsOut;
  }
}

bool CycleFabric::isIdle(const Router &router) const {
  for (uint32_t i = router.firstSlot; i < router.endSlot; ++i)
    if (!slots_[i].queue.empty() || (slots_[i].rx == wexe::Dir::Ramp && !ramps_[slots_[i].router].out[slots_[i].colour].empty()))
      return false;
  return true;
}

bool CycleFabric::commit(uint64_t now, Egress &egress) {
  arrivals_.clear();
  departures_.clear();
  for (const Move &move : moves_) {
    switch (move.kind) {
    case MoveKind::Forward:
      forward(slots_[move.which], now, egress);
      break;
    case MoveKind::FromRamp: {
      Slot &slot = slots_[move.which];
      slot.queue.push(ramps_[slot.router].out[slot.colour].pop(), now + machine_.rampCycles);
      slot.lastFromRamp = now + 1;
      departures_.push_back(slot.router);
      break;
    }
    case MoveKind::FromPort: {
      PortEntry entry = ports_[move.which].front();
      ports_[move.which].pop_front();
      slots_[slotOf(move.which, entry.colour)].queue.push(entry.wavelet, now + machine_.hopCycles);
      activate(move.which);
      break;
    }
    }
  }
  activePorts_.erase(std::remove_if(activePorts_.begin(), activePorts_.end(), [&](uint32_t port) { return ports_[port].empty(); }),
                     activePorts_.end());
  auto fallsIdle = [&](uint32_t router) {
    if (!isIdle(routers_[router]))
      return false;
    routers_[router].active = false;
    return true;
  };
  active_.erase(std::remove_if(active_.begin(), active_.end(), fallsIdle), active_.end());
  return !moves_.empty();
}

void CycleFabric::collectFull(const Slot &slot, std::vector<uint32_t> &full) const {
  if (sends(slot, wexe::Dir::Ramp) && ramps_[slot.router].in[slot.colour].size() >= machine_.coreQueueDepth)
    full.push_back(slot.router);
  for (uint32_t next : slot.next)
    if (next != none && slots_[next].queue.size() >= slots_[next].depth)
      collectFull(slots_[next], full);
}

std::vector<uint32_t> CycleFabric::fullReceivers(uint32_t router, uint8_t colour) const {
  std::vector<uint32_t> full;
  if (uint32_t slot = slotOf(router, colour); slot != none)
    collectFull(slots_[slot], full);
  return full;
}

CycleFabric::Shortage CycleFabric::shortageOf(uint32_t router, uint8_t colour) const {
  Shortage shortage;
  for (uint32_t index = slotOf(router, colour); index != none;) {
    const Slot &slot = slots_[index];
    if (!slot.queue.empty()) {
      // A copy for someone else has no room, so this one waits too.
      shortage.kind = Shortage::Stuck;
      collectFull(slot, shortage.full);
      return shortage;
    }
    if (slot.rx == wexe::Dir::Ramp) {
      shortage.kind = Shortage::FromCore;
      shortage.at = slot.router;
      return shortage;
    }
    uint32_t previous = neighbour(slot.router, slot.rx);
    if (previous == none) {
      shortage.kind = Shortage::FromPort;
      shortage.at = slot.router % width_;
      return shortage;
    }
    index = slotOf(previous, colour);
  }
  return shortage;
}

} // namespace wafer
