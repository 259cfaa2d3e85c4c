// RUN: not wafer-tblgen -gen-isa -I %S/../../../include %s -o - 2>&1 | FileCheck %s

// Two types with one encoding cannot be told apart.
include "wafer/Isa/Isa.td"

// CHECK: error: type '{{f32|f8}}' has encoding 1, which is taken
// CHECK: note: by '{{f32|f8}}'
def F8 : IsaType<"f8", 1, 1>;
