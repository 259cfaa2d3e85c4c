//===- Loads.h - the loads of a program -----------------------------------===//

#ifndef WAFER_LIB_EXECUTABLE_LOADS_H
#define WAFER_LIB_EXECUTABLE_LOADS_H

#include "wafer/Executable/Executable.h"

#include <set>

namespace wafer {

/// Numbers of all loads that images, routes and phases name.
std::set<uint16_t> loadsOf(const wexe::ProgramT &program);
/// Refuses phases that continue what they cannot, and sends that leave something out. Loads do not know of each other, so this is asked before they are verified one by one.
void verifyAcrossLoads(const wexe::ProgramT &program);
/// The program with the images, regions, routes and phases of one load only, as if none continued another.
wexe::ProgramT partOf(const wexe::ProgramT &program, uint16_t load);

} // namespace wafer

#endif // WAFER_LIB_EXECUTABLE_LOADS_H
