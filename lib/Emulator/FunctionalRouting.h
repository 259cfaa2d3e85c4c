//===- FunctionalRouting.h - who receives what in the functional engine ------===//
//
// Routes are resolved to receivers once, when they are first used.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALROUTING_H
#define WAFER_LIB_EMULATOR_FUNCTIONALROUTING_H

#include "FunctionalBatch.h"

namespace wafer {

/// Where a core is to be found.
struct CorePlace {
  uint32_t batch = 0, place = 0;
};

class FunctionalRouting {
public:
  /// What a sender's words reach. All cores that a port commands on a colour are in its batches.
  struct Target {
    std::vector<uint32_t> cores, commandedBatches;
    std::vector<uint16_t> ports;
  };

  /// Cuts the program's cores into batches: cores of one domain and image that one port commands. Domains are for so many threads: columns of their own, as groups of
  /// a grid are, which also share no rows of a contraction; or bands of rows.
  FunctionalRouting(const LoadedProgram &program, unsigned threads);

  size_t cores() const { return at_.size(); }
  std::pair<uint16_t, uint16_t> at(uint32_t core) const { return at_[core]; }
  const CorePlace &placeOf(uint32_t core) const { return places_[core]; }
  /// Cores of each batch, from north to south.
  const std::vector<std::vector<uint32_t>> &batches() const { return batches_; }
  unsigned domains() const { return domains_; }
  unsigned domainOf(uint32_t batch) const { return domainOfCore(batches_[batch][0]); }

  // Found when first asked for: about a core or batch by the thread that runs its domain, about ports by the one that feeds.
  const Target &targetOf(uint32_t core, unsigned colour);
  const Target &targetOfPort(uint16_t port, unsigned colour);
  /// The batch of the same domain whose cores receive, each from one and in the same order, what the cores of `batch` send; -1 if there is none.
  int32_t peerOf(uint32_t batch, unsigned colour);

private:
  unsigned domainOfCore(uint32_t core) const { return at_[core].second / rowsPerDomain_ * parts_ + (parts_ > 1 ? partOf_[at_[core].first] : 0); }
  bool cutColumns(uint32_t parts);
  std::unique_ptr<Target> resolve(const Receivers &receivers) const;
  void makeBatches();
  int32_t findPeer(uint32_t batch, unsigned colour);

  const LoadedProgram &program_;
  const size_t colours_;
  uint32_t rowsPerDomain_ = 1, parts_ = 1;
  std::vector<uint32_t> partOf_; ///< by column, if there are parts
  unsigned domains_ = 0;
  std::vector<std::pair<uint16_t, uint16_t>> at_;
  std::vector<int32_t> coreAt_;
  std::vector<CorePlace> places_;
  std::vector<std::vector<uint32_t>> batches_;
  std::vector<std::vector<std::unique_ptr<Target>>> targets_, portTargets_; ///< by core or port, then colour
  std::vector<std::vector<int32_t>> peers_;                                 ///< by batch, then colour
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALROUTING_H
