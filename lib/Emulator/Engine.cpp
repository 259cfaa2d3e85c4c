//===- Engine.cpp - engines by name ------------------------------------------===//

#include "CoreModel.h"

#include <map>

namespace wafer {

void takeMemory(Engine &engine, Engine &before, const Machine &machine) {
  std::map<std::pair<uint16_t, uint16_t>, const uint8_t *> known;
  before.forEachCore([&](uint16_t x, uint16_t y, uint8_t *memory) { known[{x, y}] = memory; });
  engine.forEachCore([&](uint16_t x, uint16_t y, uint8_t *memory) {
    if (auto core = known.find({x, y}); core != known.end())
      std::memcpy(memory, core->second, CoreModel::memoryBytes(machine));
  });
}

std::unique_ptr<Engine> createEngine(std::string_view name, const LoadedProgram &program, const EngineOptions &options) {
  if (name == "functional")
    return createFunctionalEngine(program, options);
  if (name == "cycle")
    return createCycleEngine(program, options);
  throw std::invalid_argument("there is no engine '" + std::string(name) + "'; engines are functional, cycle and timing");
}

} // namespace wafer
