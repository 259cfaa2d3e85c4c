//===- PE.h - the pe dialect: one operation per machine instruction ---------===//

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

/// (pe_c1)
mlir::LogicalResult verifyInstruction(mlir::Operation *op);

} // namespace wafer::pe

#include "wafer/Dialect/PE/PEDialect.h.inc"
#include "wafer/Dialect/PE/PEInterfaces.h.inc"

#define GET_OP_CLASSES
#include "wafer/Dialect/PE/PEOps.h.inc"

namespace wafer::pe {

/// The operation for an instruction; `symbol` names the template of `ldd` or the task of `bind`.
mlir::Operation *createInstruction(mlir::OpBuilder &builder, mlir::Location loc, const wafer::Instruction &insn, mlir::FlatSymbolRefAttr symbol = {});

} // namespace wafer::pe

#endif // WAFER_DIALECT_PE_PE_H
