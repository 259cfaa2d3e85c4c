//===- Loads.cpp - the loads of a program ---------------------------------===//
//
// What is on the wafer at one time is a program of its own: its images, regions and routes, with the phases that run on it.
//
//===----------------------------------------------------------------------===//

#include "Loads.h"

#include "Verify.h"

#include <algorithm>
#include <array>

namespace wafer {

std::set<uint16_t> loadsOf(const wexe::ProgramT &program) {
  std::set<uint16_t> loads;
  for (const auto &image : program.images)
    loads.insert(image->load);
  for (const auto &route : program.routes)
    loads.insert(route->load);
  for (const auto &entry : program.entries)
    for (const auto &phase : entry->phases)
      loads.insert(phase->load);
  return loads;
}

wexe::ProgramT partOf(const wexe::ProgramT &program, uint16_t load) {
  wexe::ProgramT part = program;
  part.images.clear();
  part.regions.clear();
  std::vector<int> number(program.images.size(), -1);
  for (size_t i = 0; i < program.images.size(); ++i)
    if (program.images[i]->load == load) {
      number[i] = static_cast<int>(part.images.size());
      part.images.push_back(std::make_unique<wexe::ImageT>(*program.images[i]));
    }
  for (const auto &region : program.regions) {
    // A region of an image that is not there is refused with the first load.
    bool exists = region->image < number.size();
    if (exists ? number[region->image] < 0 : load != *loadsOf(program).begin())
      continue;
    part.regions.push_back(std::make_unique<wexe::RegionT>(*region));
    if (exists)
      part.regions.back()->image = static_cast<uint16_t>(number[region->image]);
  }
  auto isElsewhere = [&](const auto &item) { return item->load != load; };
  part.routes.erase(std::remove_if(part.routes.begin(), part.routes.end(), isElsewhere), part.routes.end());
  for (const auto &entry : part.entries)
    entry->phases.erase(std::remove_if(entry->phases.begin(), entry->phases.end(), isElsewhere), entry->phases.end());
  for (const auto &entry : part.entries)
    for (const auto &phase : entry->phases)
      phase->continues = false;
  return part;
}

static bool haveOneShape(const wexe::GridT &a, const wexe::GridT &b) {
  auto shape = [](const wexe::GridT &grid) { return std::array<uint32_t, 8>{grid.x0, grid.y0, grid.columns, grid.rows, grid.groups, grid.bands, grid.token_block, grid.micro_batches}; };
  return shape(a) == shape(b);
}

void verifyContinuing(const wexe::ProgramT &program) {
  for (size_t e = 0; e < program.entries.size(); ++e) {
    const wexe::PhaseT *before = nullptr;
    for (size_t p = 0; p < program.entries[e]->phases.size(); ++p) {
      const wexe::PhaseT &phase = *program.entries[e]->phases[p];
      // (exe_c20) What goes on with SRAM as it is has the cores of what came before, and all its tokens there.
      if (phase.continues && (!before || !before->grid || !phase.grid || phase.load == before->load || phase.grid->micro_batches != 1 || !haveOneShape(*before->grid, *phase.grid)))
        refuse(entryName("entries", e, program.entries[e]->name) + " phase " + std::to_string(p), "continues the phase before it, expected that to be of another load on the same grid, with all tokens in one micro-batch", "exe_c20");
      before = phase.kind == wexe::PhaseKind::Wafer ? &phase : nullptr;
    }
  }
}

} // namespace wafer
