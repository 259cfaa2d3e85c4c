//===- Summary.h - an executable in a few lines ---------------------------===//
//
// What a person wants to know first: the machine, what runs where, how full a core is, what is streamed.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_TOOLS_OBJDUMP_SUMMARY_H
#define WAFER_TOOLS_OBJDUMP_SUMMARY_H

#include "wafer/Executable/Executable.h"

namespace wafer {

/// `provedWeightColours` is absent for a program that was not verified.
std::string summarize(const wexe::ProgramT &program, std::optional<unsigned> provedWeightColours);

} // namespace wafer

#endif // WAFER_TOOLS_OBJDUMP_SUMMARY_H
