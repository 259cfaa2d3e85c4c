//===- CycleDeadlock.cpp - the wait-for graph of a wafer that stands still ----===//

#include "CycleDeadlock.h"

#include "WaitReport.h"

#include <map>

namespace wafer {

namespace {

/// Grows the graph from the operations that are at work; a core that waits for a command has a node only when someone waits for it.
class StandstillGraph {
public:
  explicit StandstillGraph(const Standstill &state) : state_(state) {}

  WaitGraph build();

private:
  /// Nodes are numbered when first asked for and described later, so that chains of any length need no recursion.
  size_t nodeOf(size_t core, size_t which);
  size_t memoryX();
  const std::vector<Blocked> &blockedOf(size_t core);
  size_t coreOf(uint32_t router) const { return static_cast<size_t>(state_.coreAt[router]); }

  size_t producer(size_t core, unsigned colour);
  size_t consumer(uint32_t router, unsigned colour);
  void waitForReceivers(WaitGraph::Node &node, const std::vector<uint32_t> &full, unsigned colour);
  void waitForWavelet(WaitGraph::Node &node, const CycleCore &core, unsigned colour);
  void waitForPort(WaitGraph::Node &node, uint32_t port, unsigned colour);
  void describe(size_t node, size_t core, size_t which);
  void describeMemoryX(size_t node);
  void addLeftOver(size_t core);

  const Standstill &state_;
  WaitGraph graph_;
  std::map<size_t, std::vector<Blocked>> blocked_;
  std::map<std::pair<size_t, size_t>, size_t> nodes_;
  std::vector<std::pair<size_t, std::pair<size_t, size_t>>> undescribed_;
  static constexpr size_t memoryXCore = SIZE_MAX;
};

const std::vector<Blocked> &StandstillGraph::blockedOf(size_t core) {
  auto found = blocked_.find(core);
  if (found == blocked_.end())
    found = blocked_.emplace(core, state_.cores[core].blocked(state_.fabric.ramp(state_.cores[core].router))).first;
  return found->second;
}

size_t StandstillGraph::nodeOf(size_t core, size_t which) {
  auto [entry, isNew] = nodes_.try_emplace({core, which}, graph_.nodes.size());
  if (isNew) {
    graph_.nodes.emplace_back();
    undescribed_.push_back({entry->second, {core, which}});
  }
  return entry->second;
}

size_t StandstillGraph::memoryX() { return nodeOf(memoryXCore, 0); }

/// What on a core is to send a colour: an operation that does, else the task, which has not come to one.
size_t StandstillGraph::producer(size_t core, unsigned colour) {
  const auto &all = blockedOf(core);
  for (size_t i = 0; i + 1 < all.size(); ++i)
    if (all[i].outputColour == static_cast<int>(colour))
      return nodeOf(core, i);
  return nodeOf(core, all.size() - 1);
}

/// What on a core is to take a colour.
size_t StandstillGraph::consumer(uint32_t router, unsigned colour) {
  size_t core = coreOf(router);
  const auto &all = blockedOf(core);
  for (size_t i = 0; i + 1 < all.size(); ++i)
    if (all[i].inputColour == static_cast<int>(colour))
      return nodeOf(core, i);
  return nodeOf(core, all.size() - 1);
}

void StandstillGraph::waitForReceivers(WaitGraph::Node &node, const std::vector<uint32_t> &full, unsigned colour) {
  for (uint32_t router : full) {
    node.text += (router == full.front() ? ", which " : " and ") + state_.cores[coreOf(router)].model.name();
    node.on.push_back(consumer(router, colour));
  }
  node.text += full.empty() ? "" : full.size() == 1 ? " does not take" : " do not take";
}

void StandstillGraph::waitForPort(WaitGraph::Node &node, uint32_t port, unsigned colour) {
  node.text += " from MemoryX";
  int first = state_.fabric.firstColourOf(port);
  if (first >= 0 && first != static_cast<int>(colour)) {
    node.text += ", but " + state_.program.colourName(static_cast<unsigned>(first)) + " is before it in the input port of column " +
                 std::to_string(port);
    waitForReceivers(node, state_.fabric.fullReceivers(port, static_cast<uint8_t>(first)), static_cast<unsigned>(first));
  } else if (state_.burst.any) {
    node.on.push_back(memoryX());
  } else {
    node.text += ", which has nothing more to send";
  }
}

void StandstillGraph::waitForWavelet(WaitGraph::Node &node, const CycleCore &core, unsigned colour) {
  CycleFabric::Shortage shortage = state_.fabric.shortageOf(core.router, static_cast<uint8_t>(colour));
  node.text += state_.program.colourName(colour);
  switch (shortage.kind) {
  case CycleFabric::Shortage::Stuck:
    node.text += ", which is also on its way to others";
    waitForReceivers(node, shortage.full, colour);
    break;
  case CycleFabric::Shortage::FromCore: {
    size_t sender = coreOf(shortage.at);
    node.text += " from " + state_.cores[sender].model.name();
    node.on.push_back(producer(sender, colour));
    break;
  }
  case CycleFabric::Shortage::FromPort:
    waitForPort(node, shortage.at, colour);
    break;
  case CycleFabric::Shortage::Nowhere:
    node.text += ", which no route brings";
    break;
  }
}

void StandstillGraph::describe(size_t index, size_t number, size_t which) {
  const CycleCore &core = state_.cores[number];
  const Blocked blocked = blockedOf(number)[which];
  WaitGraph::Node node;
  node.text = blocked.pc < 0 ? core.model.name() : core.model.where(static_cast<uint16_t>(blocked.pc));
  switch (blocked.reason) {
  case Blocked::Command:
    node.text += " waits for a command on ";
    waitForWavelet(node, core, blocked.colour);
    break;
  case Blocked::Input:
    node.text += " waits for ";
    waitForWavelet(node, core, blocked.colour);
    break;
  case Blocked::Room:
    node.text += " waits for room on " + state_.program.colourName(blocked.colour);
    waitForReceivers(node, state_.fabric.fullReceivers(core.router, static_cast<uint8_t>(blocked.colour)), blocked.colour);
    break;
  case Blocked::Conflict:
    node.text += " waits for the microthread of pc " + std::to_string(blockedOf(number)[blocked.behind].pc) + ", with which it conflicts";
    node.on.push_back(nodeOf(number, blocked.behind));
    break;
  case Blocked::Slot:
    node.text += " waits for a microthread slot; all " + std::to_string(state_.program.machine().microthreads) + " are taken";
    for (size_t i = 0; i + 1 < blockedOf(number).size(); ++i)
      node.on.push_back(nodeOf(number, i));
    break;
  }
  graph_.nodes[index] = std::move(node);
}

void StandstillGraph::describeMemoryX(size_t index) {
  const PendingBurst &burst = state_.burst;
  WaitGraph::Node node;
  node.text = "MemoryX waits for room to send " + state_.program.colourName(burst.colour);
  for (uint32_t port : burst.fullPorts) {
    unsigned first = static_cast<unsigned>(state_.fabric.firstColourOf(port));
    node.text += (port == burst.fullPorts.front() ? " to column " : "; to column ") + std::to_string(port) +
                 ", whose input port is full of " + state_.program.colourName(first);
    waitForReceivers(node, state_.fabric.fullReceivers(port, static_cast<uint8_t>(first)), first);
  }
  graph_.nodes[index] = std::move(node);
}

/// Wavelets that arrived and that nothing at hand takes.
void StandstillGraph::addLeftOver(size_t number) {
  const CycleCore &core = state_.cores[number];
  const RampQueues &queues = state_.fabric.ramp(core.router);
  const auto &all = blockedOf(number);
  for (unsigned colour = 0; colour < queues.in.size(); ++colour) {
    bool wanted = colour == core.model.image.commandColour;
    for (const Blocked &blocked : all)
      wanted |= blocked.inputColour == static_cast<int>(colour);
    if (wanted || queues.in[colour].empty())
      continue;
    std::string count = std::to_string(queues.in[colour].size());
    graph_.nodes.push_back({core.model.name() + " has " + count + (count == "1" ? " wavelet of " : " wavelets of ") +
                                state_.program.colourName(colour) + " that no task takes",
                            {nodeOf(number, all.size() - 1)}});
  }
}

WaitGraph StandstillGraph::build() {
  for (size_t core = 0; core < state_.cores.size(); ++core) {
    const auto &all = blockedOf(core);
    for (size_t i = 0; i < all.size(); ++i)
      if (all[i].reason != Blocked::Command)
        nodeOf(core, i);
  }
  for (size_t core = 0; core < state_.cores.size(); ++core)
    addLeftOver(core);
  if (state_.burst.any)
    memoryX();
  while (!undescribed_.empty()) {
    auto [node, what] = undescribed_.back();
    undescribed_.pop_back();
    if (what.first == memoryXCore)
      describeMemoryX(node);
    else
      describe(node, what.first, what.second);
  }
  return std::move(graph_);
}

} // namespace

void reportStandstill(const Standstill &state, const std::string &when) { reportNoProgress(StandstillGraph(state).build(), when); }

} // namespace wafer
