// RUN: wafer-tblgen -gen-isa -I %S/../../../include %s -o - | FileCheck %s --check-prefix=TABLE
// RUN: wafer-tblgen -gen-pe-ops -I %S/../../../include %s -o - | FileCheck %s --check-prefix=OP
// RUN: wafer-tblgen -gen-isa-doc -I %S/../../../include %s -o - | FileCheck %s --check-prefix=DOC

// One entry is all that an instruction needs: enumerator, table, operation and documentation follow.
include "wafer/Isa/Isa.td"

// TABLE: Twist = 200,
// TABLE: {Opcode::Twist, "twist", InsnClass::Vector, fieldsOfTwist, 3, 6},
// OP: def PE_TwistOp : PE_InstructionOp<"twist">
// OP: custom<ElementType>($type) custom<Register>($dst) (`async` $async^)? attr-dict
// DOC: | `twist` | 200 | f32 f16 | type (8..11), dst (12..17), async (36) | dst = \|dst\| turned |
def TWIST : Insn<"twist", 200, Vector, [Type, Dst, Async], [F32, F16], "dst = |dst| turned">;
