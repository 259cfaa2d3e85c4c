//===- Pipelines.h - the phases of compilation -----------------------------===//
//
// Named phases as functions. Tools, the Python module and tests call these; nobody else lists passes.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_PIPELINES_PIPELINES_H
#define WAFER_PIPELINES_PIPELINES_H

#include <string>

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace wafer {

struct PipelineOptions {
  std::string machine = "small"; ///< a preset's name or the path of a description
  std::string precision = "f16"; ///< of values on the wafer, as stream-set-precision takes it
  unsigned activationZeros = 500; ///< thousandths of activations that may be 0 which are expected to be
  std::string decisionTrace;     ///< file to which passes append why they chose what, as JSON lines; empty: none
  bool choicesOnly = false;      ///< of the candidates of a decision, the one that was taken
  double traceWithin = 0;        ///< of the candidates, those that can be taken and cost at most so many times what the best one does; 0: all
};

/// From a function of linalg on tensors to placed layers. The module's functions are inlined into those that are public.
void buildGraphPhase(mlir::OpPassManager &pm, const PipelineOptions &options);
/// From placed layers to a laid-out stream.program.
void buildStreamPhase(mlir::OpPassManager &pm, const PipelineOptions &options);
/// From a laid-out stream.program to a wafer.program with routes, colors and addresses.
void buildWaferPhase(mlir::OpPassManager &pm, const PipelineOptions &options);
/// All of them.
void buildWaferPipeline(mlir::OpPassManager &pm, const PipelineOptions &options);

/// From a function of linalg, or of layers, to a wafer.program that computes everything in MemoryX: what the IR means, before any decision about the wafer.
void buildMemoryXPipeline(mlir::OpPassManager &pm, const PipelineOptions &options);

/// Makes the phases known to textual pipelines: --wafer-pipeline="machine=small precision=f16", --wafer-pipeline-graph, --wafer-pipeline-stream.
void registerPipelines();

} // namespace wafer

#endif // WAFER_PIPELINES_PIPELINES_H
