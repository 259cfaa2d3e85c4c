// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// Opcode 0 is no instruction, and there are eight bits.
include "wafer/Isa/Isa.td"

// CHECK: opcode-range.td:[[@LINE+1]]:{{[0-9]+}}: error: opcode 4294967344 of 'far' is not in 1..255
def FAR : Insn<"far", 4294967344, Control, [], [], "48 in 32 bits">;
