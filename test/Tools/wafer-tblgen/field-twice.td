// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// One name is one member of Instruction.
include "wafer/Isa/Isa.td"

def OtherDst : Field<"dst", 40, 6, DescriptorKind, "elsewhere">;
// CHECK: field-twice.td:[[@LINE+1]]:{{[0-9]+}}: error: 'twice' has two fields 'dst'
def TWICE : Insn<"twice", 200, Control, [Dst, OtherDst], [], "one name for two fields">;
