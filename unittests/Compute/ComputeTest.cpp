//===- ComputeTest.cpp - functions that MemoryX compiles and runs ---------===//

#include "wafer/Compute/Compute.h"

#include "TestFiles.h"

#include <cmath>

using namespace wafer;
using namespace wafer::test;

namespace {

/// Runs `func.func @f` of a module with this body.
std::vector<Tensor> run(const std::string &text, const std::vector<Tensor> &inputs) {
  return createComputeBackend()->compile(text, "f")->call(inputs);
}

std::vector<float> runFloats(const std::string &text, const std::vector<Tensor> &inputs) {
  std::vector<Tensor> outputs = run(text, inputs);
  EXPECT_EQ(outputs.size(), 1u);
  return valuesOf<float>(outputs.at(0));
}

void expectNotCompiled(const std::string &text, const std::vector<std::string> &parts) {
  expectRefused([&] { createComputeBackend()->compile(text, "f"); }, parts);
}

TEST(ComputeTest, MultipliesMatrices) {
  const char *text = R"(
    func.func @f(%a: tensor<2x3xf32>, %b: tensor<3x2xf32>) -> tensor<2x2xf32> {
      %zero = arith.constant 0.0 : f32
      %empty = tensor.empty() : tensor<2x2xf32>
      %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x2xf32>) -> tensor<2x2xf32>
      %c = linalg.matmul ins(%a, %b : tensor<2x3xf32>, tensor<3x2xf32>) outs(%init : tensor<2x2xf32>) -> tensor<2x2xf32>
      return %c : tensor<2x2xf32>
    })";
  EXPECT_EQ(runFloats(text, {floats({2, 3}, {1, 2, 3, 4, 5, 6}), floats({3, 2}, {1, 0, 0, 1, 2, 2})}), (std::vector<float>{7, 8, 16, 17}));
}

// The operands may be the caller's: a function that could write its result over one of them makes a copy.
TEST(ComputeTest, LeavesItsArgumentsAlone) {
  const char *text = R"(
    func.func @f(%a: tensor<3xf32>, %b: tensor<3xf32>) -> tensor<3xf32> {
      %c = linalg.add ins(%a, %b : tensor<3xf32>, tensor<3xf32>) outs(%a : tensor<3xf32>) -> tensor<3xf32>
      return %c : tensor<3xf32>
    })";
  Tensor a = floats({3}, {1, 2, 3}), b = floats({3}, {10, 20, 30});
  EXPECT_EQ(runFloats(text, {a, b}), (std::vector<float>{11, 22, 33}));
  EXPECT_EQ(valuesOf<float>(a), (std::vector<float>{1, 2, 3}));
}

TEST(ComputeTest, GivesArgumentsAndOneValueTwice) {
  const char *text = R"(
    func.func @f(%a: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
      %b = arith.addf %a, %a : tensor<2xf32>
      return %a, %b, %b : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
    })";
  std::vector<Tensor> outputs = run(text, {floats({2}, {1, 2})});
  ASSERT_EQ(outputs.size(), 3u);
  EXPECT_EQ(valuesOf<float>(outputs[0]), (std::vector<float>{1, 2}));
  EXPECT_EQ(valuesOf<float>(outputs[1]), (std::vector<float>{2, 4}));
  EXPECT_EQ(valuesOf<float>(outputs[2]), (std::vector<float>{2, 4}));
}

TEST(ComputeTest, HasTheFunctionsOfTheMathDialect) {
  const char *text = R"(
    func.func @f(%a: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
      %e = math.exp %a : tensor<3xf32>
      %t = math.tanh %a : tensor<3xf32>
      %g = math.erf %a : tensor<3xf32>
      %r = math.rsqrt %e : tensor<3xf32>
      return %e, %t, %g, %r : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
    })";
  std::vector<float> values = {-1, 0, 2.5f};
  std::vector<Tensor> outputs = run(text, {floats({3}, values)});
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_FLOAT_EQ(valuesOf<float>(outputs[0])[i], std::exp(values[i]));
    EXPECT_FLOAT_EQ(valuesOf<float>(outputs[1])[i], std::tanh(values[i]));
    EXPECT_FLOAT_EQ(valuesOf<float>(outputs[2])[i], std::erf(values[i]));
    EXPECT_FLOAT_EQ(valuesOf<float>(outputs[3])[i], 1 / std::sqrt(std::exp(values[i])));
  }
}

// As importers write softmax: a maximum, an exponential, a sum, a division.
TEST(ComputeTest, ReducesAndBroadcasts) {
  const char *text = R"(
    #all = affine_map<(i, j) -> (i, j)>
    #row = affine_map<(i, j) -> (i)>
    func.func @f(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
      %low = arith.constant 0xFF800000 : f32
      %zero = arith.constant 0.0 : f32
      %rows = tensor.empty() : tensor<2xf32>
      %shape = tensor.empty() : tensor<2x3xf32>
      %minit = linalg.fill ins(%low : f32) outs(%rows : tensor<2xf32>) -> tensor<2xf32>
      %m = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
          ins(%x : tensor<2x3xf32>) outs(%minit : tensor<2xf32>) {
      ^bb0(%a: f32, %acc: f32):
        %0 = arith.maximumf %a, %acc : f32
        linalg.yield %0 : f32
      } -> tensor<2xf32>
      %e = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
          ins(%x, %m : tensor<2x3xf32>, tensor<2xf32>) outs(%shape : tensor<2x3xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %0 = arith.subf %a, %b : f32
        %1 = math.exp %0 : f32
        linalg.yield %1 : f32
      } -> tensor<2x3xf32>
      %sinit = linalg.fill ins(%zero : f32) outs(%rows : tensor<2xf32>) -> tensor<2xf32>
      %s = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
          ins(%e : tensor<2x3xf32>) outs(%sinit : tensor<2xf32>) {
      ^bb0(%a: f32, %acc: f32):
        %0 = arith.addf %acc, %a : f32
        linalg.yield %0 : f32
      } -> tensor<2xf32>
      %y = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
          ins(%e, %s : tensor<2x3xf32>, tensor<2xf32>) outs(%shape : tensor<2x3xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %0 = arith.divf %a, %b : f32
        linalg.yield %0 : f32
      } -> tensor<2x3xf32>
      return %y : tensor<2x3xf32>
    })";
  std::vector<float> y = runFloats(text, {floats({2, 3}, {1, 2, 3, 100, 100, 100})});
  float sum = std::exp(-2.0f) + std::exp(-1.0f) + 1;
  for (int i = 0; i < 3; ++i) {
    EXPECT_FLOAT_EQ(y[i], std::exp(float(i - 2)) / sum);
    EXPECT_FLOAT_EQ(y[3 + i], 1.0f / 3);
  }
}

TEST(ComputeTest, TakesAggregatedOperationsApart) {
  const char *text = R"(
    func.func @f(%x: tensor<1x2xf32>, %y: tensor<1x2xf32>) -> tensor<2x2xf32> {
      %c = tensor.concat dim(0) %x, %y : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<2x2xf32>
      %e = tensor.empty() : tensor<2x2xf32>
      %s = linalg.softmax dimension(1) ins(%c : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
      return %s : tensor<2x2xf32>
    })";
  EXPECT_EQ(runFloats(text, {floats({1, 2}, {3, 3}), floats({1, 2}, {0, 200})}), (std::vector<float>{0.5f, 0.5f, 0, 1}));
}

const char *gather = R"(
    #row = affine_map<(i, j) -> (i)>
    #all = affine_map<(i, j) -> (i, j)>
    func.func @f(%table: tensor<3x2xf32>, %ids: tensor<2xi64>) -> tensor<2x2xf32> {
      %e = tensor.empty() : tensor<2x2xf32>
      %y = linalg.generic {indexing_maps = [#row, #all], iterator_types = ["parallel", "parallel"]}
          ins(%ids : tensor<2xi64>) outs(%e : tensor<2x2xf32>) {
      ^bb0(%id: i64, %o: f32):
        %row = arith.index_cast %id : i64 to index
        %column = linalg.index 1 : index
        %v = tensor.extract %table[%row, %column] : tensor<3x2xf32>
        linalg.yield %v : f32
      } -> tensor<2x2xf32>
      return %y : tensor<2x2xf32>
    })";
const Tensor table = floats({3, 2}, {1, 2, 3, 4, 5, 6});
Tensor ids(std::vector<int64_t> values) { return tensorOf(DType::I64, {values.size()}, values); }

TEST(ComputeTest, GathersByIndex) { EXPECT_EQ(runFloats(gather, {table, ids({2, 0})}), (std::vector<float>{5, 6, 1, 2})); }

// An index comes from the user's data: outside of the table it is an error with a name, not a read of other memory.
TEST(ComputeTest, SaysThatAnIndexIsOutside) {
  auto function = createComputeBackend()->compile(gather, "f");
  for (int64_t wrong : {int64_t(3), int64_t(-1), INT64_MIN, INT64_MAX})
    expectRefused([&] { function->call({table, ids({1, wrong})}); },
                  {"function 'f'", "tensor.extract", "index " + std::to_string(wrong), "less than 3"});
  EXPECT_EQ(valuesOf<float>(function->call({table, ids({1, 1})})[0]), (std::vector<float>{3, 4, 3, 4})) << "a fault must not stick";
}

TEST(ComputeTest, SaysThatASliceIsOutside) {
  const char *text = R"(
    func.func @f(%x: tensor<4xf32>, %at: tensor<i32>) -> tensor<2xf32> {
      %i = tensor.extract %at[] : tensor<i32>
      %offset = arith.index_cast %i : i32 to index
      %y = tensor.extract_slice %x[%offset] [2] [1] : tensor<4xf32> to tensor<2xf32>
      return %y : tensor<2xf32>
    })";
  auto function = createComputeBackend()->compile(text, "f");
  auto at = [](int32_t i) { return tensorOf<int32_t>(DType::I32, {}, {i}); };
  Tensor x = floats({4}, {1, 2, 3, 4});
  EXPECT_EQ(valuesOf<float>(function->call({x, at(2)})[0]), (std::vector<float>{3, 4}));
  expectRefused([&] { function->call({x, at(3)}); }, {"index 3", "less than 3"});
  expectRefused([&] { function->call({x, at(-1)}); }, {"index -1"});
}

// The host's division traps on these.
TEST(ComputeTest, SaysThatADivisorIsZeroAndWrapsTheLowestNumber) {
  const char *text = R"(
    func.func @f(%a: tensor<2xi32>, %b: tensor<2xi32>) -> (tensor<2xi32>, tensor<2xi32>) {
      %q = arith.divsi %a, %b : tensor<2xi32>
      %r = arith.remsi %a, %b : tensor<2xi32>
      return %q, %r : tensor<2xi32>, tensor<2xi32>
    })";
  auto function = createComputeBackend()->compile(text, "f");
  auto pair = [](int32_t a, int32_t b) { return tensorOf<int32_t>(DType::I32, {2}, {a, b}); };
  std::vector<Tensor> outputs = function->call({pair(INT32_MIN, -7), pair(-1, 2)});
  EXPECT_EQ(valuesOf<int32_t>(outputs[0]), (std::vector<int32_t>{INT32_MIN, -3}));
  EXPECT_EQ(valuesOf<int32_t>(outputs[1]), (std::vector<int32_t>{0, -1}));
  expectRefused([&] { function->call({pair(1, 1), pair(1, 0)}); }, {"divides an integer by 0"});
}

// f16 and bf16 compute in f32 and round after each operation.
TEST(ComputeTest, RoundsHalfTypesAfterEachOperation) {
  const char *text = R"(
    func.func @f(%a: tensor<2xf16>, %b: tensor<2xbf16>) -> (tensor<2xf16>, tensor<2xbf16>) {
      %half = arith.addf %a, %a : tensor<2xf16>
      %x = arith.mulf %half, %a : tensor<2xf16>
      %y = arith.mulf %b, %b : tensor<2xbf16>
      %e = math.exp %y : tensor<2xbf16>
      return %x, %e : tensor<2xf16>, tensor<2xbf16>
    })";
  std::vector<Tensor> outputs =
      run(text, {tensorOf<uint16_t>(DType::F16, {2}, {0x3c01, 0x7bff}), tensorOf<uint16_t>(DType::BF16, {2}, {0x3f81, 0x0000})});
  // 1.0009765625 * 2.001953125 = 2.0039081573486328, which lies between 2.00390625 (0x4002) and 2.005859375.
  EXPECT_EQ(valuesOf<uint16_t>(outputs[0]), (std::vector<uint16_t>{0x4002, 0x7c00}));
  // 1.0078125 squared is 1.0157 and rounds to 1.015625; e to that is 2.7611, and 2.765625 is nearer than 2.75.
  EXPECT_EQ(valuesOf<uint16_t>(outputs[1]), (std::vector<uint16_t>{0x4031, 0x3f80}));
}

TEST(ComputeTest, TakesBoolsDoublesAndBytes) {
  const char *text = R"(
    func.func @f(%c: tensor<2xi1>, %a: tensor<2xf64>, %b: tensor<2xi8>) -> (tensor<2xf64>, tensor<2xi1>) {
      %w = arith.sitofp %b : tensor<2xi8> to tensor<2xf64>
      %y = arith.select %c, %a, %w : tensor<2xi1>, tensor<2xf64>
      %l = arith.cmpf olt, %a, %w : tensor<2xf64>
      return %y, %l : tensor<2xf64>, tensor<2xi1>
    })";
  // Any byte that is not 0 is true.
  std::vector<Tensor> outputs = run(text, {tensorOf<uint8_t>(DType::Bool, {2}, {4, 0}), tensorOf<double>(DType::F64, {2}, {0.1, 0.2}),
                                           tensorOf<int8_t>(DType::I8, {2}, {-1, 7})});
  EXPECT_EQ(valuesOf<double>(outputs[0]), (std::vector<double>{0.1, 7}));
  EXPECT_EQ(outputs[1].dtype(), DType::Bool);
  EXPECT_EQ(valuesOf<uint8_t>(outputs[1]), (std::vector<uint8_t>{0, 1}));
}

TEST(ComputeTest, RunsLoopsAndPads) {
  const char *text = R"(
    func.func @f(%x: tensor<2xf32>) -> tensor<4xf32> {
      %zero = arith.constant 0.0 : f32
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c3 = arith.constant 3 : index
      %y = scf.for %i = %c0 to %c3 step %c1 iter_args(%v = %x) -> tensor<2xf32> {
        %d = arith.addf %v, %v : tensor<2xf32>
        scf.yield %d : tensor<2xf32>
      }
      %p = tensor.pad %y low[1] high[1] {
      ^bb0(%i: index):
        tensor.yield %zero : f32
      } : tensor<2xf32> to tensor<4xf32>
      return %p : tensor<4xf32>
    })";
  EXPECT_EQ(runFloats(text, {floats({2}, {1, 3})}), (std::vector<float>{0, 8, 24, 0}));
}

TEST(ComputeTest, KeepsShapesApartFromElements) {
  const char *text = R"(
    func.func @f(%x: tensor<2x2xf32>) -> (tensor<f32>, tensor<4x1xf32>, tensor<0xf32>) {
      %c = arith.constant dense<7.0> : tensor<f32>
      %l = tensor.collapse_shape %x [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>
      %e = tensor.expand_shape %l [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
      %n = tensor.empty() : tensor<0xf32>
      return %c, %e, %n : tensor<f32>, tensor<4x1xf32>, tensor<0xf32>
    })";
  std::vector<Tensor> outputs = run(text, {floats({2, 2}, {1, 2, 3, 4})});
  EXPECT_EQ(valuesOf<float>(outputs[0]), (std::vector<float>{7}));
  EXPECT_EQ(outputs[1].shape(), (Shape{4, 1}));
  EXPECT_EQ(valuesOf<float>(outputs[1]), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(outputs[2].bytes(), 0u);
}

// The additions of each element keep their order when loops are exchanged: 1e8 + 1 - 1e8 is 0 in f32, and 1 in another order.
TEST(ComputeTest, AddsInTheOrderOfTheReduction) {
  const char *text = R"(
    func.func @f(%a: tensor<1x3xf32>, %b: tensor<3x2xf32>) -> tensor<1x2xf32> {
      %c = arith.constant dense<0.0> : tensor<1x2xf32>
      %y = linalg.matmul ins(%a, %b : tensor<1x3xf32>, tensor<3x2xf32>) outs(%c : tensor<1x2xf32>) -> tensor<1x2xf32>
      return %y : tensor<1x2xf32>
    })";
  EXPECT_EQ(runFloats(text, {floats({1, 3}, {1, 1, 1}), floats({3, 2}, {1e8f, 1e8f, 1, -1e8f, -1e8f, 1})}), (std::vector<float>{0, 1}));
}

TEST(ComputeTest, ReadsTensorsThatAreNotAligned) {
  const char *text =
      "func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> { %y = arith.addf %x, %x : tensor<2xf32>\n return %y : tensor<2xf32> }";
  std::vector<uint8_t> bytes(9);
  std::vector<float> values = {1, 2};
  std::memcpy(bytes.data() + 1, values.data(), 8);
  EXPECT_EQ(runFloats(text, {Tensor::borrow(DType::F32, {2}, bytes.data() + 1, 8)}), (std::vector<float>{2, 4}));
}

// Sessions of one program have the same functions: the code is shared, calls are not, and it lives as long as one of them.
TEST(ComputeTest, SharesFunctionsOfTheSameText) {
  const char *text = R"(
    func.func @f(%a: tensor<2xf32>) -> tensor<2xf32> {
      %b = arith.addf %a, %a : tensor<2xf32>
      return %b : tensor<2xf32>
    })";
  auto backend = createComputeBackend();
  auto first = backend->compile(text, "f"), second = backend->compile(text, "f");
  std::vector<Tensor> ofFirst = first->call({floats({2}, {1, 2})});
  first.reset();
  EXPECT_EQ(valuesOf<float>(second->call({floats({2}, {3, 4})}).at(0)), (std::vector<float>{6, 8}));
  EXPECT_EQ(valuesOf<float>(ofFirst.at(0)), (std::vector<float>{2, 4}));
  second.reset();
  EXPECT_EQ(valuesOf<float>(backend->compile(text, "f")->call({floats({2}, {5, 6})}).at(0)), (std::vector<float>{10, 12}));
  // What was refused once is refused again.
  for (int i = 0; i < 2; ++i)
    expectRefused([&] { backend->compile("func.func @g() { return }", "f"); }, {"has no function '@f'"});
}

TEST(ComputeTest, ChecksWhatItIsGiven) {
  auto function = createComputeBackend()->compile(gather, "f");
  expectRefused([&] { function->call({table}); }, {"1 tensors", "expected 2"});
  expectRefused([&] { function->call({table, ids({1, 2, 3})}); }, {"i64[3]", "argument 1", "expected i64[2]"});
  expectRefused([&] { function->call({ids({1}), ids({1, 2})}); }, {"argument 0", "f32[3x2]"});
}

// Functions come from files: nothing in them may reach beyond their own tensors.
TEST(ComputeTest, RefusesWhateverCouldReachBeyondItsTensors) {
  expectNotCompiled("func.func private @system(tensor<1xi8>)\nfunc.func @f(%x: tensor<1xi8>) { return }", {"@system", "no body"});
  expectNotCompiled("func.func @g() { return }\nfunc.func @f() { func.call @g() : () -> ()\n return }", {"func.call", "cannot run"});
  expectNotCompiled("func.func @f() { %0 = llvm.mlir.zero : !llvm.ptr\n return }", {"llvm"});
  expectNotCompiled("func.func @f(%m: memref<4xf32>) { return }", {"memref"});
  expectNotCompiled("func.func @f() { \"memref.alloc\"() : () -> ()\n return }", {"memref.alloc", "cannot run"});
  expectNotCompiled("func.func @f() { %0 = \"test.op\"() : () -> i32\n return }", {"test.op", "cannot run"});
  expectNotCompiled("func.func @f(%x: tensor<?xf32>) { return }", {"tensor<?xf32>", "static shape"});
  expectNotCompiled("func.func @f(%x: f32) { return }", {"argument 0", "expected a tensor"});
  expectNotCompiled(
      "func.func @f(%x: tensor<0xf32>) -> tensor<1xf32> { %c = arith.constant 0 : index\n"
      "%e = tensor.extract %x[%c] : tensor<0xf32>\n %y = tensor.from_elements %e : tensor<1xf32>\n return %y : tensor<1xf32> }",
      {"tensor.extract", "none"});
  expectNotCompiled(
      "func.func @f(%x: tensor<2xf32>) -> tensor<1xf32> { %c = arith.constant 2 : index\n"
      "%e = tensor.extract %x[%c] : tensor<2xf32>\n %y = tensor.from_elements %e : tensor<1xf32>\n return %y : tensor<1xf32> }",
      {"index 2", "less than 2"});
  expectNotCompiled("func.func @f() { %x = tensor.empty() : tensor<1000000x1000000x1000xf32>\n return }", {"larger than the memory"});
}

TEST(ComputeTest, SaysWhereTheTextIsWrong) {
  expectNotCompiled("func.func @f() {\n  return %x : f32\n}", {"f", "2:10"});
  expectNotCompiled("func.func @g() { return }", {"no function '@f'"});
}

TEST(ComputeTest, IgnoresAttributesOfOtherDialects) {
  const char *text = R"(
    module attributes {wafer.name = "m"} {
      func.func @f(%x: tensor<1xf32> {graph.role = "input"}) -> (tensor<1xf32> {graph.name = "y"}) attributes {llvm.linkage = 3} {
        %y = arith.negf %x {note = "n"} : tensor<1xf32>
        return %y : tensor<1xf32>
      }
    })";
  EXPECT_EQ(runFloats(text, {floats({1}, {2})}), (std::vector<float>{-2}));
}

// Names of functions never meet those of the C library.
TEST(ComputeTest, MayBeCalledAnything) {
  const char *text =
      "func.func @malloc(%x: tensor<2xf32>) -> tensor<2xf32> { %y = math.absf %x : tensor<2xf32>\n return %y : tensor<2xf32> }";
  auto function = createComputeBackend()->compile(text, "malloc");
  EXPECT_EQ(valuesOf<float>(function->call({floats({2}, {-1, 2})})[0]), (std::vector<float>{1, 2}));
}

} // namespace
