//===- PE.h - the pe dialect: one operation per machine instruction ---------===//
//
// The operations are generated from Isa.td; InstructionOpInterface and createInstruction convert between them and wafer::Instruction, so that code
// generation, translation and import need no list of instructions.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_DIALECT_PE_PE_H
#define WAFER_DIALECT_PE_PE_H

#include "wafer/Isa/Isa.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"

namespace wafer::pe {

/// Registers exist and the type is one that the instruction takes (pe_c1). The interface's verifier.
mlir::LogicalResult verifyInstruction(mlir::Operation *op);

} // namespace wafer::pe

#include "wafer/Dialect/PE/PEDialect.h.inc"
#include "wafer/Dialect/PE/PEInterfaces.h.inc"

#define GET_OP_CLASSES
#include "wafer/Dialect/PE/PEOps.h.inc"

namespace wafer::pe {

/// The operation for a legal instruction. `symbol` names what the instruction's template or pc field would number: the template of `ldd`, the task of
/// `bind`; other instructions have none.
mlir::Operation *createInstruction(mlir::OpBuilder &builder, mlir::Location loc, const wafer::Instruction &insn, mlir::FlatSymbolRefAttr symbol = {});

} // namespace wafer::pe

#endif // WAFER_DIALECT_PE_PE_H
