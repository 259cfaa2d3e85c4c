// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// The kind decides how a field is printed, parsed and checked, so there is none that the tool does not know.
include "wafer/Isa/Isa.td"

def LaneKind : FieldKind<"lane", "no such kind">;
// CHECK: kind.td:[[@LINE+1]]:{{[0-9]+}}: error: field 'lane' has kind 'lane', which wafer-tblgen does not know
def Lane : Field<"lane", 40, 6, LaneKind, "a lane">;
