//===- MachineFields.h - the table of a machine description's fields ------===//
//
// One row per field: its JSON name, the member of Machine and the values it may have. Reading, writing and the names that `source` may
// explain all come from this table. Private to lib/Machine.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_MACHINE_MACHINEFIELDS_H
#define WAFER_LIB_MACHINE_MACHINEFIELDS_H

#include "wafer/Machine/Machine.h"

#include <variant>

namespace wafer::machine_fields {

/// A number. Bounds are inclusive.
struct NumberField {
  const char *name;
  std::variant<uint32_t Machine::*, uint64_t Machine::*, double Machine::*> member;
  double least, most;
};

/// Lanes of one operation class: an object with one number per width of type.
struct LaneField {
  const char *name;
  Lanes Machine::*member;
};
struct LaneWidth {
  const char *name;
  uint32_t Lanes::*member;
};

inline constexpr uint32_t mostLanes = 1024;
/// Keeps tables per core and colour of a program that nobody checked yet within reason.
inline constexpr uint64_t mostCores = uint64_t(1) << 21;

const std::vector<NumberField> &numberFields();
const std::vector<LaneField> &laneFields();
const std::vector<LaneWidth> &laneWidths();

} // namespace wafer::machine_fields

#endif // WAFER_LIB_MACHINE_MACHINEFIELDS_H
