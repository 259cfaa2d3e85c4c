//===- PEOps.td - the pe dialect: one operation per machine instruction ----===//
//
// The operations themselves are generated from Isa.td (PEInstructions.td); here is what they have in common.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_DIALECT_PE_PEOPS_TD
#define WAFER_DIALECT_PE_PEOPS_TD

include "mlir/IR/OpBase.td"

def PE_Dialect : Dialect {
  let name = "pe";
  let cppNamespace = "::wafer::pe";
  let summary = "One operation per machine instruction";
  let description = [{
    Generated from Isa.td: fields are attributes, in the assembler's order. Operations stand in the body of a `wafer.task` and run in order.
    Descriptor templates and data tasks are named by symbol; numbers are given when the executable is written. (pe_c1) Registers exist and
    the type is one that the instruction takes. See docs/spec/isa.md and docs/rationale/pe.md.
  }];
}

def PE_InstructionOpInterface : OpInterface<"InstructionOpInterface"> {
  let cppNamespace = "::wafer::pe";
  let description = "An operation that is one machine instruction.";
  let methods = [
    InterfaceMethod<"The instruction; a symbol's field is 0.", "::wafer::Instruction", "toInstruction", (ins)>,
    InterfaceMethod<"The descriptor or task that the instruction names, or null.", "::mlir::FlatSymbolRefAttr", "getSymbol", (ins)>,
  ];
  let verify = [{ return ::wafer::pe::verifyInstruction($_op); }];
}

/// An integer of exactly this width, so that what is verified is what is encoded.
class PE_IntegerAttr<I attrType, string cppType, string builder, string description> : TypedSignlessIntegerAttrBase<attrType, cppType, description> {
  let constBuilderCall = "$_builder." # builder # "($0)";
}

/// A descriptor register, printed d3.
def PE_Register : PE_IntegerAttr<I8, "uint8_t", "getI8IntegerAttr", "8-bit descriptor register">;

/// A byte offset, printed -64.
def PE_Offset : PE_IntegerAttr<I16, "int16_t", "getI16IntegerAttr", "16-bit byte offset"> {
  let convertFromStorage = "static_cast<int16_t>($_self.getInt())";
}

/// A compute type, printed f16; stored as its encoding in Isa.td.
def PE_TypeAttr : PE_IntegerAttr<I8, "::wafer::ElementType", "getI8IntegerAttr", "8-bit encoding of a compute type"> {
  let convertFromStorage = "static_cast<::wafer::ElementType>($_self.getValue().getZExtValue())";
  let constBuilderCall = "$_builder.getI8IntegerAttr(static_cast<int8_t>($0))";
}

class PE_InstructionOp<string mnemonic> : Op<PE_Dialect, mnemonic, [DeclareOpInterfaceMethods<PE_InstructionOpInterface>]>;

include "wafer/Dialect/PE/PEInstructions.td"

#endif // WAFER_DIALECT_PE_PEOPS_TD
