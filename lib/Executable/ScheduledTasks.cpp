//===- ScheduledTasks.cpp - which cores a step commands to do what --------===//

#include "ScheduledTasks.h"

#include <algorithm>

namespace wafer {

CoreRange coresOf(const wexe::GridT &grid) {
  return {grid.x0, grid.y0, grid.x0 + uint32_t(grid.columns) * grid.groups, uint32_t(grid.y0) + grid.rows};
}

std::vector<ScheduledTask> scheduledTasks(const wexe::GridT &grid, const wexe::StepT &step) {
  std::vector<ScheduledTask> tasks;
  auto columns = [&](uint16_t number, const char *role, uint32_t first, uint32_t end) {
    CoreRange all = coresOf(grid);
    if (first == 0 && end == grid.columns) {
      tasks.push_back({number, role, all});
      return;
    }
    for (uint32_t group = 0; group < grid.groups && first < end; ++group) {
      uint32_t x0 = grid.x0 + group * grid.columns;
      tasks.push_back({number, role, {x0 + first, all.y0, x0 + end, all.y1}});
    }
  };
  // Columns that own an output row.
  uint32_t owners =
      step.out_block == 0 ? 0 : uint32_t(std::min<uint64_t>(grid.columns, (uint64_t(step.rows) + step.out_block - 1) / step.out_block));
  switch (step.kind) {
  case wexe::StepKind::Contract:
    columns(step.task_east, "task_east", 0, owners - 1);
    columns(step.task_west, "task_west", 1, grid.columns);
    columns(step.task_own, "task_own", 0, owners);
    if (step.bias >= 0)
      columns(step.task_bias, "task_bias", 0, owners);
    if (step.output_zeros > 0) {
      columns(step.mask_east, "mask_east", 1, grid.columns);
      columns(step.mask_west, "mask_west", 0, owners - 1);
      columns(step.mask_own, "mask_own", 0, owners);
      columns(step.mask_last, "mask_last", 0, grid.columns);
    }
    break;
  case wexe::StepKind::Sample:
    columns(step.task_east, "task_east", 1, grid.columns);
    columns(step.task_west, "task_west", 0, grid.columns - 1u);
    columns(step.task_own, "task_own", 0, owners);
    columns(step.task, "task", 0, grid.columns);
    break;
  case wexe::StepKind::Scale:
    columns(step.task_own, "task_own", 0, owners);
    if (step.bias >= 0)
      columns(step.task_bias, "task_bias", 0, owners);
    break;
  default:
    columns(step.task, "task", 0, grid.columns);
  }
  return tasks;
}

} // namespace wafer
