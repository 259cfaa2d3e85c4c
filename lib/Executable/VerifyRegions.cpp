//===- VerifyRegions.cpp - where programs run, and their descriptors ------===//

#include "Verify.h"

#include <algorithm>

namespace wafer {

namespace {

std::string regionName(const VerifyContext &context, size_t region) {
  return entryName("regions", region, context.program.regions[region]->name);
}

std::string descriptorName(const wexe::ImageT &image, unsigned index) {
  return " descriptor " + std::to_string(index) + " (" + quoted(image.descriptors[index]->name) + ")";
}

void placeRegions(VerifyContext &context) {
  const auto &regions = context.program.regions;
  if (regions.size() >= noRegion)
    refuse("section 'regions'", "has " + std::to_string(regions.size()) + " entries, expected less than 65535", "exe_c4");
  ExpandedProgram &expanded = context.expanded;
  expanded.regionOf.assign(size_t(expanded.width) * expanded.height, noRegion);
  for (size_t r = 0; r < regions.size(); ++r) {
    std::string where = regionName(context, r);
    const wexe::Rect *rect = regions[r]->rect.get();
    verifyRect(context, rect, where, "exe_c7");
    if (regions[r]->image >= context.program.images.size())
      refuse(where, "names image " + std::to_string(regions[r]->image) + ", but there are " + std::to_string(context.program.images.size()),
             "exe_c4");
    for (uint32_t j = 0; j < rect->ny(); ++j)
      for (uint32_t i = 0; i < rect->nx(); ++i) {
        uint32_t x = rect->x0() + i * rect->sx(), y = rect->y0() + j * rect->sy();
        uint16_t &slot = expanded.regionOf[size_t(y) * expanded.width + x];
        if (slot != noRegion)
          refuse(where, "overlaps entry " + std::to_string(slot) + " (" + quoted(regions[slot]->name) + ") at core " + describeCore(x, y),
                 "exe_c7");
        slot = uint16_t(r);
      }
  }
}

const char *fieldName(wexe::DescField field) {
  static const char *const names[] = {"kind", "colour", "base", "extent0", "extent1", "extent2", "extent3", "imm"};
  return names[unsigned(field)];
}

/// Each override by itself: what it names and that its value is one of the field's at every core.
void verifyOverrides(VerifyContext &context, size_t r) {
  const wexe::RegionT &region = *context.program.regions[r];
  const wexe::ImageT &image = *context.program.images[region.image];
  std::string where = regionName(context, r);
  for (const wexe::Override &o : region.overrides) {
    if (o.descriptor() >= image.descriptors.size())
      refuse(where,
             "overrides template " + std::to_string(o.descriptor()) + ", but image " + quoted(image.name) + " has " +
                 std::to_string(image.descriptors.size()),
             "exe_c4");
    std::string place = where + descriptorName(image, o.descriptor());
    if (unsigned(o.field()) > unsigned(wexe::DescField::Imm))
      refuse(place, "overrides unknown field " + std::to_string(unsigned(o.field())), "exe_c4");
    if (o.field() == wexe::DescField::Imm)
      continue;
    bool everywhereSame = o.field() == wexe::DescField::Kind || o.field() == wexe::DescField::Colour;
    if (everywhereSame && (o.dx() != 0 || o.dy() != 0))
      refuse(place,
             std::string("overrides ") + fieldName(o.field()) +
                 " with a value that differs from core to core, expected dx = dy = 0; split the region",
             "exe_c10");
    AffineField field = {o.base(), o.dx(), o.dy()};
    int64_t most = o.field() == wexe::DescField::Kind     ? int64_t(wexe::DescKind::Const)
                   : o.field() == wexe::DescField::Colour ? 0xff
                                                          : 0xffff;
    for (int64_t i : {0, region.rect->nx() - 1})
      for (int64_t j : {0, region.rect->ny() - 1})
        if (field.at(i, j) < 0 || field.at(i, j) > most)
          refuse(place,
                 std::string("overrides ") + fieldName(o.field()) + " with " + std::to_string(field.at(i, j)) + " at core " +
                     describeCore(region.rect->x0() + i * region.rect->sx(), region.rect->y0() + j * region.rect->sy()) +
                     ", expected 0 to " + std::to_string(most),
                 "exe_c10");
  }
  std::vector<wexe::Override> sorted(region.overrides.begin(), region.overrides.end());
  auto key = [](const wexe::Override &o) { return std::pair(o.descriptor(), o.field()); };
  std::sort(sorted.begin(), sorted.end(), [&](const auto &a, const auto &b) { return key(a) < key(b); });
  auto twice = std::adjacent_find(sorted.begin(), sorted.end(), [&](const auto &a, const auto &b) { return key(a) == key(b); });
  if (twice != sorted.end())
    refuse(where + descriptorName(image, twice->descriptor()), std::string("overrides ") + fieldName(twice->field()) + " twice", "exe_c10");
  context.expanded.overrides.push_back(std::move(sorted));
}

/// Lowest and highest byte that elements may take, and alignment, of memory descriptors.
struct MemoryBounds {
  int64_t least = 0, most = 0; ///< [least, most)
  int64_t bytes = 1;           ///< of an element

  bool holds(int64_t base, int64_t first, int64_t last) const { return first >= least && last + bytes <= most && base % bytes == 0; }
};

MemoryBounds boundsFor(const VerifyContext &context, const wexe::ImageT &image, const RegionDescriptor &d) {
  MemoryBounds bounds;
  bounds.bytes = elementBytes(d.type);
  bounds.least = d.kind == wexe::DescKind::Acc ? 0 : dataBegin(image);
  bounds.most = d.kind == wexe::DescKind::Acc ? context.machine.accumulatorBytes : context.machine.sramBytes;
  return bounds;
}

/// First and last address of the element walk at (i, j). Exact where every extent is at least 1.
std::pair<int64_t, int64_t> walkAt(const RegionDescriptor &d, int64_t bytes, int64_t i, int64_t j) {
  int64_t first = d.base.at(i, j), last = first;
  for (unsigned k = 0; k < 4; ++k) {
    int64_t reach = (d.extent[k].at(i, j) - 1) * d.stride[k] * bytes;
    (d.stride[k] < 0 ? first : last) += reach;
  }
  return {first, last};
}

/// desc_c1 at one core.
void verifyMemoryAt(const RegionDescriptor &d, const MemoryBounds &bounds, int64_t i, int64_t j, const std::string &where,
                    const std::string &core) {
  for (const AffineField &extent : d.extent)
    if (extent.at(i, j) == 0)
      return;
  auto [first, last] = walkAt(d, bounds.bytes, i, j);
  if (bounds.holds(d.base.at(i, j), first, last))
    return;
  refuse(where,
         "addresses bytes " + std::to_string(first) + " to " + std::to_string(last + bounds.bytes) + core + ", expected a multiple of " +
             std::to_string(bounds.bytes) + " inside " +
             (d.kind == wexe::DescKind::Acc ? "the accumulator cache, bytes " : "data SRAM, bytes ") + std::to_string(bounds.least) +
             " to " + std::to_string(bounds.most),
         "desc_c1");
}

/// desc_c1 at every core of a region. Addresses are affine in the core's place, so the corners bound them; a descriptor that is empty at
/// some cores may still fail at a corner without addressing anything there, and only then each core is looked at.
void verifyMemoryInRegion(const RegionDescriptor &d, const MemoryBounds &bounds, const wexe::Rect &rect, const std::string &where) {
  bool fits = d.base.base % bounds.bytes == 0 && d.base.dx % bounds.bytes == 0 && d.base.dy % bounds.bytes == 0;
  for (int64_t i : {0, rect.nx() - 1})
    for (int64_t j : {0, rect.ny() - 1}) {
      auto [first, last] = walkAt(d, bounds.bytes, i, j);
      fits &= bounds.holds(d.base.at(i, j), first, last);
    }
  if (fits || d.neverHasElements())
    return;
  for (int64_t j = 0; j < rect.ny(); ++j)
    for (int64_t i = 0; i < rect.nx(); ++i)
      verifyMemoryAt(d, bounds, i, j, where, " at core " + describeCore(rect.x0() + i * rect.sx(), rect.y0() + j * rect.sy()));
}

void verifyPlainTemplate(const VerifyContext &context, unsigned image, unsigned index) {
  const wexe::ImageT &source = *context.program.images[image];
  RegionDescriptor d = plainDescriptor(*source.descriptors[index]);
  if (isMemory(d.kind))
    verifyMemoryAt(d, boundsFor(context, source, d), 0, 0, entryName("images", image, source.name) + descriptorName(source, index), "");
}

} // namespace

void verifyRegions(VerifyContext &context) {
  placeRegions(context);
  const auto &images = context.program.images;
  const auto &regions = context.program.regions;
  for (size_t r = 0; r < regions.size(); ++r)
    verifyOverrides(context, r);

  // A template counts as written where some region uses it so, or where no region uses the image at all.
  std::vector<size_t> uses(images.size());
  std::vector<std::vector<size_t>> overriddenUses(images.size());
  for (size_t i = 0; i < images.size(); ++i)
    overriddenUses[i].assign(images[i]->descriptors.size(), 0);
  for (size_t r = 0; r < regions.size(); ++r) {
    unsigned image = regions[r]->image;
    ++uses[image];
    int previous = -1;
    for (const wexe::Override &o : context.expanded.overrides[r]) {
      if (o.descriptor() == previous)
        continue;
      previous = o.descriptor();
      ++overriddenUses[image][o.descriptor()];
      RegionDescriptor d = context.expanded.descriptor(context.program, r, o.descriptor());
      std::string where = regionName(context, r) + descriptorName(*images[image], o.descriptor());
      verifyDescriptorShape(context, *images[image]->descriptors[o.descriptor()], d.kind, d.colour, where);
      if (isMemory(d.kind))
        verifyMemoryInRegion(d, boundsFor(context, *images[image], d), *regions[r]->rect, where);
    }
  }
  for (size_t i = 0; i < images.size(); ++i)
    for (size_t d = 0; d < images[i]->descriptors.size(); ++d)
      if (uses[i] == 0 || overriddenUses[i][d] < uses[i])
        verifyPlainTemplate(context, i, d);
}

} // namespace wafer
