// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// A name becomes a C++ enumerator and a word of the assembler.
include "wafer/Isa/Isa.td"

// CHECK: mnemonic.td:[[@LINE+1]]:{{[0-9]+}}: error: found the name 'fma.x', expected lower-case letters and digits, and not 'none'
def DOTTED : Insn<"fma.x", 200, Control, [], [], "a dot in the name">;
