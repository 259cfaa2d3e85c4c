//===- FunctionalRegisters.h - descriptor registers of cores in step ---------===//
//
// Cores of a batch that run in step mostly hold the same descriptors. Those are kept in the first core's registers alone until the cores part.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EMULATOR_FUNCTIONALREGISTERS_H
#define WAFER_LIB_EMULATOR_FUNCTIONALREGISTERS_H

#include "FunctionalCore.h"

namespace wafer {

inline bool sameDescriptor(const Descriptor &a, const Descriptor &b) {
  return a.base == b.base && a.kind == b.kind && a.type == b.type && a.colour == b.colour && a.imm == b.imm &&
         std::equal(a.extent, a.extent + 4, b.extent) && std::equal(a.stride, a.stride + 4, b.stride);
}

class FunctionalRegisters {
public:
  FunctionalRegisters(const LoadedProgram &program, const std::vector<FunctionalCore *> &cores) : program_(program), cores_(cores) {}

  /// The cores are in step from here on; each has its own registers.
  void join() { known_ = uniform_ = stale_ = 0; }
  /// Gives every core its registers.
  void part();
  /// Whether all cores hold the same in a register, the first core's.
  bool isUniform(unsigned reg);
  /// ldd, swapd, addd, bind on all cores.
  void control(const Instruction &insn, uint16_t pc);

private:
  using RegisterMask = uint64_t;
  static_assert(numDescriptorRegisters <= 64);
  static RegisterMask bit(unsigned reg) { return RegisterMask(1) << reg; }
  bool isTemplateUniform(unsigned index);
  void refresh(unsigned reg);
  void note(unsigned reg, bool isUniform);

  const LoadedProgram &program_;
  const std::vector<FunctionalCore *> &cores_;
  RegisterMask known_ = 0, uniform_ = 0;
  RegisterMask stale_ = 0; ///< uniform, and only the first core has it
  std::vector<signed char> templateUniform_; ///< by template: -1 not known yet
};

} // namespace wafer

#endif // WAFER_LIB_EMULATOR_FUNCTIONALREGISTERS_H
