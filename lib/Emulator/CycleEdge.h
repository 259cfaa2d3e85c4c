//===- CycleEdge.h - MemoryX's side of the north edge ----------------------===//
//
// Bursts reach each input port in the order in which MemoryX makes them. One that waits for a full port does not hold up later ones for other ports:
// the edge looks ahead as many bursts as the wafer has columns (docs/spec/machine.md section 1). Blocks of a send that goes beside other steps have what those leave of the link.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_CYCLEEDGE_H
#define WAFER_LIB_EMULATOR_CYCLEEDGE_H

#include "CycleDeadlock.h"
#include "CycleFabric.h"
#include "wafer/Emulator/Engine.h"

#include <deque>

namespace wafer {

class CycleEdge {
public:
  /// Looks ahead `lookAhead` bursts, 0: as many as there are columns.
  CycleEdge(const LoadedProgram &program, unsigned lookAhead)
      : program_(program), lookAhead_(lookAhead ? lookAhead : program.machine().width), takenSince_(program.machine().width, 0) {}

  void beginRun(Ingress &in);
  /// Wavelets that went in, a multicast counted once, and whether anything moved.
  struct Fed {
    unsigned wavelets = 0;
    bool progress = false;
  };
  /// Sends what the link and the ports take in cycle `now`.
  Fed feed(Ingress &in, CycleFabric &fabric, uint64_t now);
  /// Whether everything has been sent.
  bool quiet() const { return !more_ && window_.empty() && !isBesideOpen_; }
  /// The burst that must go before all others, for the report of a standstill.
  PendingBurst pending(const CycleFabric &fabric) const;

private:
  struct Sending {
    Burst burst;
    size_t at = 0;
    uint32_t owed = 0; ///< words of the link before its data is there
    bool isThrough = false; ///< done, and still in the window only because those before it are not
    bool done() const { return at == burst.data.size() + burst.control.has_value(); }
  };

  void lookAhead(Ingress &in, uint64_t now);
  bool send(Sending &sending, CycleFabric &fabric);
  bool sendBeside(Sending &sending, CycleFabric &fabric);
  void feedBeside(Ingress &in, CycleFabric &fabric, uint64_t now, Fed &fed, uint32_t &wanting);
  /// Whether no earlier burst still needs one of the ports; they are this burst's from now on.
  bool takePorts(const Burst &burst);
  void dropDone();
  /// What is behind this burst is not asked for.
  bool holdsUp(const Sending &sending) const { return !sending.isThrough && (sending.burst.isAwaited || (isBesideOpen_ && sending.burst.closesBeside)); }

  const LoadedProgram &program_;
  const unsigned lookAhead_;
  std::deque<Sending> window_;
  size_t through_ = 0; ///< of the window
  size_t owing_ = 0;   ///< of the window: bursts with words owed
  uint64_t credit_ = 0; ///< what is left of the link; a word takes as much as its burst has copies
  bool more_ = false; ///< until MemoryX says that there is no more
  std::deque<Sending> beside_; ///< as many as the edge looks ahead
  bool isBesideOpen_ = false, moreBeside_ = false; ///< something comes beside the rest, and there is more of it
  uint64_t turn_ = 1;
  unsigned wanted_ = 0, known_ = 0; ///< ports that bursts wanted in this turn, and ever
  std::vector<uint64_t> takenSince_; ///< by port: the last turn in which a burst wanted it, 0: none ever did
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_CYCLEEDGE_H
