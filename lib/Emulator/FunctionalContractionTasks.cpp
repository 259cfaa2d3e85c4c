//===- FunctionalContractionTasks.cpp - what a command does with a row's sum --===//

#include "FunctionalContractionTasks.h"

namespace wafer {

namespace {

bool isSum(const Instruction &insn) { return insn.opcode == Opcode::Add && insn.type == ElementType::F32; }

/// The other register of an exchange with `reg`.
bool exchanges(const Instruction &insn, uint8_t reg, uint8_t &other) {
  if (insn.opcode != Opcode::Swapd || (insn.dst != reg && insn.src0 != reg))
    return false;
  other = insn.dst == reg ? insn.src0 : insn.dst;
  return other != reg;
}

} // namespace

SumTask readSumTask(const CoreModel &core, uint16_t pc, uint8_t sum, uint8_t rows) {
  constexpr size_t most = 8;
  std::vector<Instruction> code;
  for (uint16_t at = pc; core.at(at).opcode != Opcode::End; ++at) {
    if (code.size() == most)
      return {};
    code.push_back(core.at(at));
  }
  SumTask task;
  task.pc = pc;
  task.sum = sum;
  task.rows = rows;
  task.instructions = static_cast<unsigned>(code.size() + 1);
  if (code.size() == 1 && exchanges(code[0], rows, task.otherRows)) {
    task.kind = SumTask::Exchange;
    return task;
  }
  if (code.size() < 2 || !isSum(code[0]) || code[0].src1 != sum || !code[0].clear1)
    return {};
  task.in = code[0].src0;
  if (code.size() == 2) {
    task.out = code[0].dst;
    task.vectors = 1;
    if (exchanges(code[1], sum, task.otherSum))
      task.kind = SumTask::Pass;
    return task;
  }
  task.total = code[0].dst;
  if (code.size() < 5 || !isSum(code[1]) || code[1].clear1 || code[1].src0 != task.total || code[2].opcode != Opcode::Addd || code[2].dst != code[1].dst)
    return {};
  task.result = code[1].dst;
  task.secondIn = code[1].src1;
  task.step = code[2].offset;
  task.vectors = 2;
  if (!exchanges(code[3], sum, task.otherSum) || !exchanges(code[4], task.total, task.otherTotal))
    return {};
  task.exchangesRows = code.size() == 6;
  if (code.size() > 6 || (task.exchangesRows && !exchanges(code[5], rows, task.otherRows)))
    return {};
  task.kind = SumTask::Own;
  return task;
}

} // namespace wafer
