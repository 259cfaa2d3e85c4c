//===- KeptRows.cpp - what is known of a weight's rows from earlier runs ---===//

#include "KeptRows.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace wafer {

namespace {

/// What all sorted rows may take, but for the weight that was begun last.
constexpr size_t mostBytes = size_t(1) << 28;
/// What a thread looks at before it takes another part.
constexpr uint64_t partBytes = uint64_t(1) << 18;

} // namespace

static Fingerprint fingerprintOf(const void *data, size_t bytes) {
  const XXH128_hash_t hash = XXH3_128bits(data, bytes);
  return {hash.low64, hash.high64};
}

size_t partsOfFingerprint(const TensorSource &source) { return (source.bytes() + partBytes - 1) / partBytes; }

Fingerprint fingerprintOf(const TensorSource &source, size_t part) {
  const uint64_t begin = part * partBytes;
  return fingerprintOf(source.inMemory() + begin, std::min<uint64_t>(partBytes, source.bytes() - begin));
}

Fingerprint together(const std::vector<Fingerprint> &parts) { return fingerprintOf(parts.data(), parts.size() * sizeof(Fingerprint)); }

Fingerprint fingerprintOf(const TensorSource &source) {
  std::vector<Fingerprint> parts(partsOfFingerprint(source));
  for (size_t part = 0; part < parts.size(); ++part)
    parts[part] = fingerprintOf(source, part);
  return together(parts);
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
