//===- PE.cpp - the pe dialect ----------------------------------------------===//

#include "wafer/Dialect/PE/PE.h"

using namespace mlir;

namespace wafer::pe {

LogicalResult verifyInstruction(Operation *op) {
  // pe_c1
  std::string problem = validate(cast<InstructionOpInterface>(op).toInstruction());
  return problem.empty() ? success() : LogicalResult(op->emitOpError(problem));
}

/// An error at `loc`: what stands there, if it is a word, and what was expected.
static ParseResult unexpected(OpAsmParser &parser, SMLoc loc, StringRef found, const Twine &expected) {
  if (found.empty())
    return parser.emitError(loc) << "expected " << expected;
  return parser.emitError(loc) << "found '" << found << "', expected " << expected;
}

/// d3
static ParseResult parseRegister(OpAsmParser &parser, IntegerAttr &reg) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  (void)parser.parseOptionalKeyword(&word);
  StringRef digits = word;
  unsigned number;
  if (!digits.consume_front("d") || digits.getAsInteger(10, number) || number >= numDescriptorRegisters)
    return unexpected(parser, loc, word, "a descriptor register d0..d" + Twine(numDescriptorRegisters - 1));
  reg = parser.getBuilder().getI8IntegerAttr(static_cast<int8_t>(number));
  return success();
}

static void printRegister(OpAsmPrinter &printer, Operation *, IntegerAttr reg) { printer << 'd' << reg.getValue().getZExtValue(); }

static ParseResult parseElementType(OpAsmParser &parser, IntegerAttr &type) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  (void)parser.parseOptionalKeyword(&word);
  std::optional<ElementType> known = parseType(std::string_view(word.data(), word.size()));
  if (!known)
    return unexpected(parser, loc, word, "a compute type such as f32");
  type = parser.getBuilder().getI8IntegerAttr(static_cast<int8_t>(*known));
  return success();
}

static void printElementType(OpAsmPrinter &printer, Operation *, IntegerAttr type) {
  std::string_view name = typeName(static_cast<ElementType>(type.getInt()));
  printer << StringRef(name.data(), name.size());
}

/// -64
static ParseResult parseOffset(OpAsmParser &parser, IntegerAttr &offset) {
  SMLoc loc = parser.getCurrentLocation();
  int64_t bytes;
  if (parser.parseInteger(bytes))
    return failure();
  if (bytes < INT16_MIN || bytes > INT16_MAX)
    return unexpected(parser, loc, std::to_string(bytes), "a byte offset in " + Twine(INT16_MIN) + ".." + Twine(INT16_MAX));
  offset = parser.getBuilder().getI16IntegerAttr(static_cast<int16_t>(bytes));
  return success();
}

static void printOffset(OpAsmPrinter &printer, Operation *, IntegerAttr offset) { printer << offset.getInt(); }

Operation *createInstruction(OpBuilder &builder, Location loc, const wafer::Instruction &insn, FlatSymbolRefAttr symbol) {
  assert(validate(insn).empty() && "the instruction is legal");
  switch (insn.opcode) {
#include "wafer/Dialect/PE/PEBuilders.inc"
  case Opcode::None:
    break;
  }
  llvm_unreachable("an instruction has an opcode");
}

void PEDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "wafer/Dialect/PE/PEOps.cpp.inc"
      >();
}

} // namespace wafer::pe

#include "wafer/Dialect/PE/PEDialect.cpp.inc"
#include "wafer/Dialect/PE/PEInterfaces.cpp.inc"

#define GET_OP_CLASSES
#include "wafer/Dialect/PE/PEOps.cpp.inc"
