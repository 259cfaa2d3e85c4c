//===- ScheduledTasks.h - which cores a step commands to do what ----------===//
//
// The control wavelets of docs/spec/weight-stream.md section 2, as tasks and the cores that get them. Private to lib/Executable.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EXECUTABLE_SCHEDULEDTASKS_H
#define WAFER_LIB_EXECUTABLE_SCHEDULEDTASKS_H

#include "Expanded.h"

namespace wafer {

/// All cores of `range` get at least one control wavelet `number`.
struct ScheduledTask {
  uint16_t number = 0;
  const char *role = "";
  CoreRange range;
};

CoreRange coresOf(const wexe::GridT &grid);
std::vector<ScheduledTask> scheduledTasks(const wexe::GridT &grid, const wexe::StepT &step);

} // namespace wafer

#endif // WAFER_LIB_EXECUTABLE_SCHEDULEDTASKS_H
