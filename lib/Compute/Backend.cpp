//===- Backend.cpp - compiles MemoryX functions through LLVM's JIT --------===//

#include "wafer/Compute/Compute.h"

#include "CheckFunction.h"
#include "Lowering.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/ExecutionEngine/ExecutionEngine.h"
#include "mlir/ExecutionEngine/OptUtils.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/Support/TargetSelect.h"

#include <algorithm>
#include <map>
#include <mutex>

using namespace mlir;

namespace wafer {

namespace {

/// Whatever the function was called, its name must not be one that it could be confused with.
constexpr const char *entryName = "wafer_compute_entry";
/// Below this many executions of a body, optimizing a function takes longer than it saves.
constexpr int64_t worthOptimizing = 1 << 16;

/// How often bodies of the function are executed, or the elements that it reads and writes, whichever is more. Loops outside of linalg count as endless.
int64_t workOf(func::FuncOp function) {
  auto elements = [](TypeRange types) {
    int64_t sum = 0;
    for (Type type : types)
      sum += cast<RankedTensorType>(type).getNumElements();
    return sum;
  };
  int64_t work = elements(function.getArgumentTypes()) + elements(function.getResultTypes());
  function.walk([&](Operation *op) {
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op)) {
      int64_t iterations = 1;
      for (int64_t range : linalgOp.getStaticLoopRanges())
        iterations = range < worthOptimizing ? std::min(iterations * range, worthOptimizing) : worthOptimizing;
      work += iterations;
    } else if (isa<LoopLikeOpInterface>(op)) {
      work += worthOptimizing;
    }
  });
  return work;
}

/// Collects what is said about a function, for the exception.
class Diagnostics {
public:
  explicit Diagnostics(MLIRContext &context)
      : handler_(&context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
            return;
          llvm::raw_string_ostream os(text_);
          os << (text_.empty() ? "" : "; ") << diagnostic.getLocation() << ": " << diagnostic;
        }) {}
  const std::string &text() const { return text_; }

private:
  std::string text_;
  ScopedDiagnosticHandler handler_;
};

// Conversions of f16 that LLVM calls where the host has no instruction for them. The C++ types choose the registers.
float extendHalf(_Float16 half) {
  float value;
  convertElements(DType::F16, reinterpret_cast<const uint8_t *>(&half), 1, DType::F32, reinterpret_cast<uint8_t *>(&value));
  return value;
}
_Float16 truncateToHalf(float value) {
  _Float16 half;
  convertElements(DType::F32, reinterpret_cast<const uint8_t *>(&value), 1, DType::F16, reinterpret_cast<uint8_t *>(&half));
  return half;
}

llvm::orc::SymbolMap symbols(llvm::orc::MangleAndInterner intern) {
  llvm::orc::SymbolMap map;
  auto add = [&](const char *name, auto *function) {
    map[intern(name)] = {llvm::orc::ExecutorAddr::fromPtr(function), llvm::JITSymbolFlags::Exported};
  };
  add(faultFunctionName, &reportFault);
  add("__extendhfsf2", &extendHalf);
  add("__truncsfhf2", &truncateToHalf);
  return map;
}

/// Type and shape of a tensor at the boundary.
struct Signature {
  DType dtype;
  Shape shape;
};

std::vector<Signature> signatureOf(TypeRange types) {
  std::vector<Signature> signature;
  for (Type type : types) {
    auto tensor = cast<RankedTensorType>(type);
    signature.push_back({*dtypeOf(tensor.getElementType()), Shape(tensor.getShape().begin(), tensor.getShape().end())});
  }
  return signature;
}

/// A memref descriptor: allocated and aligned pointer, offset, sizes, strides, each a word.
std::vector<uint64_t> descriptorOf(const uint8_t *data, const Shape &shape) {
  std::vector<uint64_t> words = {reinterpret_cast<uintptr_t>(data), reinterpret_cast<uintptr_t>(data), 0};
  words.insert(words.end(), shape.begin(), shape.end());
  size_t first = words.size();
  words.resize(first + shape.size());
  uint64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    words[first + d] = stride;
    stride *= shape[d];
  }
  return words;
}

/// The tensor as compiled code may read it: aligned, and bools that are 0 or 1.
Tensor readable(const Tensor &tensor) {
  bool isAligned = reinterpret_cast<uintptr_t>(tensor.data()) % byteSize(tensor.dtype()) == 0;
  bool isClean =
      tensor.dtype() != DType::Bool || std::all_of(tensor.data(), tensor.data() + tensor.bytes(), [](uint8_t b) { return b < 2; });
  // Compiled code may be given no null pointer, even where it reads nothing.
  if (isAligned && isClean && tensor.data())
    return tensor;
  Tensor copy = Tensor::copyOf(tensor.dtype(), tensor.shape(), tensor.data(), tensor.bytes());
  if (tensor.dtype() == DType::Bool)
    std::transform(copy.data(), copy.data() + copy.bytes(), copy.mutableData(), [](uint8_t b) { return b != 0; });
  return copy;
}

class CompiledFunction final : public Callable {
public:
  CompiledFunction(std::string name, std::vector<Signature> inputs, std::vector<Signature> outputs, GuardSites sites,
                   std::unique_ptr<ExecutionEngine> engine, void (*entry)(void **))
      : name_(std::move(name)), inputs_(std::move(inputs)), outputs_(std::move(outputs)), sites_(std::move(sites)),
        engine_(std::move(engine)), entry_(entry) {}

  std::vector<Tensor> call(const std::vector<Tensor> &inputs) override;

private:
  void checkInputs(const std::vector<Tensor> &inputs) const;

  std::string name_;
  std::vector<Signature> inputs_, outputs_;
  GuardSites sites_;
  std::unique_ptr<ExecutionEngine> engine_;
  void (*entry_)(void **);
};

void CompiledFunction::checkInputs(const std::vector<Tensor> &inputs) const {
  if (inputs.size() != inputs_.size())
    throw RuntimeError("function '" + name_ + "' was given " + std::to_string(inputs.size()) + " tensors, expected " +
                       std::to_string(inputs_.size()));
  for (size_t i = 0; i < inputs.size(); ++i) {
    // MLIR's integers have no sign.
    DType given = inputs[i].dtype() == DType::U8 ? DType::I8 : inputs[i].dtype();
    if (given != inputs_[i].dtype || inputs[i].shape() != inputs_[i].shape)
      throw RuntimeError("function '" + name_ + "' was given " + describe(inputs[i]) + " as argument " + std::to_string(i) + ", expected " +
                         describe(inputs_[i].dtype, inputs_[i].shape));
  }
}

std::vector<Tensor> CompiledFunction::call(const std::vector<Tensor> &inputs) {
  checkInputs(inputs);
  std::vector<Tensor> read, outputs;
  std::vector<std::vector<uint64_t>> descriptors;
  for (const Tensor &input : inputs) {
    read.push_back(readable(input));
    descriptors.push_back(descriptorOf(read.back().data(), input.shape()));
  }
  for (const Signature &output : outputs_) {
    outputs.push_back(Tensor::zeros(output.dtype, output.shape));
    descriptors.push_back(descriptorOf(outputs.back().data(), output.shape));
  }
  // The packed interface takes pointers to arguments; each argument is a pointer to a descriptor.
  std::vector<void *> pointers, arguments;
  for (auto &descriptor : descriptors)
    pointers.push_back(descriptor.data());
  for (void *&pointer : pointers)
    arguments.push_back(&pointer);
  takeFault();
  entry_(arguments.data());
  if (Fault fault = takeFault(); fault.happened)
    throw RuntimeError("function '" + name_ + "': " + sites_[static_cast<size_t>(fault.site)] +
                       (fault.bound == 0 ? " divides an integer by 0"
                                         : " has index " + std::to_string(fault.value) + ", expected at least 0 and less than " +
                                               std::to_string(fault.bound)));
  return outputs;
}

/// Several sessions of a program have the same functions; each is compiled once, and kept while one of them has it.
class SharedFunction final : public Callable {
public:
  explicit SharedFunction(std::shared_ptr<Callable> function) : function_(std::move(function)) {}
  std::vector<Tensor> call(const std::vector<Tensor> &inputs) override { return function_->call(inputs); }

private:
  std::shared_ptr<Callable> function_;
};

class JitBackend final : public ComputeBackend {
public:
  std::unique_ptr<Callable> compile(const std::string &mlirText, const std::string &functionName) override;

private:
  /// A function that is, was or will be compiled. Whoever needs it waits for the one who compiles it.
  struct Known {
    std::mutex mutex;
    std::weak_ptr<Callable> function;
  };
  std::mutex mutex_; ///< of known_
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Known>> known_;
};

void initializeTarget() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
}

template <typename T> T valueOrThrow(llvm::Expected<T> value, const std::string &functionName) {
  if (!value)
    throw RuntimeError("function '" + functionName + "' cannot be compiled for this host: " + llvm::toString(value.takeError()));
  return std::move(*value);
}

std::unique_ptr<Callable> compileFunction(const std::string &mlirText, const std::string &functionName) {
  initializeTarget();
  DialectRegistry registry;
  registerComputeDialects(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  // So that an operation of another dialect is refused by name.
  context.allowUnregisteredDialects();
  Diagnostics diagnostics(context);
  auto refuse = [&] { throw RuntimeError("function '" + functionName + "' cannot run in MemoryX: " + diagnostics.text()); };

  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(mlirText, ParserConfig(&context), functionName);
  if (!module)
    refuse();
  FailureOr<func::FuncOp> function = checkFunction(*module, functionName);
  if (failed(function))
    refuse();
  std::vector<Signature> inputs = signatureOf(function->getArgumentTypes()), outputs = signatureOf(function->getResultTypes());

  // The function alone; attributes of other dialects are nothing to the passes.
  for (Operation &op : llvm::make_early_inc_range(*module->getBody()))
    if (&op != function->getOperation())
      op.erase();
  module->walk([](Operation *op) { op->setDiscardableAttrs(DictionaryAttr::get(op->getContext())); });
  function->removeArgAttrsAttr();
  function->removeResAttrsAttr();
  function->setSymName(entryName);
  function->setPublic();

  bool isWorthOptimizing = workOf(*function) >= worthOptimizing;
  FailureOr<GuardSites> sites = lowerFunction(*module, *function);
  if (failed(sites))
    refuse();
  auto machineBuilder = valueOrThrow(llvm::orc::JITTargetMachineBuilder::detectHost(), functionName);
  llvm::CodeGenOptLevel codeGenLevel = isWorthOptimizing ? llvm::CodeGenOptLevel::Default : llvm::CodeGenOptLevel::None;
  machineBuilder.setCodeGenOptLevel(codeGenLevel);
  auto machine = valueOrThrow(machineBuilder.createTargetMachine(), functionName);
  auto transformer = makeOptimizingTransformer(isWorthOptimizing ? 2 : 0, /*sizeLevel=*/0, machine.get());
  ExecutionEngineOptions options;
  options.transformer = transformer;
  options.jitCodeGenOptLevel = codeGenLevel;
  options.enableGDBNotificationListener = options.enablePerfNotificationListener = false;
  auto engine = valueOrThrow(ExecutionEngine::create(*module, options), functionName);
  engine->registerSymbols(symbols);
  auto entry = valueOrThrow(engine->lookupPacked(std::string("_mlir_ciface_") + entryName), functionName);
  return std::make_unique<CompiledFunction>(functionName, std::move(inputs), std::move(outputs), std::move(*sites), std::move(engine),
                                            entry);
}

std::unique_ptr<Callable> JitBackend::compile(const std::string &mlirText, const std::string &functionName) {
  std::shared_ptr<Known> known;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // Nobody else holds an entry whose function is gone.
    for (auto entry = known_.begin(); entry != known_.end();)
      entry = entry->second.use_count() == 1 && entry->second->function.expired() ? known_.erase(entry) : std::next(entry);
    std::shared_ptr<Known> &place = known_[{mlirText, functionName}];
    if (!place)
      place = std::make_shared<Known>();
    known = place;
  }
  std::lock_guard<std::mutex> lock(known->mutex);
  std::shared_ptr<Callable> function = known->function.lock();
  if (!function) {
    function = compileFunction(mlirText, functionName);
    known->function = function;
  }
  return std::make_unique<SharedFunction>(std::move(function));
}

} // namespace

std::unique_ptr<ComputeBackend> createComputeBackend() { return std::make_unique<JitBackend>(); }

} // namespace wafer

wafer::ComputeBackend *WAFER_COMPUTE_ENTRY_POINT() { return wafer::createComputeBackend().release(); }
