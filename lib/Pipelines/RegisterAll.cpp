//===- RegisterAll.cpp - the only registration list ------------------------===//

#include "wafer/RegisterAll.h"

#include "wafer/Conversion/GraphToStream.h"
#include "wafer/Conversion/StreamToWafer.h"
#include "wafer/Dialect/Graph/Transforms/Passes.h"
#include "wafer/Dialect/PE/PE.h"
#include "wafer/Dialect/Stream/Transforms/Passes.h"
#include "wafer/Dialect/Wafer/Transforms/Passes.h"
#include "wafer/Pipelines/Pipelines.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Complex/IR/Complex.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/Extensions/InlinerExtension.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MLProgram/IR/MLProgram.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SparseTensor/IR/SparseTensor.h"
#include "mlir/Dialect/Tosa/IR/TosaOps.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void wafer::registerAllDialects(DialectRegistry &registry) {
  registry.insert<graph::GraphDialect, stream::StreamDialect, wfr::WaferDialect, pe::PEDialect>();
  registry.insert<affine::AffineDialect, arith::ArithDialect, cf::ControlFlowDialect, complex::ComplexDialect, func::FuncDialect, linalg::LinalgDialect,
                  math::MathDialect, ml_program::MLProgramDialect, scf::SCFDialect, sparse_tensor::SparseTensorDialect, tensor::TensorDialect,
                  tosa::TosaDialect>();
  func::registerInlinerExtension(registry);
}

void wafer::registerAllPasses() {
  graph::registerGraphPasses();
  stream::registerStreamPasses();
  wfr::registerWaferPasses();
  registerGraphToStreamPasses();
  registerStreamToWaferPasses();
  registerPipelines();
  // Of MLIR: canonicalize, cse, inline, symbol-dce, print-ir, and what brings other linalg text into the input contract.
  registerTransformsPasses();
  registerLinalgPasses();
}
