//===- CycleEdge.cpp - MemoryX's side of the north edge --------------------===//

#include "CycleEdge.h"

#include "Ports.h"

#include <algorithm>

namespace wafer {

void CycleEdge::beginRun(Ingress &in) {
  in.setBesideApart();
  window_.clear();
  beside_.clear();
  isBesideOpen_ = false;
  through_ = owing_ = 0;
  credit_ = 0;
  more_ = true;
}

void CycleEdge::lookAhead(Ingress &in, uint64_t now) {
  while (more_ && window_.size() - through_ < lookAhead_ && (window_.empty() || !holdsUp(window_.back()))) {
    Sending next;
    if (!(more_ = in.next(next.burst)))
      return;
    checkPorts(program_, next.burst, "at cycle " + std::to_string(now) + ", ");
    next.owed = next.burst.linkWords.value_or(0);
    for (unsigned i = 0; i < next.burst.portCount; ++i)
      if (uint64_t &taken = takenSince_[portOf(next.burst, i)]; taken == 0) {
        taken = 1;
        ++known_;
      }
    owing_ += next.owed > 0;
    if (!next.done() || next.owed > 0)
      window_.push_back(std::move(next));
  }
}

/// The wavelet at the burst's front goes to all of its ports at once, if they have room.
bool CycleEdge::send(Sending &sending, CycleFabric &fabric) {
  const Burst &burst = sending.burst;
  for (unsigned i = 0; i < burst.portCount; ++i)
    if (!fabric.portHasRoom(portOf(burst, i)))
      return false;
  bool isControl = sending.at == burst.data.size();
  Wavelet wavelet{isControl ? *burst.control : burst.data[sending.at], isControl};
  for (unsigned i = 0; i < burst.portCount; ++i)
    fabric.enterPort(portOf(burst, i), burst.colour, wavelet);
  ++sending.at;
  return true;
}

bool CycleEdge::sendBeside(Sending &sending, CycleFabric &fabric) {
  const Burst &burst = sending.burst;
  for (unsigned i = 0; i < burst.portCount; ++i)
    if (!fabric.portHasRoomBeside(portOf(burst, i), burst.colour))
      return false;
  for (unsigned i = 0; i < burst.portCount; ++i)
    fabric.enterPort(portOf(burst, i), burst.colour, {burst.data[sending.at], false}, /*beside=*/true);
  ++sending.at;
  return true;
}

bool CycleEdge::takePorts(const Burst &burst) {
  bool free = true;
  for (unsigned i = 0; i < burst.portCount; ++i) {
    uint64_t &taken = takenSince_[portOf(burst, i)];
    if (taken == turn_) {
      free = false;
    } else {
      taken = turn_;
      ++wanted_;
    }
  }
  return free;
}

/// Bursts that are through leave when nothing is before them, or when they are most of the window.
void CycleEdge::dropDone() {
  for (; !window_.empty() && window_.front().isThrough; --through_)
    window_.pop_front();
  if (2 * through_ > window_.size() + 64) {
    window_.erase(std::remove_if(window_.begin(), window_.end(), [](const Sending &sending) { return sending.isThrough; }), window_.end());
    through_ = 0;
  }
}

CycleEdge::Fed CycleEdge::feed(Ingress &in, CycleFabric &fabric, uint64_t now) {
  credit_ += program_.machine().ingestWaveletsPerCycle;
  Fed fed;
  uint32_t wanting = 1; // copies of a burst that the link was too narrow for
  bool wentOn = true;
  // What a burst leaves of the link goes to those behind it, and to those that come into the window when it is through.
  while (wentOn && credit_ > 0) {
    wentOn = false;
    lookAhead(in, now);
    ++turn_;
    wanted_ = 0;
    for (Sending &sending : window_) {
      // Behind bursts for all ports none can go, unless it comes packed.
      if (credit_ == 0 || (wanted_ == known_ && owing_ == 0))
        break;
      if (sending.isThrough)
        continue;
      if (isBesideOpen_ && sending.burst.closesBeside)
        break;
      const uint32_t copies = sending.burst.copies;
      // What comes packed is taken off the link whether or not the ports are free, and is behind what came before it.
      const uint32_t paid = static_cast<uint32_t>(std::min<uint64_t>(sending.owed, credit_ / copies));
      sending.owed -= paid;
      owing_ -= paid > 0 && sending.owed == 0;
      fed.progress |= paid > 0;
      credit_ -= uint64_t(paid) * copies;
      if (sending.owed > 0) {
        wanting = std::max(wanting, copies);
        break;
      }
      if (!takePorts(sending.burst))
        continue;
      while (!sending.done()) {
        const bool isUnpacked = sending.burst.linkWords && sending.at < sending.burst.data.size();
        if ((!isUnpacked && credit_ < copies) || !send(sending, fabric))
          break;
        credit_ -= isUnpacked ? 0 : copies;
        ++fed.wavelets;
        fed.progress = true;
      }
      if (credit_ < copies)
        wanting = std::max(wanting, copies);
      if (sending.done()) {
        wentOn = true;
        sending.isThrough = true;
        ++through_;
        if (sending.burst.opensBeside)
          isBesideOpen_ = moreBeside_ = true;
        if (sending.burst.tag != 0)
          in.sent(sending.burst.tag, now);
      }
    }
    dropDone();
  }
  if (isBesideOpen_ && credit_ > 0)
    feedBeside(in, fabric, now, fed, wanting);
  // What a cycle leaves is lost, but for the rest that is less than one wavelet and its copies.
  credit_ = std::min<uint64_t>(credit_, wanting - 1);
  return fed;
}

/// With what the rest leaves of the link, into places of their own.
void CycleEdge::feedBeside(Ingress &in, CycleFabric &fabric, uint64_t now, Fed &fed, uint32_t &wanting) {
  if (window_.empty() || window_.front().burst.closesBeside)
    in.awaitsBeside();
  while (moreBeside_ && beside_.size() < lookAhead_) {
    Sending next;
    if (!(moreBeside_ = in.nextBeside(next.burst)))
      break;
    checkPorts(program_, next.burst, "at cycle " + std::to_string(now) + ", ");
    beside_.push_back(std::move(next));
  }
  ++turn_;
  size_t done = 0;
  for (Sending &sending : beside_) {
    const Burst &burst = sending.burst;
    if (credit_ < burst.copies) {
      wanting = std::max(wanting, burst.copies);
      break;
    }
    if (!takePorts(burst))
      continue;
    while (!sending.done() && credit_ >= burst.copies && sendBeside(sending, fabric)) {
      credit_ -= burst.copies;
      ++fed.wavelets;
      fed.progress = true;
    }
    if (!sending.done())
      continue;
    ++done;
    if (burst.tag != 0)
      in.sent(burst.tag, now);
  }
  if (done > 0)
    beside_.erase(std::remove_if(beside_.begin(), beside_.end(), [](const Sending &sending) { return sending.done(); }), beside_.end());
  isBesideOpen_ = moreBeside_ || !beside_.empty();
}

PendingBurst CycleEdge::pending(const CycleFabric &fabric) const {
  PendingBurst pending;
  const std::deque<Sending> &first = isBesideOpen_ ? beside_ : window_;
  if (first.empty())
    return pending;
  const Burst &burst = first.front().burst;
  pending.any = true;
  pending.colour = burst.colour;
  for (unsigned i = 0; i < burst.portCount; ++i)
    if (!fabric.portHasRoom(portOf(burst, i)))
      pending.fullPorts.push_back(portOf(burst, i));
  return pending;
}

} // namespace wafer
