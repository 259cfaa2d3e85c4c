//===- Engine.cpp - engines by name ------------------------------------------===//

#include "wafer/Emulator/Engine.h"

namespace wafer {

std::unique_ptr<Engine> createEngine(std::string_view name, const LoadedProgram &program, const EngineOptions &options) {
  if (name == "functional")
    return createFunctionalEngine(program, options);
  if (name == "cycle")
    return createCycleEngine(program, options);
  throw std::invalid_argument("there is no engine '" + std::string(name) + "'; engines are functional, cycle and timing");
}

} // namespace wafer
