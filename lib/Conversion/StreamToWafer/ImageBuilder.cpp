//===- ImageBuilder.cpp - writes an image: buffers, descriptors, tasks ------===//

#include "ImageBuilder.h"

#include "wafer/Dialect/PE/PE.h"

#include "llvm/Support/raw_ostream.h"

#include <cassert>
#include <cstring>

using namespace mlir;

namespace wafer {

ImageBuilder::ImageBuilder(wfr::ImageOp image) : image_(image), builder_(OpBuilder::atBlockEnd(&image.getBody().front())) {}

std::string ImageBuilder::uniqueName(StringRef hint) {
  std::string name = hint.str();
  // A hint may itself look like a numbered name, so that counting its uses is not enough.
  while (!names_.insert(name).second)
    name = (hint + "_" + Twine(++nameUses_[hint])).str();
  return name;
}

FlatSymbolRefAttr ImageBuilder::buffer(Location loc, StringRef hint, int64_t bytes, LiveRange live, bool inAccumulator) {
  return declareBuffer(loc, uniqueName(hint), bytes, live, inAccumulator, /*isKept=*/false);
}

FlatSymbolRefAttr ImageBuilder::keptBuffer(Location loc, StringRef name, int64_t bytes, LiveRange live) {
  names_.insert(name);
  return declareBuffer(loc, name, bytes, live, /*inAccumulator=*/false, /*isKept=*/true);
}

FlatSymbolRefAttr ImageBuilder::declareBuffer(Location loc, StringRef name, int64_t bytes, LiveRange live, bool inAccumulator, bool isKept) {
  OpBuilder::InsertionGuard guard(builder_);
  if (lastDeclaration_)
    builder_.setInsertionPointAfter(lastDeclaration_);
  else
    builder_.setInsertionPointToStart(&image_.getBody().front());
  lastDeclaration_ = wfr::BufferOp::create(builder_, loc, name, bytes, live.first, live.last, inAccumulator, isKept, /*address=*/IntegerAttr());
  return FlatSymbolRefAttr::get(builder_.getContext(), name);
}

FlatSymbolRefAttr ImageBuilder::descriptor(StringRef hint, wfr::DescriptorKind kind, Type type, FlatSymbolRefAttr on, std::optional<int64_t> offset,
                                           std::optional<Extents> extents, std::optional<Extents> strides, std::optional<int64_t> value,
                                           wfr::PerCoreAttr perCore) {
  // Two equal templates would only cost SRAM.
  std::string key;
  llvm::raw_string_ostream os(key);
  os << static_cast<int>(kind) << '|' << type << '|' << on << '|' << offset.value_or(-1) << '|' << value.value_or(-1) << '|' << perCore;
  for (const std::optional<Extents> &list : {extents, strides})
    if (list)
      for (int64_t n : *list)
        os << ',' << n;
  FlatSymbolRefAttr &known = written_[key];
  if (known)
    return known;

  std::string name = uniqueName(hint);
  OpBuilder::InsertionGuard guard(builder_);
  if (lastDeclaration_)
    builder_.setInsertionPointAfter(lastDeclaration_);
  else
    builder_.setInsertionPointToStart(&image_.getBody().front());
  auto integer = [&](std::optional<int64_t> n) { return n ? builder_.getI64IntegerAttr(*n) : IntegerAttr(); };
  auto list = [&](const std::optional<Extents> &n) { return n ? builder_.getDenseI64ArrayAttr(*n) : DenseI64ArrayAttr(); };
  lastDeclaration_ = wfr::DescriptorOp::create(builder_, image_.getLoc(), builder_.getStringAttr(name),
                                               wfr::DescriptorKindAttr::get(builder_.getContext(), kind), TypeAttr::get(type), on, integer(offset), list(extents),
                                               list(strides), integer(value), perCore);
  known = FlatSymbolRefAttr::get(builder_.getContext(), name);
  return known;
}

FlatSymbolRefAttr ImageBuilder::memory(StringRef hint, Type type, FlatSymbolRefAttr buffer, Extents extents, Extents strides, wfr::PerCoreAttr perCore,
                                       bool inAccumulator) {
  auto kind = inAccumulator ? wfr::DescriptorKind::Acc : wfr::DescriptorKind::Mem;
  return descriptor(hint, kind, type, buffer, 0, extents, strides, std::nullopt, perCore);
}

FlatSymbolRefAttr ImageBuilder::memoryAt(int64_t offset, StringRef hint, Type type, FlatSymbolRefAttr buffer, Extents extents, Extents strides) {
  return descriptor(hint, wfr::DescriptorKind::Mem, type, buffer, offset, extents, strides, std::nullopt, {});
}

FlatSymbolRefAttr ImageBuilder::receive(StringRef hint, Type type, StringRef channel, Extents extents, wfr::PerCoreAttr perCore,
                                        std::optional<uint32_t> valueWithoutSender) {
  usedChannels_.insert(channel);
  std::optional<int64_t> value;
  if (valueWithoutSender)
    value = *valueWithoutSender;
  return descriptor(hint, wfr::DescriptorKind::Receive, type, FlatSymbolRefAttr::get(builder_.getContext(), channel), std::nullopt, extents, std::nullopt, value,
                    perCore);
}

FlatSymbolRefAttr ImageBuilder::send(StringRef hint, Type type, StringRef channel, Extents extents, wfr::PerCoreAttr perCore) {
  usedChannels_.insert(channel);
  return descriptor(hint, wfr::DescriptorKind::Send, type, FlatSymbolRefAttr::get(builder_.getContext(), channel), std::nullopt, extents, std::nullopt,
                    std::nullopt, perCore);
}

FlatSymbolRefAttr ImageBuilder::constant(StringRef hint, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return descriptor(hint, wfr::DescriptorKind::Const, builder_.getF32Type(), {}, std::nullopt, std::nullopt, std::nullopt, bits, {});
}

FlatSymbolRefAttr ImageBuilder::rowNumber() {
  return descriptor("row_number", wfr::DescriptorKind::Const, builder_.getI32Type(), {}, std::nullopt, std::nullopt, std::nullopt, 0, perCore(wfr::PerCoreKind::RowNumber, 0));
}

wfr::PerCoreAttr ImageBuilder::perCore(wfr::PerCoreKind kind, int64_t dimension, int64_t features) {
  return wfr::PerCoreAttr::get(builder_.getContext(), kind, dimension, features);
}

SymbolRefAttr ImageBuilder::taskRef(StringRef task) {
  return SymbolRefAttr::get(image_.getSymNameAttr(), {FlatSymbolRefAttr::get(image_.getContext(), task)});
}

TaskBuilder::TaskBuilder(ImageBuilder &image, Location loc, StringRef hint, wfr::TaskKind kind)
    : image_(image), loc_(loc), builder_(image.builder_.getContext()) {
  task_ = wfr::TaskOp::create(image.builder_, loc, image.uniqueName(hint), kind, /*number=*/0);
  key_ = stringifyTaskKind(kind).str();
  builder_.setInsertionPointToStart(&task_.getBody().emplaceBlock());
}

TaskBuilder &TaskBuilder::emit(const Instruction &insn, FlatSymbolRefAttr symbol) {
  pe::createInstruction(builder_, loc_, insn, symbol);
  llvm::raw_string_ostream(key_) << '|' << encode(insn) << symbol;
  return *this;
}

TaskBuilder &TaskBuilder::load(uint8_t reg, FlatSymbolRefAttr descriptor) {
  Instruction insn;
  insn.opcode = Opcode::Ldd;
  insn.dst = reg;
  return emit(insn, descriptor);
}

TaskBuilder &TaskBuilder::bind(FlatSymbolRefAttr dataTask) {
  Instruction insn;
  insn.opcode = Opcode::Bind;
  return emit(insn, dataTask);
}

TaskBuilder &TaskBuilder::swap(uint8_t a, uint8_t b) {
  Instruction insn;
  insn.opcode = Opcode::Swapd;
  insn.dst = a;
  insn.src0 = b;
  return emit(insn);
}

TaskBuilder &TaskBuilder::advance(uint8_t reg, int64_t bytes) {
  // The offset is a signed 16-bit field; SRAM is larger than that, rows rarely are.
  while (bytes != 0) {
    const int64_t step = std::clamp<int64_t>(bytes, INT16_MIN + 8, INT16_MAX - 7);
    Instruction insn;
    insn.opcode = Opcode::Addd;
    insn.dst = reg;
    insn.offset = static_cast<int16_t>(step);
    emit(insn);
    bytes -= step;
  }
  return *this;
}

FlatSymbolRefAttr TaskBuilder::symbol() { return FlatSymbolRefAttr::get(task_.getSymNameAttr()); }

SymbolRefAttr TaskBuilder::finish() {
  Instruction insn;
  insn.opcode = Opcode::End;
  emit(insn);
  wfr::TaskOp &known = image_.tasks_[key_];
  if (known) {
    // Of two equal tasks one would only take a number, of which a machine has few. The one that stays keeps the source line of its first kernel.
    image_.names_.erase(task_.getSymName());
    task_.erase();
    task_ = known;
  } else {
    known = task_;
    if (task_.getKind() == wfr::TaskKind::Control)
      task_.setNumber(image_.nextControlTask_++);
  }
  return image_.taskRef(task_.getSymName());
}

Instruction vectorInsn(Opcode opcode, ElementType type, uint8_t dst, uint8_t src0, uint8_t src1, uint8_t src2) {
  Instruction insn;
  insn.opcode = opcode;
  insn.type = type;
  insn.dst = dst;
  insn.src0 = src0;
  insn.src1 = src1;
  insn.src2 = src2;
  return insn;
}

Instruction asAsync(Instruction insn) {
  insn.async = true;
  return insn;
}

Instruction clearing(Instruction insn) {
  insn.clear1 = true;
  return insn;
}

ElementType elementTypeOf(Type type) {
  if (type.isF32())
    return ElementType::F32;
  if (type.isF16())
    return ElementType::F16;
  if (type.isBF16())
    return ElementType::BF16;
  if (type.isInteger(32))
    return ElementType::I32;
  if (type.isInteger(16))
    return ElementType::I16;
  if (type.isInteger(8))
    return ElementType::I8;
  return ElementType::None;
}

} // namespace wafer
