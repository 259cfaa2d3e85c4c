// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

include "wafer/Isa/Isa.td"

// CHECK: bits.td:[[@LINE+1]]:{{[0-9]+}}: error: field 'late' takes bits 60..65, but fields lie in bits 8..63
def Late : Field<"late", 60, 6, SignedKind, "ends after the word">;
def LATE : Insn<"late", 200, Control, [Late], [], "a field past the end">;
