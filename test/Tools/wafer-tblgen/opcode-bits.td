// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// The opcode's bits are nobody else's.
include "wafer/Isa/Isa.td"

// CHECK: opcode-bits.td:[[@LINE+1]]:{{[0-9]+}}: error: field 'early' has 6 bits from bit 4 on, but fields lie in bits 8..63
def Early : Field<"early", 4, 6, DescriptorKind, "begins in the opcode">;
