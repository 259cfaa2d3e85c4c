//===- CycleFabric.h - routers, links and queues, cycle by cycle -------------===//
//
// The network of the cycle engine. A cycle has two halves: `decide` looks only at the state at its start and chooses what moves, `commit`
// moves it. So the order in which routers are visited does not matter. Routers cost nothing while they have no wavelets, or none that can move.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_CYCLEFABRIC_H
#define WAFER_LIB_EMULATOR_CYCLEFABRIC_H

#include "MissingRows.h"
#include "wafer/Emulator/Engine.h"

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace wafer {

struct Wavelet {
  uint32_t payload = 0;
  bool control = false;
};

/// A FIFO whose entries can be taken from a cycle on. Allocates nothing while unused.
class WaveletQueue {
public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  void push(Wavelet wavelet, uint64_t ready) {
    if (size_ == ring_.size())
      grow();
    ring_[(head_ + size_++) & (ring_.size() - 1)] = {wavelet, ready};
  }
  bool readyAt(uint64_t now) const { return size_ > 0 && ring_[head_].ready <= now; }
  /// The cycle from which the first can be taken. Not for empty ones.
  uint64_t ready() const { return ring_[head_].ready; }
  /// How many from the front can be taken now, at most `most`.
  size_t readyCount(uint64_t now, size_t most) const {
    size_t count = 0;
    while (count < most && count < size_ && ring_[(head_ + count) & (ring_.size() - 1)].ready <= now)
      ++count;
    return count;
  }
  Wavelet pop() {
    const Wavelet wavelet = ring_[head_].wavelet;
    head_ = (head_ + 1) & (ring_.size() - 1);
    --size_;
    return wavelet;
  }

private:
  struct Entry {
    Wavelet wavelet;
    uint64_t ready;
  };
  void grow() {
    std::vector<Entry> larger(ring_.empty() ? 4 : 2 * ring_.size());
    for (size_t i = 0; i < size_; ++i)
      larger[i] = ring_[(head_ + i) & (ring_.size() - 1)];
    ring_ = std::move(larger);
    head_ = 0;
  }
  std::vector<Entry> ring_; ///< a power of two of places
  size_t head_ = 0, size_ = 0;
};

/// Queues between a core and its router, by colour.
struct RampQueues {
  std::vector<WaveletQueue> in, out; ///< towards the core, from the core
  std::vector<uint8_t> slot;         ///< of the router, numbered from its first
};

class CycleFabric {
public:
  CycleFabric(const LoadedProgram &program, const EngineOptions &options);

  /// Forgets counters and whose turn it is, so that equal runs take equal time.
  void beginRun();
  /// Chooses the moves of cycle `now`.
  void decide(uint64_t now);
  /// Makes them; returns whether anything moved.
  bool commit(uint64_t now, Egress &egress);

  /// `beside`: in the port's places for what comes beside the rest, behind all of its colour.
  bool portHasRoom(uint32_t port) const { return ports_[port].size() < machine_.coreQueueDepth; }
  bool portHasRoomBeside(uint32_t port, uint8_t colour) const {
    return ports_[width_ + port].size() < machine_.coreQueueDepth &&
           std::none_of(ports_[port].begin(), ports_[port].end(), [colour](const PortEntry &entry) { return entry.colour == colour; });
  }
  /// The router there takes the colour from the north edge (checkPorts).
  void enterPort(uint32_t port, uint8_t colour, Wavelet wavelet, bool beside = false);

  RampQueues &ramp(uint32_t router) { return ramps_[router]; }
  const RampQueues &ramp(uint32_t router) const { return ramps_[router]; }
  /// Router of core (x, y).
  uint32_t routerOf(uint32_t x, uint32_t y) const { return y * width_ + x; }

  /// A core takes a wavelet from its ramp, or gives one to it.
  Wavelet take(uint32_t router, unsigned colour) {
    --inFlight_;
    activate(router);
    return ramps_[router].in[colour].pop();
  }
  void give(uint32_t router, uint8_t colour, uint32_t payload, uint64_t ready);
  /// Routers whose cores received something in the last commit.
  const std::vector<uint32_t> &arrivals() const { return arrivals_; }
  /// Routers that took something from their cores in the last commit.
  const std::vector<uint32_t> &departures() const { return departures_; }
  /// Whether every queue, port and link is empty.
  bool quiet() const { return inFlight_ == 0; }

  /// MissingRows::leaveOut, but for the cores: how much can be left out, and doing it.
  uint64_t mostToLeaveOut(uint8_t colour, bool into) const;
  void leaveOut(uint8_t colour, bool into, uint64_t count);
  /// The one colour on which missing rows send, if any do.
  std::optional<uint8_t> leaving() const;
  /// Gaps of a colour, which are columns.
  uint64_t columnsOf(uint8_t colour) const;
  /// What it takes through rows that are missing.
  uint64_t gapCycles() const { return missing_ ? gapCycles_ + missing_->routers.count * machine_.hopCycles + missing_->groups.count * groupCycles() : 0; }

  uint64_t hops = 0, waveletsOut = 0;

  // For the wait-for graph, when nothing moves.

  /// Why a core gets no wavelet of a colour.
  struct Shortage {
    enum Kind { Stuck, FromCore, FromPort, Nowhere } kind = Nowhere;
    std::vector<uint32_t> full; ///< Stuck: routers whose cores do not take a wavelet on its way
    uint32_t at = 0;            ///< FromCore: router of the sender; FromPort: column
  };
  Shortage shortageOf(uint32_t router, uint8_t colour) const;
  /// Routers whose cores do not take what is stuck behind the entry of `colour` at `router`.
  std::vector<uint32_t> fullReceivers(uint32_t router, uint8_t colour) const;
  /// Colour that is first in an input port, or -1.
  int firstColourOf(uint32_t port) const { return ports_[port].empty() ? -1 : ports_[port].front().colour; }

private:
  static constexpr uint32_t none = UINT32_MAX;
  static constexpr unsigned numSides = 4;

  /// A routing entry with its queue.
  struct Slot {
    uint8_t colour = 0, tx = 0;
    wexe::Dir rx = wexe::Dir::Ramp;
    uint32_t router = 0;
    uint32_t feeder = none; ///< router that it gets from, if not from a core or a port
    std::array<uint32_t, numSides> next = {none, none, none, none}; ///< slots that it sends to, by side
    std::array<uint32_t, numSides> cycles = {0, 0, 0, 0}; ///< to get there
    uint32_t copies = 1;                                  ///< at an output port, wavelets that one stands for
    uint32_t depth = 0;                                   ///< wavelets that have room in the queue, and on a long link to it
    WaveletQueue queue;
    uint64_t lastForward = 0, lastFromRamp = 0; ///< cycle + 1 of the last grant
    uint32_t gap = none; ///< the one behind its link to the south, where cores hand on what they get
  };
  struct Router {
    uint32_t firstSlot = 0, endSlot = 0;
    uint32_t filled = 0, offered = 0; ///< a bit for each slot with wavelets, and for each with some at the ramp
    bool active = false, rests = false; ///< among the active ones; none of its wavelets can move before something changes around it
    uint64_t until = 0;                 ///< or else before this cycle
  };
  /// A relay through rows that are missing, in a column.
  struct Gap {
    uint32_t from = none, to = none; ///< slots above and below
    struct Entry {
      uint64_t ready, count; ///< wavelets that leave from this cycle on
      bool came;             ///< or else begins here
    };
    std::deque<Entry> entries;
    uint64_t held = 0, added = 0; ///< wavelets that came in and are not out yet, and those that begin here
    size_t relay = 0;             ///< of the colour's, which goes on
    uint64_t came = 0;            ///< wavelets of it
    /// The first row has places for what comes; those of the others are taken first by their own.
    bool hasRoom(uint64_t places, uint64_t rows) const { return held < places || held + added < places * rows; }
  };
  struct PortEntry {
    uint8_t colour;
    Wavelet wavelet;
  };
  enum class MoveKind : uint8_t { Forward, FromRamp, FromPort, FromGap };
  struct Move {
    MoveKind kind;
    uint32_t which; ///< slot, port, or gap
  };

  bool leavesSouth(const Slot &slot) const { return slot.next[static_cast<unsigned>(wexe::Dir::S)] == none && sends(slot, wexe::Dir::S); }
  static bool sends(const Slot &slot, wexe::Dir side) { return slot.tx >> static_cast<unsigned>(side) & 1; }
  uint32_t slotOf(uint32_t router, uint8_t colour) const;
  uint32_t neighbour(uint32_t router, wexe::Dir side) const;
  uint32_t linkLength(uint32_t from, uint32_t to) const;
  void layGaps();
  void layMissingGroups();
  void joinLinks(wexe::Dir side);
  uint64_t groupCycles() const;
  void enterGap(Gap &gap, uint64_t now);
  /// Something changed that its moves may depend on.
  void activate(uint32_t index) {
    Router &router = routers_[index];
    router.rests = false;
    router.until = 0;
    if (router.active || (router.filled | router.offered) == 0)
      return;
    router.active = true;
    (index / width_ + 1 == height_ ? activeSouth_ : active_).push_back(index);
  }
  bool mayEnter(uint32_t queue) const;
  void fill(uint32_t slot, Wavelet wavelet, uint64_t ready);
  bool hasRoom(const Slot &slot, uint64_t egressLeft) const;
  void decideRouter(uint32_t router, uint64_t now, uint64_t &egressLeft);
  void forward(Slot &slot, uint64_t now, Egress &egress);
  void collectFull(const Slot &slot, std::vector<uint32_t> &full) const;

  const Machine &machine_;
  const std::vector<uint32_t> columnsOnWafer_;
  uint32_t width_, height_;
  std::vector<Slot> slots_; ///< by router, then colour
  std::vector<Router> routers_;
  std::vector<RampQueues> ramps_;
  std::vector<std::deque<PortEntry>> ports_; ///< by port, then again for what comes beside the rest
  std::vector<uint32_t> active_, activeSouth_, activePorts_, arrivals_, departures_;
  std::vector<Move> moves_;
  uint32_t mostCopies_ = 1; ///< that a wavelet at an output port stands for
  MissingRows *const missing_;
  uint64_t gapCycles_ = 0, rowDepth_ = 0; ///< from end to end of a gap, and what has room in one of its rows
  std::vector<Gap> gaps_;
  uint64_t egressCredit_ = 0; ///< what is left of the way out; a wavelet takes as much of it as it stands for
  uint32_t egressTurn_ = 0; ///< router after the last one that was granted a way out
  uint64_t inFlight_ = 0;
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_CYCLEFABRIC_H
