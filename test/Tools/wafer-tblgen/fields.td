// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// Two fields of one instruction cannot share a bit.
include "wafer/Isa/Isa.td"

def Wide : Field<"wide", 10, 6, DescriptorKind, "reaches into dst">;
// CHECK: fields.td:[[@LINE+1]]:{{[0-9]+}}: error: fields 'wide' and 'dst' of 'overlapping' overlap
def OVERLAPPING : Insn<"overlapping", 200, Control, [Wide, Dst], [], "two fields share bits">;
