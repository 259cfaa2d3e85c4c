//===- WaferPhase.cpp - from stream kernels to a machine program -----------===//

#include "wafer/Pipelines/Pipelines.h"

#include "wafer/Conversion/StreamToWafer.h"
#include "wafer/Dialect/Wafer/Transforms/Passes.h"

#include "mlir/Pass/PassManager.h"

using namespace mlir;

void wafer::buildWaferPhase(OpPassManager &pm, const PipelineOptions &) {
  pm.addPass(createConvertStreamToWafer());
  OpPassManager &program = pm.nest<wfr::ProgramOp>();
  program.addPass(wfr::createMergeLoads());
  program.addPass(wfr::createPlaceWafer());
  program.addPass(wfr::createRouteWafer());
  program.addPass(wfr::createAssignColors());
  program.addPass(wfr::createAllocateSram());
}
