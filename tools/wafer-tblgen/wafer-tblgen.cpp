//===- wafer-tblgen.cpp - generate from Isa.td ------------------------------===//
//
// The generators register themselves in IsaTables.cpp, PEOps.cpp and IsaDoc.cpp.
//
//===----------------------------------------------------------------------===//

#include "mlir/Tools/mlir-tblgen/MlirTblgenMain.h"

int main(int argc, char **argv) { return mlir::MlirTblgenMain(argc, argv); }
