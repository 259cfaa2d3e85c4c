//===- FunctionalRouting.cpp - who receives what in the functional engine ----===//

#include "FunctionalRouting.h"

#include <map>

namespace wafer {

namespace {

/// Rows of cores that one thread runs at a time: as many as there can be for a batch to have work per instruction, few enough for what they pass on to stay near.
constexpr uint32_t mostRowsPerDomain = 16;

constexpr int32_t notAskedYet = -2, noPeer = -1;

} // namespace

FunctionalRouting::FunctionalRouting(const LoadedProgram &program, unsigned threads) : program_(program), colours_(program.machine().colours) {
  const Machine &machine = program.machine();
  auto bands = [&] { return (machine.height + rowsPerDomain_ - 1) / rowsPerDomain_; };
  rowsPerDomain_ = std::min<uint32_t>(mostRowsPerDomain, machine.height);
  if (bands() < threads && !cutColumns((threads + bands() - 1) / bands()))
    rowsPerDomain_ = std::min<uint32_t>(rowsPerDomain_, (machine.height + threads - 1) / threads);
  domains_ = bands() * parts_;
  coreAt_.assign(size_t(machine.width) * machine.height, -1);
  for (uint32_t y = 0; y < machine.height; ++y)
    for (uint32_t x = 0; x < machine.width; ++x)
      if (program.regionAt(x, y) >= 0) {
        coreAt_[size_t(y) * machine.width + x] = static_cast<int32_t>(at_.size());
        at_.emplace_back(static_cast<uint16_t>(x), static_cast<uint16_t>(y));
      }
  targets_.resize(at_.size());
  portTargets_.resize(machine.width);
  makeBatches();
  peers_.resize(batches_.size());
}

/// Cuts the columns into so many parts, as near to equal as may be, between columns of which neither sends to the other. False, and nothing is cut, if there are too few.
bool FunctionalRouting::cutColumns(uint32_t parts) {
  const uint32_t width = program_.machine().width;
  std::vector<char> isCrossed(width + 1); // between the column before and this one
  for (const auto &route : program_.program().routes)
    for (uint32_t i = 0; i < route->rect->nx(); ++i) {
      const uint32_t x = route->rect->x0() + i * route->rect->sx();
      isCrossed[x] |= (route->tx >> static_cast<unsigned>(wexe::Dir::W)) & 1;
      isCrossed[x + 1] |= (route->tx >> static_cast<unsigned>(wexe::Dir::E)) & 1;
    }
  partOf_.assign(width, 0);
  uint32_t part = 0;
  for (uint32_t x = 1; x < width; ++x) {
    if (!isCrossed[x] && uint64_t(x) * parts / width > part)
      ++part;
    partOf_[x] = part;
  }
  if (part + 1 < parts)
    return false;
  parts_ = parts;
  return true;
}

void FunctionalRouting::makeBatches() {
  const wexe::ProgramT &program = program_.program();
  auto imageOf = [&](uint32_t core) { return program.regions[program_.regionAt(at_[core].first, at_[core].second)]->image; };
  std::vector<char> hasBatch(at_.size());
  std::vector<char> isCommandColour(colours_);
  for (const auto &image : program.images)
    isCommandColour[image->command_colour] = 1;
  for (uint16_t port = 0; port < program_.machine().width; ++port)
    for (unsigned colour = 0; colour < colours_; ++colour) {
      if (!isCommandColour[colour])
        continue;
      std::map<std::pair<unsigned, unsigned>, std::vector<uint32_t>> byDomainAndImage;
      for (auto [x, y] : receiversOfPort(program_, port, colour).cores) {
        const uint32_t core = static_cast<uint32_t>(coreAt_[size_t(y) * program_.machine().width + x]);
        if (program.images[imageOf(core)]->command_colour == colour)
          byDomainAndImage[{domainOfCore(core), imageOf(core)}].push_back(core);
      }
      for (auto &[key, cores] : byDomainAndImage) {
        std::sort(cores.begin(), cores.end());
        for (size_t i = 0; i < cores.size(); i += mostCoresInBatch)
          batches_.emplace_back(cores.begin() + static_cast<long>(i), cores.begin() + static_cast<long>(std::min(cores.size(), i + mostCoresInBatch)));
        for (uint32_t core : cores)
          hasBatch[core] = 1;
      }
    }
  for (uint32_t core = 0; core < at_.size(); ++core)
    if (!hasBatch[core])
      batches_.push_back({core});
  places_.resize(at_.size());
  for (uint32_t batch = 0; batch < batches_.size(); ++batch)
    for (uint32_t i = 0; i < batches_[batch].size(); ++i)
      places_[batches_[batch][i]] = {batch, i};
}

std::unique_ptr<FunctionalRouting::Target> FunctionalRouting::resolve(const Receivers &receivers) const {
  auto target = std::make_unique<Target>();
  for (auto [x, y] : receivers.cores)
    target->cores.push_back(static_cast<uint32_t>(coreAt_[size_t(y) * program_.machine().width + x]));
  target->ports = receivers.ports;
  return target;
}

const FunctionalRouting::Target &FunctionalRouting::targetOf(uint32_t core, unsigned colour) {
  auto &byColour = targets_[core];
  byColour.resize(colours_);
  if (!byColour[colour])
    byColour[colour] = resolve(receiversOf(program_, at_[core].first, at_[core].second, colour));
  return *byColour[colour];
}

const FunctionalRouting::Target &FunctionalRouting::targetOfPort(uint16_t port, unsigned colour) {
  auto &byColour = portTargets_[port];
  byColour.resize(colours_);
  if (byColour[colour])
    return *byColour[colour];
  byColour[colour] = resolve(receiversOfPort(program_, port, colour));
  Target &target = *byColour[colour];
  std::vector<uint32_t> others;
  for (uint32_t core : target.cores) {
    const auto &region = program_.program().regions[program_.regionAt(at_[core].first, at_[core].second)];
    if (program_.program().images[region->image]->command_colour != colour)
      others.push_back(core);
    else if (std::find(target.commandedBatches.begin(), target.commandedBatches.end(), places_[core].batch) == target.commandedBatches.end())
      target.commandedBatches.push_back(places_[core].batch);
  }
  target.cores = std::move(others);
  return target;
}

int32_t FunctionalRouting::findPeer(uint32_t batch, unsigned colour) {
  int32_t peer = noPeer;
  for (uint32_t i = 0; i < batches_[batch].size(); ++i) {
    const Target &target = targetOf(batches_[batch][i], colour);
    if (target.cores.size() != 1 || !target.ports.empty())
      return noPeer;
    const CorePlace &place = places_[target.cores[0]];
    if (place.place != i || (i > 0 && static_cast<int32_t>(place.batch) != peer))
      return noPeer;
    peer = static_cast<int32_t>(place.batch);
  }
  const auto &region = program_.program().regions[program_.regionAt(at_[batches_[peer][0]].first, at_[batches_[peer][0]].second)];
  const bool isCommand = program_.program().images[region->image]->command_colour == colour;
  return isCommand || domainOf(peer) != domainOf(batch) || batches_[peer].size() != batches_[batch].size() ? noPeer : peer;
}

int32_t FunctionalRouting::peerOf(uint32_t batch, unsigned colour) {
  if (peers_[batch].empty())
    peers_[batch].assign(colours_, notAskedYet);
  int32_t &peer = peers_[batch][colour];
  if (peer == notAskedYet)
    peer = findPeer(batch, colour);
  return peer;
}

} // namespace wafer
