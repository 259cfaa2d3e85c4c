//===- StreamPhase.cpp - from placed layers to laid-out kernels ------------===//

#include "wafer/Conversion/GraphToStream.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"
#include "wafer/Dialect/Stream/Transforms/Passes.h"
#include "wafer/Pipelines/Pipelines.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void wafer::buildStreamPhase(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(graph::createExpandLayers());
  pm.addPass(createConvertGraphToStream({options.machine}));
  OpPassManager &program = pm.nest<stream::ProgramOp>();
  // Bodies are merged in f32 and narrowed at their edges afterwards, so that a chain of maps rounds once.
  program.addPass(stream::createFuseMaps());
  program.addPass(stream::createSetPrecision({options.precision}));
  // A comparison of a converted integer stays one of numbers: integers have none on the machine.
  program.addPass(createCanonicalizerPass({}, /*disabledPatterns=*/{"CmpFIntToFPConst"}));
  program.addPass(stream::createFindZeros({options.activationZeros}));
  program.addPass(stream::createChooseWireFormat());
  program.addPass(stream::createAssignLayout({options.decisionTrace, options.choicesOnly, options.traceWithin}));
  program.addPass(stream::createMaskOutputs({options.activationZeros}));
}
