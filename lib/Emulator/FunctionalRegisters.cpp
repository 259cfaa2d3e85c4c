//===- FunctionalRegisters.cpp - descriptor registers of cores in step -------===//

#include "FunctionalRegisters.h"

namespace wafer {

void FunctionalRegisters::refresh(unsigned reg) {
  if (!(stale_ & bit(reg)))
    return;
  for (size_t i = 1; i < cores_.size(); ++i)
    cores_[i]->model.copyRegister(cores_[0]->model, reg);
  stale_ &= ~bit(reg);
}

void FunctionalRegisters::part() {
  for (unsigned reg = 0; reg < numDescriptorRegisters; ++reg)
    refresh(reg);
  join();
}

void FunctionalRegisters::note(unsigned reg, bool isUniform) {
  known_ |= bit(reg);
  uniform_ = isUniform ? uniform_ | bit(reg) : uniform_ & ~bit(reg);
  stale_ = isUniform ? stale_ | bit(reg) : stale_ & ~bit(reg);
}

bool FunctionalRegisters::isUniform(unsigned reg) {
  if (known_ & bit(reg))
    return uniform_ & bit(reg);
  const Descriptor *first = cores_[0]->model.descriptorIn(reg);
  bool same = true;
  for (const FunctionalCore *core : cores_) {
    const Descriptor *other = core->model.descriptorIn(reg);
    same = same && (first && other ? sameDescriptor(*first, *other) : first == other);
  }
  known_ |= bit(reg);
  if (same)
    uniform_ |= bit(reg);
  return same;
}

bool FunctionalRegisters::isTemplateUniform(unsigned index) {
  if (templateUniform_.size() <= index)
    templateUniform_.resize(index + 1, -1);
  if (templateUniform_[index] < 0) {
    const Descriptor first = program_.descriptorAt(cores_[0]->model.x, cores_[0]->model.y, index);
    templateUniform_[index] = std::all_of(cores_.begin(), cores_.end(), [&](const FunctionalCore *core) {
      return sameDescriptor(first, program_.descriptorAt(core->model.x, core->model.y, index));
    });
  }
  return templateUniform_[index];
}

void FunctionalRegisters::control(const Instruction &insn, uint16_t pc) {
  auto onAll = [&] {
    for (FunctionalCore *core : cores_)
      core->model.control(insn, pc);
  };
  switch (insn.opcode) {
  case Opcode::Ldd:
    if (isTemplateUniform(insn.descriptorTemplate)) {
      cores_[0]->model.control(insn, pc);
      note(insn.dst, true);
    } else {
      onAll();
      note(insn.dst, false);
    }
    return;
  case Opcode::Swapd: {
    const bool first = isUniform(insn.dst), second = isUniform(insn.src0);
    if (first && second) {
      cores_[0]->model.control(insn, pc);
      note(insn.dst, true);
      note(insn.src0, true);
      return;
    }
    refresh(insn.dst);
    refresh(insn.src0);
    onAll();
    known_ &= ~(bit(insn.dst) | bit(insn.src0));
    uniform_ &= ~(bit(insn.dst) | bit(insn.src0));
    return;
  }
  case Opcode::Addd:
    if (isUniform(insn.dst)) {
      cores_[0]->model.control(insn, pc);
      note(insn.dst, true);
    } else {
      onAll();
    }
    return;
  default: // bind: every core gets the first one's when they part
    cores_[0]->model.control(insn, pc);
  }
}

} // namespace wafer
