//===- FunctionalElements.h - element-wise instructions, many elements at a time ===//
//
// Operations in f32 on memory and constants, in whatever strides. Elements are read, computed and written run by run: a run is what lies in the innermost
// dimensions, as far as all operands walk through them with one step each.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALELEMENTS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALELEMENTS_H

#include "CoreModel.h"

#include <optional>

namespace wafer {

/// How such an operation walks; the same for all cores with equal descriptors.
struct ElementRuns {
  struct Operand {
    wexe::DescKind kind = wexe::DescKind::Const;
    ElementType type = ElementType::F32;
    uint32_t base = 0;
    int64_t step = 0;                ///< bytes from element to element of a run
    int64_t outer[3] = {0, 0, 0};    ///< bytes from run to run
    float constant = 0;
  };
  Opcode opcode = Opcode::Mov;
  bool clear1 = false;
  unsigned sources = 0;
  Operand dst, src[3];
  size_t length = 1;                 ///< of a run
  uint32_t count[3] = {1, 1, 1};     ///< runs
  bool areIndependent = false;       ///< no run reads what another one writes
  bool isFold = false;               ///< every run adds the second source to the first, or takes the larger, in one place
  bool isConstant[3] = {};           ///< nothing is written to what the source reads
};

/// None for an operation that has to go element by element: with fabric operands, other types, or operands that overlap in a way that tells.
std::optional<ElementRuns> elementRuns(const Operation &op);
void runElements(const ElementRuns &runs, CoreModel &core);

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALELEMENTS_H
