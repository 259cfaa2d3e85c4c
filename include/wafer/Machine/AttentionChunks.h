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

/// For `tokens` queries in a core and heads of `size` elements. Both divide what they are parts of.
inline AttentionChunks attentionChunks(int64_t tokens, int64_t size, int64_t accumulatorBytes) {
  const int64_t rows = accumulatorBytes / (4 * tokens);
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
