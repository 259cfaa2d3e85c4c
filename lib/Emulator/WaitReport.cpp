//===- WaitReport.cpp - who waits for whom -----------------------------------===//

#include "WaitReport.h"

#include <algorithm>
#include <map>

namespace wafer {

namespace {

std::string coreName(uint16_t x, uint16_t y) { return "core (" + std::to_string(x) + ", " + std::to_string(y) + ")"; }

constexpr unsigned bit(wexe::Dir dir) { return 1u << static_cast<unsigned>(dir); }

/// Follows a colour from the router (x, y) on; the verifier has proved that this ends.
void follow(const LoadedProgram &program, unsigned x, unsigned y, unsigned colour, Receivers &receivers) {
  unsigned tx = program.routeAt(x, y, colour).tx;
  if (tx & bit(wexe::Dir::Ramp))
    receivers.cores.push_back({static_cast<uint16_t>(x), static_cast<uint16_t>(y)});
  if (tx & bit(wexe::Dir::N))
    follow(program, x, y - 1, colour, receivers);
  if (tx & bit(wexe::Dir::E))
    follow(program, x + 1, y, colour, receivers);
  if (tx & bit(wexe::Dir::W))
    follow(program, x - 1, y, colour, receivers);
  if (tx & bit(wexe::Dir::S)) {
    if (y + 1 == program.machine().height)
      receivers.ports.push_back(static_cast<uint16_t>(x));
    else
      follow(program, x, y + 1, colour, receivers);
  }
}

} // namespace

Sender senderOf(const LoadedProgram &program, uint16_t x, uint16_t y, unsigned colour) {
  int column = x, row = y;
  for (;;) {
    RouteEntry entry = program.routeAt(column, row, colour);
    if (entry.tx == 0)
      return {};
    switch (entry.rx) {
    case wexe::Dir::Ramp:
      return {Sender::Core, static_cast<uint16_t>(column), static_cast<uint16_t>(row)};
    case wexe::Dir::N:
      if (row-- == 0)
        return {Sender::MemoryX, static_cast<uint16_t>(column), 0};
      break;
    case wexe::Dir::S:
      ++row;
      break;
    case wexe::Dir::E:
      ++column;
      break;
    case wexe::Dir::W:
      --column;
      break;
    }
  }
}

Receivers receiversOf(const LoadedProgram &program, uint16_t x, uint16_t y, unsigned colour) {
  Receivers receivers;
  follow(program, x, y, colour, receivers);
  return receivers;
}

Receivers receiversOfPort(const LoadedProgram &program, uint16_t port, unsigned colour) {
  Receivers receivers;
  if (program.routeAt(port, 0, colour).rx == wexe::Dir::N)
    follow(program, port, 0, colour, receivers);
  return receivers;
}

Waiter waitsForInput(const LoadedProgram &program, const CoreModel &core, uint16_t pc, unsigned colour) {
  Waiter waiter{core.x, core.y, core.where(pc) + " waits for " + program.colourName(colour), {}};
  Sender sender = senderOf(program, core.x, core.y, colour);
  if (sender.kind == Sender::Core) {
    waiter.what += " from " + coreName(sender.x, sender.y);
    waiter.on.push_back({sender.x, sender.y});
  } else {
    waiter.what += sender.kind == Sender::MemoryX ? " from MemoryX, which has nothing more to send" : ", which nobody sends";
  }
  return waiter;
}

namespace {

/// Depth-first over a wait-for graph: an edge to a node on the current path closes a cycle.
class WaitSearch {
public:
  explicit WaitSearch(const WaitGraph &graph) : graph_(graph), state_(graph.nodes.size(), State::New) {}

  void run() {
    for (size_t node = 0; node < graph_.nodes.size() && cycle.empty(); ++node)
      visit(node);
  }

  std::vector<size_t> cycle; ///< in the order of who waits for whom, empty when there is none
  std::vector<size_t> order; ///< all nodes, chain by chain

private:
  enum class State : uint8_t { New, OnPath, Done };

  /// A chain may be as long as the wafer has cores, so the path is kept by hand and not on the stack.
  void visit(size_t start) {
    std::vector<std::pair<size_t, size_t>> path; // node, next edge to follow
    auto enter = [&](size_t node) {
      state_[node] = State::OnPath;
      order.push_back(node);
      path.push_back({node, 0});
    };
    if (state_[start] == State::New)
      enter(start);
    while (!path.empty()) {
      auto &[node, edge] = path.back();
      if (edge == graph_.nodes[node].on.size()) {
        state_[node] = State::Done;
        path.pop_back();
        continue;
      }
      size_t next = graph_.nodes[node].on[edge++];
      if (state_[next] == State::New)
        enter(next);
      else if (state_[next] == State::OnPath) {
        auto first = std::find_if(path.begin(), path.end(), [&](const auto &step) { return step.first == next; });
        for (; first != path.end(); ++first)
          cycle.push_back(first->first);
        return;
      }
    }
  }

  const WaitGraph &graph_;
  std::vector<State> state_;
};

} // namespace

void reportNoProgress(const WaitGraph &graph, const std::string &when) {
  WaitSearch search(graph);
  search.run();
  const bool closed = !search.cycle.empty();
  const std::vector<size_t> &shown = closed ? search.cycle : search.order;
  constexpr size_t most = 12;
  std::string text = when + (!closed             ? ": nothing can move:"
                             : shown.size() == 1 ? ": nothing can move; this waits for itself:"
                                                 : ": nothing can move; these wait for each other:");
  for (size_t i = 0; i < shown.size() && i < most; ++i)
    text += "\n  " + graph.nodes[shown[i]].text;
  if (shown.size() > most)
    text += "\n  and " + std::to_string(shown.size() - most) + " more";
  throw Trap("progress_c1", text);
}

void reportNoProgress(const std::vector<Waiter> &waiters, const std::string &when) {
  std::map<std::pair<uint16_t, uint16_t>, size_t> nodeAt;
  for (size_t i = 0; i < waiters.size(); ++i)
    nodeAt.try_emplace({waiters[i].x, waiters[i].y}, i);
  WaitGraph graph;
  for (const Waiter &waiter : waiters) {
    WaitGraph::Node node{waiter.what, {}};
    for (const auto &place : waiter.on)
      if (auto found = nodeAt.find(place); found != nodeAt.end())
        node.on.push_back(found->second);
    graph.nodes.push_back(std::move(node));
  }
  reportNoProgress(graph, when);
}

} // namespace wafer
