//===- KeptRows.cpp - what is known of a weight's rows from earlier runs ---===//

#include "KeptRows.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace wafer {

namespace {

/// What all sorted rows may take, but for the weight that was begun last.
constexpr size_t mostBytes = size_t(1) << 28;

} // namespace

Fingerprint fingerprintOf(const TensorSource &source) {
  const XXH128_hash_t hash = XXH3_128bits(source.inMemory(), source.bytes());
  return {hash.low64, hash.high64};
}

KeptRows *KeptRowsOfSteps::of(const wexe::StepT &step) {
  if (auto known = kept_.find(&step); known != kept_.end())
    return &known->second;
  size_t bytes = 0;
  for (const auto &[other, rows] : kept_)
    bytes += rows.sorted.bytes();
  return bytes < mostBytes ? &kept_[&step] : nullptr;
}

} // namespace wafer
