//===- PE.cpp - the pe dialect ----------------------------------------------===//

#include "wafer/Dialect/PE/PE.h"

using namespace mlir;

namespace wafer::pe {

LogicalResult verifyInstruction(Operation *op) {
  // pe_c1
  std::string problem = validate(cast<InstructionOpInterface>(op).toInstruction());
  return problem.empty() ? success() : LogicalResult(op->emitOpError(problem));
}

/// d3
static ParseResult parseRegister(OpAsmParser &parser, IntegerAttr &reg) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  unsigned number;
  if (parser.parseKeyword(&keyword))
    return failure();
  if (!keyword.consume_front("d") || keyword.getAsInteger(10, number) || number >= numDescriptorRegisters)
    return parser.emitError(loc) << "expected a descriptor register d0..d" << numDescriptorRegisters - 1;
  reg = parser.getBuilder().getI8IntegerAttr(static_cast<int8_t>(number));
  return success();
}

static void printRegister(OpAsmPrinter &printer, Operation *, IntegerAttr reg) { printer << 'd' << reg.getInt(); }

static ParseResult parseElementType(OpAsmParser &parser, IntegerAttr &type) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  std::optional<ElementType> known = parseType(std::string_view(keyword.data(), keyword.size()));
  if (!known)
    return parser.emitError(loc) << "'" << keyword << "' is not a machine type";
  type = parser.getBuilder().getI8IntegerAttr(static_cast<int8_t>(*known));
  return success();
}

static void printElementType(OpAsmPrinter &printer, Operation *, IntegerAttr type) {
  std::string_view name = typeName(static_cast<ElementType>(type.getInt()));
  printer << StringRef(name.data(), name.size());
}

Operation *createInstruction(OpBuilder &builder, Location loc, const wafer::Instruction &insn, FlatSymbolRefAttr symbol) {
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
