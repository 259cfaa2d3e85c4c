// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// A type field without legal types would refuse everything.
include "wafer/Isa/Isa.td"

// CHECK: type-list.td:[[@LINE+1]]:{{[0-9]+}}: error: 'untyped' needs a type field and a list of types, or neither
def UNTYPED : Insn<"untyped", 200, Vector, [Type, Dst], [], "no types">;
