//===- LoadedProgram.cpp - a verified program, expanded -------------------===//

#include "Expanded.h"
#include "Loads.h"
#include "Verify.h"

#include <algorithm>
#include <cassert>

namespace wafer {

void RouteGrid::grow(const CoreRange &range) {
  if (bounds_.empty()) {
    bounds_ = range;
    return;
  }
  bounds_ = {std::min(bounds_.x0, range.x0), std::min(bounds_.y0, range.y0), std::max(bounds_.x1, range.x1),
             std::max(bounds_.y1, range.y1)};
}

Descriptor RegionDescriptor::at(int64_t i, int64_t j) const {
  Descriptor descriptor;
  descriptor.kind = kind;
  descriptor.type = type;
  descriptor.colour = colour;
  descriptor.base = static_cast<uint32_t>(base.at(i, j));
  for (unsigned d = 0; d < 4; ++d) {
    descriptor.extent[d] = static_cast<uint16_t>(extent[d].at(i, j));
    descriptor.stride[d] = stride[d];
  }
  descriptor.imm = static_cast<uint32_t>(imm.at(i, j));
  return descriptor;
}

bool RegionDescriptor::neverHasElements() const {
  for (const AffineField &field : extent)
    if (field.constant() && field.base == 0)
      return true;
  return false;
}

RegionDescriptor ExpandedProgram::descriptor(const wexe::ProgramT &program, unsigned region, unsigned index) const {
  const wexe::DescriptorT &source = *program.images[program.regions[region]->image]->descriptors[index];
  RegionDescriptor result = plainDescriptor(source);
  const std::vector<wexe::Override> &list = overrides[region];
  auto begin = std::lower_bound(list.begin(), list.end(), index, [](const wexe::Override &o, unsigned n) { return o.descriptor() < n; });
  for (auto it = begin; it != list.end() && it->descriptor() == index; ++it) {
    AffineField field = {it->base(), it->dx(), it->dy()};
    result.overridden = true;
    switch (it->field()) {
    case wexe::DescField::Kind:
      result.kind = static_cast<wexe::DescKind>(it->base());
      break;
    case wexe::DescField::Colour:
      result.colour = static_cast<uint8_t>(it->base());
      break;
    case wexe::DescField::Base:
      result.base = field;
      break;
    case wexe::DescField::Imm:
      result.imm = field;
      break;
    default:
      result.extent[unsigned(it->field()) - unsigned(wexe::DescField::Extent0)] = field;
    }
  }
  return result;
}

struct LoadedProgram::Expanded : ExpandedProgram {};

LoadedProgram LoadedProgram::verify(wexe::ProgramT program) {
  verifyAcrossLoads(program);
  return verifyLoads(std::move(program));
}

LoadedProgram LoadedProgram::verifyLoads(wexe::ProgramT program) {
  LoadedProgram loaded;
  if (std::set<uint16_t> numbers = loadsOf(program); numbers.size() > 1) {
    auto loads = std::make_shared<std::map<uint16_t, LoadedProgram>>();
    for (uint16_t number : numbers) {
      try {
        auto [part, isNew] = loads->emplace(number, verifyLoads(partOf(program, number)));
        loaded.machine_ = part->second.machine_;
        loaded.provedWeightColours_ = std::max(loaded.provedWeightColours_, part->second.provedWeightColours_);
      } catch (const ExecutableError &error) {
        throw ExecutableError("load " + std::to_string(number) + ": " + error.what());
      }
    }
    loaded.program_ = std::make_shared<const wexe::ProgramT>(std::move(program));
    loaded.loads_ = std::move(loads);
    return loaded;
  }
  auto owned = std::make_shared<const wexe::ProgramT>(std::move(program));
  auto expanded = std::make_shared<Expanded>();
  loaded.machine_ = verifyHeader(*owned);
  VerifyContext context = {*owned, loaded.machine_, *expanded, {}, {}};
  loaded.provedWeightColours_ = verifyProgram(context);
  loaded.code_ = std::move(context.code);
  loaded.program_ = std::move(owned);
  loaded.expanded_ = std::move(expanded);
  return loaded;
}

const LoadedProgram &LoadedProgram::load(uint16_t number) const { return loads_ ? loads_->at(number) : *this; }

int LoadedProgram::regionAt(unsigned x, unsigned y) const {
  assert(x < machine_.width && y < machine_.height && "core outside the machine");
  uint16_t region = expanded_->region(x, y);
  return region == noRegion ? -1 : int(region);
}

Descriptor LoadedProgram::descriptorAt(unsigned x, unsigned y, unsigned index) const {
  int region = regionAt(x, y);
  assert(region >= 0 && "core without a program");
  const wexe::Rect &rect = *program_->regions[region]->rect;
  return expanded_->descriptor(*program_, region, index).at((x - rect.x0()) / rect.sx(), (y - rect.y0()) / rect.sy());
}

RouteEntry LoadedProgram::routeAt(unsigned x, unsigned y, unsigned colour) const {
  return colour < expanded_->routes.size() ? expanded_->routes[colour].at(x, y) : RouteEntry();
}

std::string LoadedProgram::colourName(unsigned colour) const { return describeColour(*expanded_, colour); }

std::string LoadedProgram::locationOf(unsigned image, unsigned pc) const {
  const auto &locations = program_->images[image]->locations;
  auto next = std::upper_bound(locations.begin(), locations.end(), pc, [](unsigned n, const auto &location) { return n < location->pc; });
  return next == locations.begin() ? "" : (*std::prev(next))->text;
}

} // namespace wafer
