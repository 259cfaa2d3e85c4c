//===- GraphPhase.cpp - from linalg to placed layers -----------------------===//

#include "wafer/Dialect/Graph/Transforms/Passes.h"
#include "wafer/Pipelines/Pipelines.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void wafer::buildGraphPhase(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(graph::createReadEncodings());
  function.addPass(graph::createLowerTosa());
  function.addPass(createConvertElementwiseToLinalgPass());
  function.addPass(createCanonicalizerPass());
  function.addPass(createCSEPass());
  function.addPass(graph::createSampleGradients({options.machine}));
  function.addPass(graph::createSplitReductions());
  function.addPass(graph::createNormalizeContractions());
  function.addPass(graph::createSinkTransposes());
  function.addPass(createCSEPass());
  function.addPass(graph::createFormLayers());
  // Of mixed precisions the widest.
  const bool isWide = options.precision.find("f32") != std::string::npos;
  function.addPass(graph::createPartition({/*onlyMemoryX=*/false, options.machine, isWide ? 4u : 2u}));
  function.addPass(graph::createAdvanceLayers());
  pm.addPass(graph::createShareLayers());
}

void wafer::buildMemoryXPipeline(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(createInlinerPass());
  pm.addPass(createSymbolDCEPass());
  pm.addPass(graph::createExpandLayers());
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(graph::createReadEncodings());
  function.addPass(graph::createLowerTosa());
  function.addPass(graph::createFormLayers());
  function.addPass(graph::createPartition({/*onlyMemoryX=*/true, /*machine=*/"", /*elementBytes=*/4}));
  buildStreamPhase(pm, options);
  buildWaferPhase(pm, options);
}
