//===- MachineFields.cpp - the table of a machine description's fields ----===//

#include "MachineFields.h"

namespace wafer::machine_fields {

const std::vector<NumberField> &numberFields() {
  // Addresses and coordinates are 16-bit numbers in the executable; a colour is a bit of a 32-bit mask in the loader; cycle constants of
  // more than a million are a slip of the hand.
  static const std::vector<NumberField> fields = {
      {"width", &Machine::width, 1, 8192},
      {"height", &Machine::height, 1, 8192},
      {"sram_bytes", &Machine::sramBytes, 64, 65536},
      {"accumulator_bytes", &Machine::accumulatorBytes, 4, 65536},
      {"colours", &Machine::colours, 1, 32},
      {"control_tasks", &Machine::controlTasks, 1, 65536},
      {"microthreads", &Machine::microthreads, 1, 64},
      {"router_queue_depth", &Machine::routerQueueDepth, 1, 65536},
      {"core_queue_depth", &Machine::coreQueueDepth, 1, 65536},
      {"clock_ghz", &Machine::clockGHz, 0.001, 1000},
      {"ingest_wavelets_per_cycle", &Machine::ingestWaveletsPerCycle, 1, 8192},
      {"egress_wavelets_per_cycle", &Machine::egressWaveletsPerCycle, 1, 8192},
      {"hop_cycles", &Machine::hopCycles, 1, 1000000},
      {"ramp_cycles", &Machine::rampCycles, 1, 1000000},
      {"task_cycles", &Machine::taskCycles, 0, 1000000},
      {"trigger_cycles", &Machine::triggerCycles, 0, 1000000},
      {"scalar_cycles", &Machine::scalarCycles, 0, 1000000},
      {"descriptor_cycles", &Machine::descriptorCycles, 0, 1000000},
      {"vector_setup_cycles", &Machine::vectorSetupCycles, 0, 1000000},
      {"memoryx_dram_bytes", &Machine::memoryxDramBytes, 1, 1e18},
      {"memoryx_flash_bytes", &Machine::memoryxFlashBytes, 0, 1e18},
      {"max_systems", &Machine::maxSystems, 1, 2048},
  };
  return fields;
}

const std::vector<LaneField> &laneFields() {
  static const std::vector<LaneField> fields = {
      {"vector", &Machine::vectorLanes},
      {"function", &Machine::functionLanes},
      {"fmac_acc", &Machine::fmacAccLanes},
      {"fmac_mem", &Machine::fmacMemLanes},
  };
  return fields;
}

const std::vector<LaneWidth> &laneWidths() {
  static const std::vector<LaneWidth> widths = {{"bits32", &Lanes::bits32}, {"bits16", &Lanes::bits16}, {"bits8", &Lanes::bits8}};
  return widths;
}

} // namespace wafer::machine_fields
