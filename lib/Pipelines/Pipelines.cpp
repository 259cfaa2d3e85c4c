//===- Pipelines.cpp - pipelines by name -----------------------------------===//

#include "wafer/Pipelines/Pipelines.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace wafer {

namespace {

struct TextualOptions : PassPipelineOptions<TextualOptions> {
  Option<std::string> machine{*this, "machine", llvm::cl::desc("A preset's name or the path of a machine description"), llvm::cl::init("small")};
  Option<std::string> precision{*this, "precision", llvm::cl::desc("Type of values on the wafer: f16, bf16 or f32; then perhaps ,PATTERN=TYPE for operations by name"), llvm::cl::init("f16")};
  Option<unsigned> activationZeros{*this, "activation-zeros", llvm::cl::desc("Thousandths of activations that may be 0 which are expected to be"), llvm::cl::init(500)};
  Option<std::string> decisionTrace{*this, "decision-trace", llvm::cl::desc("File to which decisions are appended, one JSON object a line")};
  Option<bool> choicesOnly{*this, "choices-only", llvm::cl::desc("Append the candidate that was taken alone"), llvm::cl::init(false)};
  Option<double> traceWithin{*this, "trace-within", llvm::cl::desc("Append the candidates that can be taken and cost at most so many times what the best one does; 0: all"), llvm::cl::init(0)};

  operator PipelineOptions() const { return {machine, precision, activationZeros, decisionTrace, choicesOnly, traceWithin}; }
};

using Build = void (*)(OpPassManager &, const PipelineOptions &);

void registerPipeline(StringRef name, StringRef description, Build build) {
  PassPipelineRegistration<TextualOptions>(name, description, [build](OpPassManager &pm, const TextualOptions &options) { build(pm, options); });
}

} // namespace

void buildWaferPipeline(OpPassManager &pm, const PipelineOptions &options) {
  buildGraphPhase(pm, options);
  buildStreamPhase(pm, options);
  buildWaferPhase(pm, options);
}

void registerPipelines() {
  registerPipeline("wafer-pipeline", "From linalg on tensors to a machine program", buildWaferPipeline);
  registerPipeline("wafer-pipeline-graph", "From linalg on tensors to placed layers", buildGraphPhase);
  registerPipeline("wafer-pipeline-stream", "From linalg on tensors to laid-out stream kernels", [](OpPassManager &pm, const PipelineOptions &options) {
    buildGraphPhase(pm, options);
    buildStreamPhase(pm, options);
  });
}

} // namespace wafer
