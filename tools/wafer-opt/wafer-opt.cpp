//===- wafer-opt.cpp - run passes and pipelines on MLIR text ----------------===//

#include "wafer/RegisterAll.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  wafer::registerAllDialects(registry);
  wafer::registerAllPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "wafer-opt: passes and pipelines of the Wafer compiler\n", registry));
}
