// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// Two instructions with one opcode cannot be told apart.
include "wafer/Isa/Isa.td"

// CHECK: overlap.td:[[@LINE+1]]:{{[0-9]+}}: error: 'again' has opcode 48, which is taken
def AGAIN : Insn<"again", 48, Control, [], [], "a second instruction 48">;
// CHECK: note: by 'add'
