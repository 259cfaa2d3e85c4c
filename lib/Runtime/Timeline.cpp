//===- Timeline.cpp - what the timing engine says, for a trace viewer -------===//

#include "wafer/Runtime/Timeline.h"

#include "wafer/Emulator/ChromeTrace.h"
#include "wafer/Runtime/Tensor.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace wafer {

namespace {

using Json = nlohmann::ordered_json;

/// Lanes of every system, from the top; those from outside follow.
const char *const laneNames[] = {"phases", "compute", "stream (weights)", "fabric in (activations)", "fabric out (activations)", "MemoryX functions"};
enum LaneNumber : uint32_t { Phases, Compute, Stream, In, Out, Functions, numLanes };

class Timeline {
public:
  void add(const TimelineRun &run);
  void add(const TimelineSpan &span);
  std::string text() const { return trace_.text(); }

private:
  struct System {
    uint32_t process = 0;
    std::map<std::string, uint32_t> lanes; ///< from outside
    double outFree = 0;                    ///< when the way out is
  };
  System &system(const std::string &name);
  void addPhase(System &system, const Json &phase, double begin, double microseconds);

  ChromeTrace trace_;
  std::map<std::string, System> systems_;
};

Timeline::System &Timeline::system(const std::string &name) {
  auto [at, isNew] = systems_.try_emplace(name);
  if (isNew) {
    at->second.process = static_cast<uint32_t>(systems_.size());
    trace_.nameProcess(at->second.process, name);
    for (uint32_t lane = 0; lane < numLanes; ++lane)
      trace_.nameLane({at->second.process, lane}, laneNames[lane]);
  }
  return at->second;
}

/// A step of the first micro-batch, from when it begins; the others are one span behind the last.
void Timeline::addPhase(System &system, const Json &phase, double begin, double microseconds) {
  const double batches = phase.at("micro_batches").get<double>(), end = begin + phase.at("cycles").get<double>() * microseconds;
  double first = begin;
  for (const Json &step : phase.at("schedule")) {
    const std::string name = step.at("name").get<std::string>(), kind = step.at("kind").get<std::string>();
    auto each = [&](const char *what) { return step.at(what).get<double>() * microseconds / batches; };
    const double at = begin + step.at("begin").get<double>() * microseconds, length = each("cycles"), ingest = each("ingest_cycles"), egress = each("egress_cycles");
    const ChromeTrace::Numbers numbers = {{"bytes", step.at("bytes").get<double>()}, {"macs", step.at("macs").get<double>()},
                                          {"cycles", step.at("cycles").get<double>()}, {"ingest cycles, at least", step.at("ingest_cycles").get<double>()},
                                          {"egress cycles, at least", step.at("egress_cycles").get<double>()}};
    const std::string label = name.empty() ? kind : kind + " " + name;
    if (kind == "Send") {
      trace_.span({system.process, In}, label, at, length, numbers);
    } else if (kind != "Receive") {
      trace_.span({system.process, Compute}, label, at, length, numbers);
      if (kind != "Command")
        trace_.span({system.process, Stream}, label, at, std::min(ingest, length), numbers);
    }
    if (egress > 0) {
      // It goes on beside the steps that follow, one result after the other.
      const double from = std::max(at, system.outFree);
      system.outFree = std::min(from + egress, std::max(from, end));
      trace_.span({system.process, Out}, label, from, system.outFree - from, numbers);
    }
    first = std::max(first, at + length);
  }
  if (batches > 1 && first < end)
    trace_.span({system.process, Compute}, "micro-batches 2 to " + std::to_string(static_cast<uint64_t>(batches)), first, end - first);
}

void Timeline::add(const TimelineRun &run) {
  const Json stats = Json::parse(run.stats);
  if (stats.at("engine") != "timing")
    throw RuntimeError("found counters of the " + stats.at("engine").get<std::string>() + " engine, expected those of the timing engine, which has a timeline");
  System &on = system(run.system);
  const double cycles = stats.at("total").at("cycles").get<double>(), microseconds = cycles > 0 ? stats.at("wafer_seconds").get<double>() * 1e6 / cycles : 0;
  double now = run.begin * 1e6;
  for (const Json &phase : stats.at("phases")) {
    const std::string name = phase.at("name").get<std::string>();
    if (phase.at("placement") != "wafer") {
      // Functions take no time in this model.
      trace_.instant({on.process, Functions}, name, now);
      continue;
    }
    const double length = phase.at("cycles").get<double>() * microseconds;
    trace_.span({on.process, Phases}, run.name.empty() ? name : run.name + ": " + name, now, length,
                {{"cores", phase.at("cores").get<double>()}, {"micro-batches", phase.at("micro_batches").get<double>()}, {"cycles", phase.at("cycles").get<double>()}});
    on.outFree = now;
    addPhase(on, phase, now, microseconds);
    now += length;
  }
}

void Timeline::add(const TimelineSpan &span) {
  System &on = system(span.system);
  auto [lane, isNew] = on.lanes.try_emplace(span.lane, numLanes + static_cast<uint32_t>(on.lanes.size()));
  if (isNew)
    trace_.nameLane({on.process, lane->second}, span.lane);
  trace_.span({on.process, lane->second}, span.name, span.begin * 1e6, span.seconds * 1e6);
}

} // namespace

std::string timelineText(const std::vector<TimelineRun> &runs, const std::vector<TimelineSpan> &spans) {
  Timeline timeline;
  for (const TimelineRun &run : runs)
    timeline.add(run);
  for (const TimelineSpan &span : spans)
    timeline.add(span);
  return timeline.text();
}

} // namespace wafer
