//===- VerifyImages.cpp - code, tasks, buffers and templates --------------===//

#include "Verify.h"

#include <set>

namespace wafer {

namespace {

std::string imageName(const VerifyContext &context, size_t image) {
  return entryName("images", image, context.program.images[image]->name);
}

/// Code and templates fit, so every later index of them is small.
void verifyMemory(const VerifyContext &context, const wexe::ImageT &image, const std::string &where) {
  uint64_t bytes = uint64_t(image.code.size()) * 8 + uint64_t(image.descriptors.size()) * 32;
  if (bytes > context.machine.sramBytes)
    refuse(where,
           "needs " + std::to_string(bytes) + " bytes for " + std::to_string(image.code.size()) + " instructions and " +
               std::to_string(image.descriptors.size()) + " descriptor templates, but a core has " +
               std::to_string(context.machine.sramBytes),
           "exe_c5");
  for (size_t i = 0; i < image.buffers.size(); ++i) {
    const wexe::BufferT &buffer = *image.buffers[i];
    uint32_t least = buffer.acc ? 0 : dataBegin(image), most = buffer.acc ? context.machine.accumulatorBytes : context.machine.sramBytes;
    if (buffer.base < least || uint32_t(buffer.base) + buffer.bytes > most)
      refuse(where + " buffer " + quoted(buffer.name),
             "takes bytes " + std::to_string(buffer.base) + " to " + std::to_string(buffer.base + buffer.bytes) + " of " +
                 (buffer.acc ? "the accumulator cache" : "SRAM") + ", expected " + std::to_string(least) + " to " + std::to_string(most),
             "exe_c5");
  }
}

std::vector<Instruction> decodeCode(const wexe::ImageT &image, const std::string &where) {
  std::vector<Instruction> code;
  code.reserve(image.code.size());
  for (size_t pc = 0; pc < image.code.size(); ++pc) {
    std::string place = where + " instruction @" + std::to_string(pc);
    try {
      code.push_back(decode(image.code[pc]));
    } catch (const IsaError &error) {
      refuse(place, error.what(), "exe_c4");
    }
    const Instruction &insn = code.back();
    if (insn.opcode == Opcode::Ldd && insn.descriptorTemplate >= image.descriptors.size())
      refuse(place, "'" + print(insn) + "' names a template that is not there, the image has " + std::to_string(image.descriptors.size()),
             "exe_c4");
  }
  return code;
}

void verifyTasks(const VerifyContext &context, const wexe::ImageT &image, const std::vector<Instruction> &code, const std::string &where) {
  std::set<uint16_t> numbers, dataEntries;
  std::vector<bool> isDataBody(code.size());
  // Tasks may share a tail, so whether the line of each reaches `end` is a question to the last `end` alone.
  size_t afterLastEnd = code.size();
  while (afterLastEnd > 0 && code[afterLastEnd - 1].opcode != Opcode::End)
    --afterLastEnd;

  for (const auto &task : image.tasks) {
    std::string place = where + " task " + quoted(task->name);
    if (task->kind != wexe::TaskKind::Control && task->kind != wexe::TaskKind::Data)
      refuse(place, "has unknown kind " + std::to_string(unsigned(task->kind)), "exe_c4");
    if (task->pc >= code.size())
      refuse(place, "begins at @" + std::to_string(task->pc) + ", but the code has " + std::to_string(code.size()) + " instructions",
             "task_c3");
    if (task->pc >= afterLastEnd)
      refuse(place, "runs off the end of the code, expected an 'end' at or after @" + std::to_string(task->pc), "task_c3");
    if (task->kind == wexe::TaskKind::Control) {
      if (!numbers.insert(task->number).second)
        refuse(place, "has number " + std::to_string(task->number) + ", which an earlier control task of the image has", "exe_c6");
      continue;
    }
    if (task->number != 0)
      refuse(place, "is a data task with number " + std::to_string(task->number) + ", expected 0", "exe_c6");
    if (insnClass(code[task->pc].opcode) != InsnClass::Trigger || code[task->pc + 1].opcode != Opcode::End)
      refuse(place, "is a data task that begins with '" + print(code[task->pc]) + "', expected one fmacw, fmacp, fmacd, fmacq, fmacx, dotw or addw, then 'end'",
             "task_c4");
    isDataBody[task->pc] = true;
    dataEntries.insert(task->pc);
  }
  if (image.start < -1 || (image.start >= 0 && !numbers.count(static_cast<uint16_t>(image.start))) || image.start > 0xffff)
    refuse(where, "starts with control task " + std::to_string(image.start) + ", but has no such task", "task_c6");
  if (numbers.size() > context.machine.controlTasks)
    refuse(where,
           "has " + std::to_string(numbers.size()) + " control tasks, but the machine has room for " +
               std::to_string(context.machine.controlTasks),
           "task_c5");

  for (size_t pc = 0; pc < code.size(); ++pc) {
    std::string place = where + " instruction @" + std::to_string(pc) + " '" + print(code[pc]) + "'";
    if (insnClass(code[pc].opcode) == InsnClass::Trigger && !isDataBody[pc])
      refuse(place, "is not the first instruction of a data task", "task_c4");
    if (code[pc].opcode == Opcode::Bind && !dataEntries.count(code[pc].pc))
      refuse(place, "binds @" + std::to_string(code[pc].pc) + ", where no data task begins", "task_c4");
  }
  // A control task that runs into a data task's body would execute a trigger instruction without a wavelet.
  for (const auto &task : image.tasks)
    if (task->kind == wexe::TaskKind::Control)
      for (size_t pc = task->pc; code[pc].opcode != Opcode::End; ++pc)
        if (isDataBody[pc])
          refuse(where + " task " + quoted(task->name), "is a control task that runs into the data task at @" + std::to_string(pc),
                 "task_c4");
}

void verifyLocations(const wexe::ImageT &image, const std::string &where) {
  int previous = -1;
  for (size_t i = 0; i < image.locations.size(); ++i) {
    int pc = image.locations[i]->pc;
    if (pc <= previous || size_t(pc) >= image.code.size())
      refuse(where + " location " + std::to_string(i),
             "is for @" + std::to_string(pc) + ", expected more than the one before and less than " + std::to_string(image.code.size()),
             "exe_c4");
    previous = pc;
  }
}

} // namespace

RegionDescriptor plainDescriptor(const wexe::DescriptorT &source) {
  RegionDescriptor result;
  result.kind = source.kind;
  result.type = source.type;
  result.colour = source.colour;
  result.base.base = source.base;
  result.imm.base = source.imm;
  for (unsigned d = 0; d < 4; ++d) {
    result.extent[d].base = source.extents.empty() ? 1 : source.extents[d];
    result.stride[d] = source.strides.empty() ? 0 : source.strides[d];
  }
  return result;
}

void verifyDescriptorShape(const VerifyContext &context, const wexe::DescriptorT &source, wexe::DescKind kind, unsigned colour,
                           const std::string &where) {
  if (unsigned(kind) > unsigned(wexe::DescKind::Const))
    refuse(where, "has unknown kind " + std::to_string(unsigned(kind)), "exe_c4");
  if (source.type == wexe::ElemType::None || unsigned(source.type) > unsigned(wexe::ElemType::I8))
    refuse(where, "has unknown type " + std::to_string(unsigned(source.type)), "exe_c4");
  bool fabric = kind == wexe::DescKind::FabIn || kind == wexe::DescKind::FabOut;
  size_t extents = source.extents.size(), strides = source.strides.size();
  if (extents != 4 && (extents != 0 || kind != wexe::DescKind::Const))
    refuse(where, "has " + std::to_string(extents) + " extents, expected 4", "exe_c8");
  if (strides != 4 && (strides != 0 || isMemory(kind)))
    refuse(where, "has " + std::to_string(strides) + " strides, expected 4", "exe_c8");
  if (kind == wexe::DescKind::Const && source.type != wexe::ElemType::F32 && source.type != wexe::ElemType::I32)
    refuse(where, "is a constant of a type other than f32 and i32", "exe_c8");
  if (fabric && elementBytes(source.type) == 1)
    refuse(where, "sends or receives 8-bit elements, expected 16 or 32 bits", "exe_c8");
  if (fabric && colour >= context.machine.colours)
    refuse(where,
           "names colour " + std::to_string(colour) + ", expected less than the machine's " + std::to_string(context.machine.colours),
           "route_c4");
}

void verifyImages(VerifyContext &context) {
  const auto &images = context.program.images;
  if (images.size() > 0xffff)
    refuse("section 'images'", "has " + std::to_string(images.size()) + " entries, expected at most 65535", "exe_c4");
  for (size_t i = 0; i < images.size(); ++i) {
    const wexe::ImageT &image = *images[i];
    std::string where = imageName(context, i);
    if (image.command_colour >= context.machine.colours)
      refuse(where,
             "has command colour " + std::to_string(image.command_colour) + ", expected less than the machine's " +
                 std::to_string(context.machine.colours),
             "route_c4");
    verifyMemory(context, image, where);
    std::vector<Instruction> code = decodeCode(image, where);
    verifyTasks(context, image, code, where);
    verifyLocations(image, where);
    context.code.push_back(std::move(code));
    for (size_t d = 0; d < image.descriptors.size(); ++d)
      verifyDescriptorShape(context, *image.descriptors[d], image.descriptors[d]->kind, image.descriptors[d]->colour,
                            where + " descriptor " + std::to_string(d) + " (" + quoted(image.descriptors[d]->name) + ")");
  }
}

} // namespace wafer
