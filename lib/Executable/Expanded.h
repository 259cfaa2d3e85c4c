//===- Expanded.h - a program laid out per core ---------------------------===//
//
// What LoadedProgram answers questions from: which region a core belongs to, the routing entry of a router and colour, and a region's
// descriptors as functions of the core's place. Private to lib/Executable; the verifier fills it.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EXECUTABLE_EXPANDED_H
#define WAFER_LIB_EXECUTABLE_EXPANDED_H

#include "wafer/Executable/Executable.h"

namespace wafer {

/// Cores x0..x1-1, y0..y1-1.
struct CoreRange {
  uint32_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  bool empty() const { return x0 >= x1 || y0 >= y1; }
};

/// The smallest range that holds every core of a rect.
inline CoreRange boundsOf(const wexe::Rect &rect) {
  return {rect.x0(), rect.y0(), rect.x0() + uint32_t(rect.nx() - 1) * rect.sx() + 1, rect.y0() + uint32_t(rect.ny() - 1) * rect.sy() + 1};
}

/// Routing entries of one colour, over the smallest range that holds them.
class RouteGrid {
public:
  void grow(const CoreRange &range);
  /// Call once all ranges are known; afterwards every router has no entry.
  void allocate() { entries_.resize(size_t(bounds_.x1 - bounds_.x0) * (bounds_.y1 - bounds_.y0)); }

  const CoreRange &bounds() const { return bounds_; }
  bool holds(uint32_t x, uint32_t y) const { return x >= bounds_.x0 && x < bounds_.x1 && y >= bounds_.y0 && y < bounds_.y1; }
  size_t indexOf(uint32_t x, uint32_t y) const { return size_t(y - bounds_.y0) * (bounds_.x1 - bounds_.x0) + (x - bounds_.x0); }
  RouteEntry at(uint32_t x, uint32_t y) const { return holds(x, y) ? entries_[indexOf(x, y)] : RouteEntry(); }
  RouteEntry &entry(uint32_t x, uint32_t y) { return entries_[indexOf(x, y)]; }
  size_t size() const { return entries_.size(); }

private:
  CoreRange bounds_;
  std::vector<RouteEntry> entries_;
};

/// A field that is base + dx*i + dy*j at core (i, j) of a region.
struct AffineField {
  int64_t base = 0, dx = 0, dy = 0;

  int64_t at(int64_t i, int64_t j) const { return base + dx * i + dy * j; }
  bool constant() const { return dx == 0 && dy == 0; }
};

/// A template with a region's overrides: kind, type, colour and strides are the same at every core of the region.
struct RegionDescriptor {
  wexe::DescKind kind = wexe::DescKind::Mem;
  wexe::ElemType type = wexe::ElemType::None;
  uint8_t colour = 0;
  AffineField base, extent[4], imm;
  int16_t stride[4] = {0, 0, 0, 0};
  bool overridden = false;

  Descriptor at(int64_t i, int64_t j) const;
  /// No core of the region has an element in it.
  bool neverHasElements() const;
};

inline constexpr uint16_t noRegion = 0xffff;
inline constexpr unsigned routeDirections = 5;

/// Bit of a direction in a routing entry's `tx`.
constexpr uint8_t bitOf(wexe::Dir direction) { return uint8_t(1u << unsigned(direction)); }

struct ExpandedProgram {
  uint32_t width = 0, height = 0;
  std::vector<uint16_t> regionOf;                     ///< row-major; noRegion where no program runs
  std::vector<RouteGrid> routes;                      ///< by colour
  std::vector<std::vector<wexe::Override>> overrides; ///< by region, ordered by descriptor
  std::vector<std::string> colourNames;               ///< by colour

  uint16_t region(uint32_t x, uint32_t y) const { return regionOf[size_t(y) * width + x]; }
  RegionDescriptor descriptor(const wexe::ProgramT &program, unsigned region, unsigned index) const;
};

} // namespace wafer

#endif // WAFER_LIB_EXECUTABLE_EXPANDED_H
