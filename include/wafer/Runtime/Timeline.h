//===- Timeline.h - what the timing engine says, for a trace viewer ---------===//
//
// One process per system, with a lane each for compute, the stream of weights, activations in and out, functions of MemoryX, and what is said of it from outside, such
// as sums in SwarmX.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_RUNTIME_TIMELINE_H
#define WAFER_RUNTIME_TIMELINE_H

#include <string>
#include <vector>

namespace wafer {

/// A timed run of a program on one system.
struct TimelineRun {
  std::string system, name;
  double begin = 0;  ///< in seconds of the machine
  std::string stats; ///< as toJson writes them
};

/// Something beside the wafer, on a lane of its own.
struct TimelineSpan {
  std::string system, lane, name;
  double begin = 0, seconds = 0;
};

/// A Chrome trace as JSON; a microsecond of the viewer is one of the machine. Throws RuntimeError for a run that was not timed.
std::string timelineText(const std::vector<TimelineRun> &runs, const std::vector<TimelineSpan> &spans = {});

} // namespace wafer

#endif // WAFER_RUNTIME_TIMELINE_H
