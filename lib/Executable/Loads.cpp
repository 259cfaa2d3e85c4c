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

/// Sends bring all features of a column, at once or (exe_c23) in parts.
static void verifySend(const wexe::ProgramT &program, const wexe::EntryT &entry, size_t number, const wexe::StepT &send, const std::string &where) {
  const wexe::PhaseT &phase = *entry.phases[number];
  if (!phase.grid || phase.grid->columns == 0 || send.tensor < 0 || static_cast<size_t>(send.tensor) >= program.tensors.size())
    return; // refused with its load
  const wexe::TensorT &tensor = *program.tensors[send.tensor];
  const uint64_t features = send.columns != 0 ? send.columns : tensor.shape.empty() ? 1 : tensor.shape.back();
  const uint64_t end = uint64_t(send.offset) + send.feature_block;
  auto hasOther = [&](const wexe::PhaseT &other, auto isOther) {
    return std::any_of(other.steps.begin(), other.steps.end(), [&](const auto &step) {
      return step->kind == wexe::StepKind::Send && step->tensor == send.tensor && step->columns == send.columns && step->type == send.type && isOther(*step);
    });
  };
  auto isBefore = [&](const wexe::StepT &before) { return uint64_t(before.offset) + before.feature_block == uint64_t(send.offset); };
  if (send.offset != 0 && !(phase.continues && hasOther(*entry.phases[number - 1], isBefore)))
    refuse(where, "begins at feature " + std::to_string(send.offset) + " of a column, expected a load that continues one in which another send of " + quoted(tensor.name) + " brings the features before", "exe_c23");
  const uint64_t held = end * phase.grid->columns;
  auto isNext = [&](const wexe::StepT &next) { return uint64_t(next.offset) == end; };
  if (held >= features || (number + 1 < entry.phases.size() && entry.phases[number + 1]->continues && hasOther(*entry.phases[number + 1], isNext)))
    return;
  refuse(where, "lays " + std::to_string(features) + " features out in blocks of " + std::to_string(end) + " over " + std::to_string(phase.grid->columns) + " columns, which hold " + std::to_string(held), "layout_c1");
}

void verifyAcrossLoads(const wexe::ProgramT &program) {
  for (size_t e = 0; e < program.entries.size(); ++e) {
    const wexe::EntryT &entry = *program.entries[e];
    const wexe::PhaseT *before = nullptr;
    for (size_t p = 0; p < entry.phases.size(); ++p) {
      const wexe::PhaseT &phase = *entry.phases[p];
      const std::string where = entryName("entries", e, entry.name) + " phase " + std::to_string(p);
      // (exe_c20) What goes on with SRAM as it is has the cores of what came before, and all its tokens there.
      if (phase.continues && (!before || !before->grid || !phase.grid || phase.load == before->load || phase.grid->micro_batches != 1 || !haveOneShape(*before->grid, *phase.grid)))
        refuse(where, "continues the phase before it, expected that to be of another load on the same grid, with all tokens in one micro-batch", "exe_c20");
      for (size_t s = 0; s < phase.steps.size(); ++s)
        if (phase.steps[s]->kind == wexe::StepKind::Send)
          verifySend(program, entry, p, *phase.steps[s], where + " step " + std::to_string(s) + " (" + quoted(phase.steps[s]->name) + ")");
      before = phase.kind == wexe::PhaseKind::Wafer ? &phase : nullptr;
    }
  }
}

} // namespace wafer
