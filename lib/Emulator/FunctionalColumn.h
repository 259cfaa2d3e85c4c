//===- FunctionalColumn.h - cores that do the same with what arrives ----------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALCOLUMN_H
#define WAFER_LIB_EMULATOR_FUNCTIONALCOLUMN_H

#include "FunctionalRouting.h"

#include <cstring>

namespace wafer {

inline bool isRowOfFloats(const Descriptor &descriptor, size_t elements) {
  return isMemory(descriptor) && descriptor.type == wexe::ElemType::F32 && isContiguous(descriptor) && descriptor.elements() == elements;
}

inline bool isZeroConstant(const Descriptor &descriptor) {
  return descriptor.kind == wexe::DescKind::Const && descriptor.type == wexe::ElemType::F32 && descriptor.imm == 0;
}

inline Instruction exchange(uint8_t a, uint8_t b) {
  Instruction insn;
  insn.opcode = Opcode::Swapd;
  insn.dst = a;
  insn.src0 = b;
  return insn;
}

/// The cores of one column of all groups.
struct FunctionalColumn {
  std::vector<FunctionalCore *> cores; ///< of each group from north to south
  size_t each = 0, sums = 1; ///< elements of a core in a row; and rows of them that products are added to
  Trigger trigger;

  /// Those that a port commands. False when something is left for them to do, or when others get what comes there.
  bool addCores(const FunctionalRouting::Target &port, const std::vector<std::unique_ptr<FunctionalBatch>> &batches) {
    if (!port.cores.empty() || !port.ports.empty())
      return false;
    for (uint32_t batch : port.commandedBatches) {
      if (!batches[batch]->quiet())
        return false;
      cores.insert(cores.end(), batches[batch]->cores().begin(), batches[batch]->cores().end());
    }
    return true;
  }
  /// Whether all of them have the same code, and the same trigger.
  bool haveSameTask() const {
    return !cores.empty() && first().dataTask >= 0 && std::all_of(cores.begin(), cores.end(), [&](const FunctionalCore *core) {
      return &core->model.image == &first().image && core->model.dataTask == first().dataTask;
    });
  }

  /// Binds the trigger that all of them have, if it multiplies floats and adds to rows of floats that all of them have in one place and that are 0. A task that would trap is left to the cores.
  bool bindProducts() {
    if (!haveSameTask())
      return false;
    const Instruction &insn = first().at(static_cast<uint16_t>(first().dataTask));
    if (addsOnTheWay(insn.opcode) || isMaskedFmac(insn.opcode) || !isFloat(insn.type) || !isUniform(insn.dst) || !isUniform(insn.src0))
      return false;
    try {
      trigger = first().boundTrigger();
    } catch (const Trap &) {
      return false; // when a weight arrives, the core says so
    }
    each = trigger.elementsPerRow();
    sums = trigger.dst.extent[0];
    return each != 0 && sums != 0 && isRowOfFloats(trigger.dst, each * sums) && isZero(trigger.dst);
  }

  CoreModel &first() const { return cores[0]->model; }
  size_t numbers() const { return each * cores.size(); }
  const Descriptor &at(uint8_t reg) const { return *first().descriptorIn(reg); }
  /// Whether a register holds the same in all cores.
  bool isUniform(uint8_t reg) const {
    const Descriptor *mine = first().descriptorIn(reg);
    return mine && std::all_of(cores.begin(), cores.end(), [&](const FunctionalCore *core) {
             const Descriptor *other = core->model.descriptorIn(reg);
             return other && sameDescriptor(*mine, *other);
           });
  }
  bool isZero(const Descriptor &row) const {
    return std::all_of(cores.begin(), cores.end(), [&](const FunctionalCore *core) {
      const uint8_t *at = core->model.memory(row.kind) + row.base;
      return *at == 0 && std::memcmp(at, at + 1, row.elements() * sizeof(float) - 1) == 0;
    });
  }
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALCOLUMN_H
