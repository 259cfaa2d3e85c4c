//===- CycleFabric.cpp - routers, links and queues, cycle by cycle -----------===//

#include "CycleFabric.h"

#include <algorithm>

namespace wafer {

CycleFabric::CycleFabric(const LoadedProgram &program, const EngineOptions &options)
    : machine_(program.machine()), columnsOnWafer_(machine_.columnsOnWafer()), width_(machine_.width), height_(machine_.height), routers_(size_t(width_) * height_),
      ramps_(routers_.size()), ports_(2 * width_), missing_(options.missing) {
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
      ramps_[index].slot.resize(machine_.colours);
      for (uint32_t slot = router.firstSlot; slot < router.endSlot; ++slot)
        ramps_[index].slot[slots_[slot].colour] = static_cast<uint8_t>(slot - router.firstSlot);
    }
  }
  for (Slot &slot : slots_)
    for (unsigned side = 0; side < numSides; ++side)
      if (wexe::Dir direction = static_cast<wexe::Dir>(side); sends(slot, direction))
        if (uint32_t other = neighbour(slot.router, direction); other != none) {
          slot.next[side] = slotOf(other, slot.colour);
          slots_[slot.next[side]].feeder = slot.router;
          slot.cycles[side] = machine_.hopCycles * linkLength(slot.router, other);
          // A long link passes routers of cores that are not used, which hold what is on its way.
          slots_[slot.next[side]].depth += slot.cycles[side] - machine_.hopCycles;
        }
  if (options.copiesOfWavelet)
    for (Slot &slot : slots_)
      if (leavesSouth(slot))
        mostCopies_ = std::max(mostCopies_, slot.copies = options.copiesOfWavelet(static_cast<uint16_t>(slot.router % width_), slot.colour));
  if (missing_) {
    layGaps();
    layMissingGroups();
    joinLinks(wexe::Dir::E);
    joinLinks(wexe::Dir::S);
  }
}

/// Where rows are missing, what only passes them takes longer; a relay goes through a gap.
void CycleFabric::layGaps() {
  constexpr unsigned south = static_cast<unsigned>(wexe::Dir::S);
  const uint32_t rows = missing_->cores.count;
  // A relayed wavelet goes up and down the ramp in each row, and waits there until a core has a full group; less than a group stays where it is.
  gapCycles_ = rows * (machine_.hopCycles + 2 * machine_.rampCycles + machine_.vectorLanes.bits32);
  rowDepth_ = 2 * (machine_.routerQueueDepth + machine_.coreQueueDepth) - (machine_.vectorLanes.bits32 - 1);
  for (uint32_t index = 0; index < slots_.size(); ++index) {
    Slot &slot = slots_[index];
    const uint32_t row = slot.router / width_;
    const bool isGap = rows > 0 && row == missing_->cores.above, isBelow = missing_->routers.count > 0 && row == missing_->routers.above;
    if (slot.next[south] == none || !(isGap || isBelow))
      continue;
    // A ring passes every other row: its rows are as far from each other as ever, whatever is missing between.
    if (isGap && slot.rx == wexe::Dir::N && slot.tx == 1u << south)
      continue;
    if (isGap && slot.rx == wexe::Dir::Ramp) {
      slot.gap = static_cast<uint32_t>(gaps_.size());
      Gap &gap = gaps_.emplace_back();
      gap.from = index;
      gap.to = slot.next[south];
    } else {
      const uint32_t passed = isGap ? rows : missing_->routers.count;
      slot.cycles[south] += passed * machine_.hopCycles;
      slots_[slot.next[south]].depth += passed * machine_.routerQueueDepth;
    }
  }
}

/// Of a sum on its way past a group: the routers of its columns, and the core that adds to it, which is ready for it when the group's own sum came first.
uint64_t CycleFabric::groupCycles() const { return uint64_t(missing_->groups.columns) * machine_.hopCycles + 2 * machine_.rampCycles + 1; }

/// Where groups are missing, sums that pass them take longer, and have room in their routers and at the ramps of their cores.
void CycleFabric::layMissingGroups() {
  constexpr unsigned east = static_cast<unsigned>(wexe::Dir::E);
  const MissingRows::Groups &groups = missing_->groups;
  for (Slot &slot : slots_)
    if (groups.count > 0 && slot.router % width_ == groups.before && slot.next[east] != none) {
      slot.cycles[east] += static_cast<uint32_t>(groups.count * groupCycles());
      slots_[slot.next[east]].depth += groups.count * (groups.columns * machine_.routerQueueDepth + 2 * machine_.coreQueueDepth);
    }
}

/// Routers that only pass a colour on to one side, where nothing else goes, are a longer link that holds as much as they do.
void CycleFabric::joinLinks(wexe::Dir side) {
  const unsigned at = static_cast<unsigned>(side);
  const wexe::Dir from = static_cast<wexe::Dir>((at + 2) % numSides);
  auto passes = [&](const Slot &slot) {
    if (slot.rx != from || slot.tx != 1u << at || slot.next[at] == none || slot.gap != none)
      return false;
    const Router &router = routers_[slot.router];
    return std::none_of(slots_.begin() + router.firstSlot, slots_.begin() + router.endSlot, [&](const Slot &other) { return &other != &slot && sends(other, side); });
  };
  for (Slot &slot : slots_) {
    if (slot.next[at] == none || slot.gap != none || passes(slot))
      continue;
    uint32_t end = slot.next[at], depth = 0;
    for (; passes(slots_[end]); end = slots_[end].next[at]) {
      slot.cycles[at] += slots_[end].cycles[at];
      depth += slots_[end].depth;
    }
    slot.next[at] = end;
    slots_[end].feeder = slot.router;
    slots_[end].depth += depth;
  }
}

void CycleFabric::enterGap(Gap &gap, uint64_t now) {
  const std::vector<MissingRows::Relay> &relays = missing_->relays(slots_[gap.from].colour);
  if (gap.relay < relays.size()) {
    const MissingRows::Relay &relay = relays[gap.relay];
    if (gap.came == 0 && relay.added > 0) {
      // The last of the missing rows begins when the command has passed all of them.
      gap.entries.push_back({now + missing_->cores.count * machine_.hopCycles, relay.added, false});
      gap.added += relay.added;
      inFlight_ += relay.added;
    }
    const bool isKept = gap.came < relay.kept;
    if (++gap.came == relay.sent) {
      ++gap.relay;
      gap.came = 0;
    }
    if (isKept)
      return;
  }
  gap.entries.push_back({now + gapCycles_, 1, true});
  ++gap.held;
  ++inFlight_;
}

uint64_t CycleFabric::mostToLeaveOut(uint8_t colour, bool into) const {
  constexpr uint64_t rest = 256; // that a relay ends as it does
  uint64_t most = UINT64_MAX;
  for (const Gap &gap : gaps_) {
    if (slots_[gap.from].colour != colour)
      continue;
    const std::vector<MissingRows::Relay> &relays = missing_->relays(colour);
    uint64_t here = 0;
    if (into && gap.relay + 1 == relays.size() && gap.came > 0 && gap.came < relays.back().kept)
      here = relays.back().kept - gap.came;
    if (!into && !gap.entries.empty() && !gap.entries.front().came) {
      // When there is room for more, the row above goes on.
      const uint64_t places = rowDepth_ * missing_->cores.count;
      here = std::min(gap.entries.front().count, gap.added >= places ? gap.added - places : UINT64_MAX);
    }
    most = std::min(most, here);
  }
  return most == UINT64_MAX || most < rest ? 0 : most - rest;
}

void CycleFabric::leaveOut(uint8_t colour, bool into, uint64_t count) {
  if (into) {
    missing_->relays(colour).back().sent -= count;
    missing_->relays(colour).back().kept -= count;
    return;
  }
  for (Gap &gap : gaps_)
    if (slots_[gap.from].colour == colour) {
      gap.entries.front().count -= count;
      gap.added -= count;
      inFlight_ -= count;
    }
}

std::optional<uint8_t> CycleFabric::leaving() const {
  std::optional<uint8_t> colour;
  for (const Gap &gap : gaps_)
    if (!gap.entries.empty() && !gap.entries.front().came) {
      if (colour && *colour != slots_[gap.from].colour)
        return std::nullopt;
      colour = slots_[gap.from].colour;
    }
  return colour;
}

uint64_t CycleFabric::columnsOf(uint8_t colour) const {
  return static_cast<uint64_t>(std::count_if(gaps_.begin(), gaps_.end(), [&](const Gap &gap) { return slots_[gap.from].colour == colour; }));
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

void CycleFabric::fill(uint32_t index, Wavelet wavelet, uint64_t ready) {
  Slot &slot = slots_[index];
  slot.queue.push(wavelet, ready);
  routers_[slot.router].filled |= 1u << (index - routers_[slot.router].firstSlot);
  activate(slot.router);
}

void CycleFabric::enterPort(uint32_t port, uint8_t colour, Wavelet wavelet, bool beside) {
  const uint32_t queue = beside ? width_ + port : port;
  ports_[queue].push_back({colour, wavelet});
  if (ports_[queue].size() == 1)
    activePorts_.push_back(queue);
  ++inFlight_;
}

void CycleFabric::give(uint32_t router, uint8_t colour, uint32_t payload, uint64_t ready) {
  RampQueues &ramp = ramps_[router];
  ramp.out[colour].push({payload, false}, ready);
  routers_[router].offered |= 1u << ramp.slot[colour];
  activate(router);
  ++inFlight_;
}

/// Whether all that a slot sends to can take a wavelet: a multicast moves as one.
bool CycleFabric::hasRoom(const Slot &slot, uint64_t egressLeft) const {
  if (sends(slot, wexe::Dir::Ramp) && ramps_[slot.router].in[slot.colour].size() >= machine_.coreQueueDepth)
    return false;
  if (slot.gap != none)
    return gaps_[slot.gap].hasRoom(rowDepth_, missing_->cores.count);
  for (uint32_t next : slot.next)
    if (next != none && slots_[next].queue.size() >= slots_[next].depth)
      return false;
  return !leavesSouth(slot) || egressLeft >= slot.copies;
}

void CycleFabric::decideRouter(uint32_t index, uint64_t now, uint64_t &egressLeft) {
  Router &router = routers_[index];
  // Round robin: whose last grant is longest ago is asked first.
  std::array<uint32_t, 32> turn;
  unsigned waiting = 0, fromRamp = 0;
  auto insert = [&](uint32_t slot, unsigned &count, uint64_t Slot::*last) {
    unsigned at = count++;
    for (; at > 0 && slots_[turn[at - 1]].*last > slots_[slot].*last; --at)
      turn[at] = turn[at - 1];
    turn[at] = slot;
  };
  const size_t before = moves_.size();
  bool mayRest = true;
  uint64_t until = UINT64_MAX;
  for (uint32_t left = router.filled; left != 0; left &= left - 1) {
    const uint32_t i = router.firstSlot + static_cast<uint32_t>(__builtin_ctz(left));
    // The way out of the wafer depends on others.
    mayRest &= !leavesSouth(slots_[i]);
    if (slots_[i].queue.readyAt(now))
      insert(i, waiting, &Slot::lastForward);
    else
      until = std::min(until, slots_[i].queue.ready());
  }
  unsigned claimed = 0; // each output serves one colour per cycle
  for (unsigned i = 0; i < waiting; ++i) {
    const Slot &slot = slots_[turn[i]];
    if ((claimed & slot.tx) || !hasRoom(slot, egressLeft))
      continue;
    claimed |= slot.tx;
    if (leavesSouth(slot)) {
      egressLeft -= slot.copies;
      egressTurn_ = index + 1;
    }
    moves_.push_back({MoveKind::Forward, turn[i]});
  }
  // The ramp brings one wavelet per cycle from the core.
  for (uint32_t left = router.offered; left != 0; left &= left - 1) {
    const uint32_t i = router.firstSlot + static_cast<uint32_t>(__builtin_ctz(left));
    const Slot &slot = slots_[i];
    if (const WaveletQueue &offered = ramps_[index].out[slot.colour]; !offered.readyAt(now))
      until = std::min(until, offered.ready());
    else if (slot.queue.size() < slot.depth)
      insert(i, fromRamp, &Slot::lastFromRamp);
  }
  if (fromRamp > 0)
    moves_.push_back({MoveKind::FromRamp, turn[0]});
  if (!mayRest || moves_.size() != before)
    return;
  router.rests = until == UINT64_MAX;
  router.until = router.rests ? 0 : until;
}

/// Whether there is room for the first wavelet of a port's queue. What came beside the rest is in front of all of its colour.
bool CycleFabric::mayEnter(uint32_t queue) const {
  if (ports_[queue].empty())
    return false;
  const uint8_t colour = ports_[queue].front().colour;
  if (queue < width_ && !ports_[width_ + queue].empty() && ports_[width_ + queue].front().colour == colour)
    return false;
  const Slot &slot = slots_[slotOf(queue % width_, colour)];
  return slot.queue.size() < slot.depth;
}

void CycleFabric::decide(uint64_t now) {
  moves_.clear();
  for (uint32_t router : active_) {
    uint64_t noEgress = 0;
    if (routers_[router].until <= now)
      decideRouter(router, now, noEgress);
  }
  // Output ports share a budget, so routers of the south edge take turns; for all others the order does not matter.
  std::sort(activeSouth_.begin(), activeSouth_.end());
  // What a cycle leaves is lost, but for the rest that is less than one wavelet and its copies.
  egressCredit_ = std::min<uint64_t>(egressCredit_, mostCopies_ - 1) + machine_.egressWaveletsPerCycle;
  size_t first = static_cast<size_t>(std::lower_bound(activeSouth_.begin(), activeSouth_.end(), egressTurn_) - activeSouth_.begin());
  for (size_t i = 0; i < activeSouth_.size(); ++i)
    decideRouter(activeSouth_[(first + i) % activeSouth_.size()], now, egressCredit_);
  for (uint32_t queue : activePorts_)
    if (mayEnter(queue) && (queue < width_ || !mayEnter(queue - width_)))
      moves_.push_back({MoveKind::FromPort, queue});
  for (uint32_t i = 0; i < gaps_.size(); ++i)
    if (const Gap &gap = gaps_[i]; !gap.entries.empty() && gap.entries.front().ready <= now && slots_[gap.to].queue.size() < slots_[gap.to].depth)
      moves_.push_back({MoveKind::FromGap, i});
}

void CycleFabric::forward(Slot &slot, uint64_t now, Egress &egress) {
  Wavelet wavelet = slot.queue.pop();
  slot.lastForward = now + 1;
  --inFlight_;
  if (slot.queue.empty())
    routers_[slot.router].filled &= ~(1u << (static_cast<uint32_t>(&slot - slots_.data()) - routers_[slot.router].firstSlot));
  if (slot.feeder != none)
    activate(slot.feeder);
  if (sends(slot, wexe::Dir::Ramp)) {
    ramps_[slot.router].in[slot.colour].push(wavelet, now + machine_.rampCycles);
    arrivals_.push_back(slot.router);
    ++inFlight_;
  }
  if (slot.gap != none) {
    enterGap(gaps_[slot.gap], now);
    return;
  }
  for (unsigned side = 0; side < numSides; ++side)
    if (uint32_t next = slot.next[side]; next != none) {
      fill(next, wavelet, now + slot.cycles[side]);
      ++hops;
      ++inFlight_;
    }
  if (leavesSouth(slot)) {
    egress.deliver(static_cast<uint16_t>(slot.router % width_), slot.colour, &wavelet.payload, 1);
    ++waveletsOut;
  }
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
      WaveletQueue &offered = ramps_[slot.router].out[slot.colour];
      fill(move.which, offered.pop(), now + machine_.rampCycles);
      if (offered.empty())
        routers_[slot.router].offered &= ~(1u << ramps_[slot.router].slot[slot.colour]);
      slot.lastFromRamp = now + 1;
      departures_.push_back(slot.router);
      break;
    }
    case MoveKind::FromPort: {
      PortEntry entry = ports_[move.which].front();
      ports_[move.which].pop_front();
      fill(slotOf(move.which % width_, entry.colour), entry.wavelet, now + machine_.hopCycles);
      break;
    }
    case MoveKind::FromGap: {
      Gap &gap = gaps_[move.which];
      fill(gap.to, {}, now + machine_.hopCycles);
      activate(slots_[gap.from].router);
      Gap::Entry &entry = gap.entries.front();
      --(entry.came ? gap.held : gap.added);
      if (--entry.count == 0)
        gap.entries.pop_front();
      break;
    }
    }
  }
  activePorts_.erase(std::remove_if(activePorts_.begin(), activePorts_.end(), [&](uint32_t port) { return ports_[port].empty(); }),
                     activePorts_.end());
  auto leaves = [&](uint32_t index) {
    Router &router = routers_[index];
    if (!router.rests && (router.filled | router.offered) != 0)
      return false;
    router.active = false;
    return true;
  };
  active_.erase(std::remove_if(active_.begin(), active_.end(), leaves), active_.end());
  activeSouth_.erase(std::remove_if(activeSouth_.begin(), activeSouth_.end(), leaves), activeSouth_.end());
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
