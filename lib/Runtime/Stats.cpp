//===- Stats.cpp - what a run did -----------------------------------------===//

#include "wafer/Runtime/Stats.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace wafer {

using Json = nlohmann::ordered_json;

void accumulate(EngineStats &total, const EngineStats &phase) {
  total.cycles += phase.cycles;
  total.instructions += phase.instructions;
  total.macs += phase.macs;
  total.elementOps += phase.elementOps;
  total.waveletsIn += phase.waveletsIn;
  total.waveletsOut += phase.waveletsOut;
  total.hops += phase.hops;
  total.sramHighWater = std::max(total.sramHighWater, phase.sramHighWater);
  total.cores = std::max(total.cores, phase.cores);
  for (const auto &[activity, cycles] : phase.coreCycles)
    total.coreCycles[activity] += cycles;
}

static Json countersOf(const EngineStats &stats, const StreamedBytes &streamed, bool hasCycles) {
  auto timed = [&](uint64_t value) { return hasCycles ? Json(value) : Json(nullptr); };
  return {{"cycles", timed(stats.cycles)},
          {"macs", stats.macs},
          {"instructions", stats.instructions},
          {"element_ops", stats.elementOps},
          {"cores", stats.cores},
          {"sram_high_water_bytes", stats.sramHighWater},
          {"wavelets_in", stats.waveletsIn},
          {"wavelets_out", stats.waveletsOut},
          {"hops", timed(stats.hops)},
          {"core_cycles", hasCycles ? Json(stats.coreCycles) : Json(nullptr)},
          {"bytes_streamed",
           {{"weights", streamed.weights},
            {"activations_in", streamed.activationsIn},
            {"activations_out", streamed.activationsOut},
            {"commands", streamed.commands},
            {"total", streamed.total()}}}};
}

std::string toJson(const RunStats &stats) {
  Json json = {{"entry", stats.entry}, {"engine", stats.engine}, {"machine", stats.machine}, {"threads", stats.threads}};
  json["seconds"] = stats.seconds;
  json["wafer_seconds"] = stats.hasCycles() ? Json(double(stats.total.cycles) / (stats.clockGHz * 1e9)) : Json(nullptr);
  json["total"] = countersOf(stats.total, stats.streamed, stats.hasCycles());
  json["memoryx"] = {{"dram_budget_bytes", stats.memoryX.dramBudgetBytes}, {"dram_peak_bytes", stats.memoryX.dramPeakBytes},
                     {"activation_peak_bytes", stats.activationPeakBytes}, {"flash_bytes_read", stats.memoryX.flashBytesRead},
                     {"flash_bytes_written", stats.memoryX.flashBytesWritten},
                     {"prefetch_hits", stats.memoryX.prefetchHits},        {"prefetch_waits", stats.memoryX.prefetchWaits}};
  json["weights_stored_on_wafer"] = 0;
  json["weight_colours_proved"] = stats.weightColours;
  json["phases"] = Json::array();
  for (const PhaseStats &phase : stats.phases) {
    Json entry = {{"placement", phase.onWafer ? "wafer" : "memoryx"}, {"name", phase.name}, {"seconds", phase.seconds}, {"outputs", phase.outputs}};
    if (phase.onWafer) {
      entry["micro_batches"] = phase.microBatches;
      entry.update(countersOf(phase.engine, phase.streamed, stats.hasCycles()));
      entry["steps"] = Json::array();
      for (const StepStats &step : phase.steps)
        entry["steps"].push_back({{"name", step.name}, {"wire", step.wire}, {"link", step.link}, {"macs_dense", step.macsDense}, {"macs", step.macsExecuted}, {"bytes", step.bytes}, {"skips_input_zeros", step.skipsInputZeros}, {"skips_outputs", step.skipsOutputs},
                                  {"bytes_dense", step.bytesDense}});
      if (phase.timing) {
        entry["simulated_cycles"] = phase.timing->simulatedCycles;
        entry["schedule"] = Json::array();
        for (const StepTiming &step : phase.timing->steps)
          entry["schedule"].push_back({{"name", step.name}, {"kind", wexe::EnumNameStepKind(step.kind)}, {"location", step.location}, {"begin", step.begin},
                                       {"cycles", step.cycles}, {"ingest_cycles", step.ingestCycles}, {"egress_cycles", step.egressCycles}, {"macs", step.macs}, {"bytes", (step.wavelets.in() + step.wavelets.activationsOut) * bytesPerWavelet}});
      }
    } else {
      entry["reason"] = phase.reason;
    }
    json["phases"].push_back(std::move(entry));
  }
  json["ops"] = Json::array();
  for (const OpStats &op : stats.ops)
    json["ops"].push_back(
        {{"name", op.name}, {"location", op.location}, {"placement", op.placement}, {"reason", op.reason}, {"macs", op.macs}});
  // Names come from files; what is not UTF-8 in them is replaced.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace wafer
