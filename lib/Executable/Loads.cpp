//===- Loads.cpp - the loads of a program ---------------------------------===//
//
// What is on the wafer at one time is a program of its own: its images, regions and routes, with the phases that run on it.
//
//===----------------------------------------------------------------------===//

#include "Loads.h"

#include <algorithm>

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
  return part;
}

} // namespace wafer
