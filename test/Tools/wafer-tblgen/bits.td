// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// A field lies inside the word and after the opcode.
include "wafer/Isa/Isa.td"

// CHECK: bits.td:[[@LINE+1]]:{{[0-9]+}}: error: field 'late' has 6 bits from bit 60 on, but fields lie in bits 8..63
def Late : Field<"late", 60, 6, DescriptorKind, "ends after the word">;
