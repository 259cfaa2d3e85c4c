//===- UniqueNames.h - names of an executable as symbols ------------------------===//

#ifndef WAFER_LIB_TARGET_UNIQUENAMES_H
#define WAFER_LIB_TARGET_UNIQUENAMES_H

#include "wexe_generated.h"

namespace wafer {

/// Renames what has no name or shares one within a symbol table of the wafer dialect: "sum" becomes "sum_1".
void makeNamesUnique(wexe::ProgramT &program);

} // namespace wafer

#endif // WAFER_LIB_TARGET_UNIQUENAMES_H
