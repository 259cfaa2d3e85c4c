//===- Progression.h - numbers at equal distances -----------------------------===//

#ifndef WAFER_LIB_DIALECT_WAFER_TRANSFORMS_PROGRESSION_H
#define WAFER_LIB_DIALECT_WAFER_TRANSFORMS_PROGRESSION_H

#include <cstdint>

namespace wafer::wfr {

/// first, first + step, ... (count of them)
struct Progression {
  int64_t first = 0, count = 0, step = 1;
};

/// The numbers of [low, high) with a parity.
inline Progression parityClass(int64_t low, int64_t high, int64_t parity) {
  int64_t first = low + ((low & 1) != parity);
  return {first, first < high ? (high - first + 1) / 2 : 0, 2};
}

} // namespace wafer::wfr

#endif // WAFER_LIB_DIALECT_WAFER_TRANSFORMS_PROGRESSION_H
