//===- Chunks.h - how much of a block a map works on at a time -----*- C++ -*-===//
//
// Map of docs/spec/kernels.md: temporaries hold some rows of a block.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_MACHINE_CHUNKS_H
#define WAFER_MACHINE_CHUNKS_H

#include <algorithm>
#include <cstdint>

namespace wafer {

/// Rows of a core's block that a map works on at a time, so that a temporary in f32 takes `chunkBytes` or, where a row is longer, a row. They divide the block.
inline int64_t rowsPerChunk(int64_t rows, int64_t tokens, int64_t chunkBytes) {
  const int64_t fits = std::max<int64_t>(1, chunkBytes / (tokens * 4));
  for (int64_t some = std::min(fits, rows); some > 1; --some)
    if (rows % some == 0)
      return some;
  return 1;
}

} // namespace wafer

#endif // WAFER_MACHINE_CHUNKS_H
