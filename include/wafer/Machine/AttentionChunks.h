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
  int64_t tile = 0;     ///< queries, and keys of a block, that meet at a time
  int64_t keys = 0;     ///< of a tile, whose scores are made together; 0: the cache has no room for any
  int64_t elements = 0; ///< of a head, for which values are added together
};

/// For `tokens` queries in a core and heads of `size` elements. What a causal mask hides everywhere is left out in whole tiles: a core's tokens lie so that no query sees a key of a block that has a higher number there. Keys and elements divide what they are parts of.
inline AttentionChunks attentionChunks(int64_t tokens, int64_t size, bool isCausal, int64_t accumulatorBytes) {
  /// Products below which more instructions take longer than what is left out.
  constexpr int64_t few = 1024;
  const int64_t tile = isCausal && tokens % 2 == 0 && tokens * tokens * size >= few ? tokens / 2 : tokens;
  const int64_t rows = accumulatorBytes / (4 * tile);
  auto divisor = [&](int64_t n) {
    int64_t some = std::min(n, rows);
    while (n % some != 0)
      --some;
    return some;
  };
  return rows < 1 ? AttentionChunks() : AttentionChunks{tile, divisor(tile), divisor(size)};
}

/// Tiles of a block that queries see some of, of so many on a side: those on the diagonal and on one side of it.
inline int64_t tilesSeen(int64_t side) { return side * (side + 1) / 2; }

} // namespace wafer

#endif // WAFER_MACHINE_ATTENTIONCHUNKS_H
