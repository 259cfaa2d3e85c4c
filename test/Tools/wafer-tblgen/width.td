// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// A field that is wider or narrower than the member of Instruction would lose bits.
include "wafer/Isa/Isa.td"

// CHECK: width.td:[[@LINE+1]]:{{[0-9]+}}: error: field 'offset' of kind 'signed' has 12 bits, expected 16..16
def ShortOffset : Field<"offset", 40, 12, SignedKind, "too narrow">;
