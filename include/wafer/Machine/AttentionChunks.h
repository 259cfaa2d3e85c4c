//===- AttentionChunks.h - sums of attention that the cache holds --*- C++ -*-===//
//
// Attend of docs/spec/kernels.md: how many of a block's products are added at a time.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_ATTENTIONCHUNKS_H
#define WAFER_MACHINE_ATTENTIONCHUNKS_H

#include <algorithm>
#include <cstdint>

namespace wafer {

struct AttentionChunks {
  int64_t keys = 0;     ///< of a block, whose scores are made together; 0: the cache has no room for any
  int64_t elements = 0; ///< of a head, for which values are added together
};

/// For `tokens` queries in a core, heads of `size` elements and a cache that the two sums of contractions share. Both divide what they are parts of.
inline AttentionChunks attentionChunks(int64_t tokens, int64_t size, int64_t accumulatorBytes) {
  // Buffers begin at multiples of 8 bytes.
  const int64_t sum = (4 * tokens + 7) / 8 * 8, rows = (accumulatorBytes - 2 * sum) / (4 * tokens);
  auto divisor = [&](int64_t n) {
    int64_t some = std::min(n, rows);
    while (n % some != 0)
      --some;
    return some;
  };
  return rows < 1 ? AttentionChunks() : AttentionChunks{divisor(tokens), divisor(size)};
}

} // namespace wafer

#endif // WAFER_MACHINE_ATTENTIONCHUNKS_H
