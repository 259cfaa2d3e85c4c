//===- RepeatedTokens.h - groups that are sent the same ------------*- C++ -*-===//
//
// Send of docs/spec/weight-stream.md: a tensor of fewer tokens than the grid is repeated, and one wavelet serves all groups that hold the same of it.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_REPEATEDTOKENS_H
#define WAFER_MACHINE_REPEATEDTOKENS_H

#include <cstdint>
#include <numeric>

namespace wafer {

/// The grid of a send, in tokens.
struct SendGrid {
  uint64_t groups = 1, batchesAtOnce = 1;
  uint64_t tokensOfPlace = 1; ///< of a band of a group, in a micro-batch: rows of the band * token_block
  uint64_t tokensOfEntry = 1; ///< without padding
  uint64_t microBatchesEach = 1;
  uint64_t bands = 1; ///< of each group
};

/// How many groups differ in what they hold of a tensor of `tokens` tokens: group g holds what group g mod this holds, in every micro-batch. It divides the groups.
inline uint64_t groupsThatDiffer(const SendGrid &grid, uint64_t tokens) {
  const uint64_t placesOfEntry = grid.groups * grid.bands / grid.batchesAtOnce;
  if (tokens == 0 || grid.groups == 1)
    return grid.groups;
  const bool entriesAreAlike = grid.batchesAtOnce == 1 || grid.tokensOfEntry % tokens == 0;
  if (!entriesAreAlike)
    return grid.groups;
  const bool isPadded = grid.microBatchesEach * placesOfEntry * grid.tokensOfPlace != grid.tokensOfEntry;
  const uint64_t period = tokens / std::gcd(tokens, grid.tokensOfPlace);
  const uint64_t placesThatDiffer = !isPadded && placesOfEntry % period == 0 ? period : placesOfEntry;
  // A group that begins with the first of them again.
  return placesThatDiffer / std::gcd(placesThatDiffer, grid.bands);
}

} // namespace wafer

#endif // WAFER_MACHINE_REPEATEDTOKENS_H
