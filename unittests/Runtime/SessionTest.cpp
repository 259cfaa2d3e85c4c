//===- SessionTest.cpp - entries run from inputs and weights to outputs ---===//

#include "wafer/Runtime/Session.h"
#include "wafer/Runtime/Safetensors.h"

#include "TestFiles.h"
#include "TestPrograms.h"

#include <nlohmann/json.hpp>

#include <sstream>

using namespace wafer;
using namespace wafer::test;

namespace {

/// y = x W^T on 2x2 cores; x is f32[4x2], W f32[2x2].
wexe::ProgramT linearProgram() { return assembleProgram(readBytes(WAFER_SOURCE_DIR "/unittests/Executable/Inputs/linear.ws")); }

const Tensor x = floats({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
const Tensor w = floats({2, 2}, {1, 0, 2, 3});
const std::vector<float> expectedY = {1, 8, 3, 18, 5, 28, 7, 38};

class SessionTest : public testing::Test {
protected:
  std::unique_ptr<Session> session(SessionOptions options = {}) {
    auto made = std::make_unique<Session>(LoadedProgram::verify(linearProgram()), options);
    made->setWeight("fc.weight", w);
    return made;
  }
};

TEST_F(SessionTest, RunsOnEveryEngine) {
  for (const char *engine : {"functional", "cycle"}) {
    SessionOptions options;
    options.engine = engine;
    auto run = session(options);
    for (int i = 0; i < 2; ++i)
      EXPECT_EQ(valuesOf<float>(run->run("main", {{"x", x}}).at("y")), expectedY) << engine << ", run " << i;
  }
}

TEST_F(SessionTest, StatesAreKeptFromRunToRun) {
  wexe::ProgramT program = linearProgram();
  auto made = std::find_if(program.tensors.begin(), program.tensors.end(), [](const auto &tensor) { return tensor->name == "y"; });
  auto state = std::make_unique<wexe::TensorT>(**made);
  state->name = "s";
  state->role = wexe::Role::State;
  (*made)->updates = static_cast<int>(program.tensors.size());
  program.tensors.push_back(std::move(state));
  Session run(LoadedProgram::verify(std::move(program)), {});
  run.setWeight("fc.weight", w);
  EXPECT_EQ(valuesOf<float>(run.states().at("s")), std::vector<float>(8, 0));
  run.run("main", {{"x", x}});
  EXPECT_EQ(valuesOf<float>(run.states().at("s")), expectedY);
  run.setState("s", x);
  EXPECT_EQ(valuesOf<float>(run.states().at("s")), valuesOf<float>(x));
  EXPECT_THROW(run.run("main", {}), RuntimeError);
  EXPECT_EQ(valuesOf<float>(run.states().at("s")), valuesOf<float>(x));
  run.setWeight("s", floats({4, 2}, std::vector<float>(8, 2)));
  run.resetStates();
  EXPECT_EQ(valuesOf<float>(run.states().at("s")), std::vector<float>(8, 2));
  EXPECT_THROW(run.setState("s", w), RuntimeError);
}

// A quarter of 64 bytes: x fits, y does not and is read from the flash tier by whoever asks for it.
TEST_F(SessionTest, WhatDramHasNoRoomForIsInFlash) {
  SessionOptions options;
  options.dramBudget = 64;
  options.flashFolder = testing::TempDir();
  auto run = session(options);
  EXPECT_EQ(valuesOf<float>(run->run("main", {{"x", x}}).at("y")), expectedY);
  EXPECT_EQ(run->stats().memoryX.flashBytesWritten, 32u);
  options.flashFolder = "/nowhere";
  auto lost = session(options);
  EXPECT_THROW(lost->run("main", {{"x", x}}), RuntimeError);
}

TEST_F(SessionTest, CountsWhatItDid) {
  SessionOptions options;
  options.engine = "cycle";
  auto run = session(options);
  run->run("main", {{"x", x}});
  const RunStats &stats = run->stats();
  EXPECT_EQ(stats.total.macs, 3u * 4); // the zero is not sent
  EXPECT_EQ(stats.streamed.weights, 3u * 4);
  EXPECT_EQ(stats.streamed.activationsIn, 4u * 4); // per core two f16
  EXPECT_EQ(stats.streamed.activationsOut, 8u * 4);
  EXPECT_EQ(stats.streamed.commands, 7u * 4);
  EXPECT_EQ(stats.total.waveletsIn * 4 + stats.total.waveletsOut * 4, stats.streamed.total());
  EXPECT_GT(stats.total.cycles, 0u);
  EXPECT_EQ(stats.memoryX.flashBytesRead, 16u);
  EXPECT_EQ(stats.activationPeakBytes, x.bytes() + 32);
  EXPECT_EQ(stats.weightColours, 1u);
  ASSERT_EQ(stats.ops.size(), 1u);
  EXPECT_EQ(stats.ops[0].placement, "wafer");

  auto json = nlohmann::json::parse(toJson(stats));
  EXPECT_EQ(json["total"]["macs"], 12);
  EXPECT_EQ(json["total"]["cycles"], stats.total.cycles);
  EXPECT_EQ(json["weights_stored_on_wafer"], 0);
  EXPECT_EQ(json["phases"].size(), 1u);
  EXPECT_EQ(json["ops"][0]["location"], "linear.py:2");
}

// A number that nobody counted is not a zero.
TEST_F(SessionTest, HasNoCyclesWhereTimeIsNotModelled) {
  auto run = session();
  run->run("main", {{"x", x}});
  auto json = nlohmann::json::parse(toJson(run->stats()));
  EXPECT_TRUE(json["total"]["cycles"].is_null());
  EXPECT_TRUE(json["wafer_seconds"].is_null());
}

TEST_F(SessionTest, NamesTheEnginesThereAre) {
  SessionOptions options;
  options.engine = "fast";
  expectRefused([&] { session(options); }, {"fast", "cycle", "functional"});
}

TEST_F(SessionTest, ChecksInputs) {
  auto run = session();
  expectRefused([&] { run->run("main", {}); }, {"'x'", "missing", "f32[4x2]"});
  expectRefused([&] { run->run("main", {{"x", floats({2, 4}, std::vector<float>(8))}}); }, {"'x'", "f32[2x4]", "expected f32[4x2]"});
  expectRefused([&] { run->run("main", {{"x", tensorOf(DType::F64, {4, 2}, std::vector<double>(8))}}); }, {"f64[4x2]", "f32[4x2]"});
  expectRefused([&] { run->run("main", {{"x", x}, {"xs", x}}); }, {"no input 'xs'", "did you mean 'x'"});
  expectRefused([&] { run->run("mian", {{"x", x}}); }, {"no entry 'mian'", "'main'"});
}

TEST_F(SessionTest, ChecksWeights) {
  Session run(LoadedProgram::verify(linearProgram()), {});
  expectRefused([&] { run.run("main", {{"x", x}}); }, {"'fc.weight'", "no weights were given"});
  expectRefused([&] { run.setWeight("fc.weigth", w); }, {"no weight 'fc.weigth'", "'fc.weight'"});
  expectRefused([&] { run.setWeight("fc.weight", floats({4}, {1, 2, 3, 4})); }, {"f32[4]", "expected f32[2x2]"});

  TemporaryFolder folder;
  writeSafetensors(folder.file("w.safetensors"), {{"fc.weight", floats({2, 1}, {1, 2})}});
  expectRefused([&] { run.loadWeights({folder.file("w.safetensors")}); }, {"'fc.weight'", "w.safetensors", "f32[2x1]", "f32[2x2]"});
}

// Training changes weights between runs.
TEST_F(SessionTest, UsesAWeightThatWasSetAnew) {
  auto run = session();
  run->run("main", {{"x", x}});
  run->setWeight("fc.weight", floats({2, 2}, {0, 0, 0, 1}));
  EXPECT_EQ(valuesOf<float>(run->run("main", {{"x", x}}).at("y")), (std::vector<float>{0, 2, 0, 4, 0, 6, 0, 8}));
}

// A wafer that was stopped in the middle of its work is not used again.
TEST_F(SessionTest, StartsAfreshAfterATrap) {
  wexe::ProgramT program = linearProgram();
  program.entries.push_back(std::make_unique<wexe::EntryT>(*program.entries[0]));
  wexe::EntryT &broken = *program.entries.back();
  broken.name = "broken";
  broken.phases[0]->steps.erase(broken.phases[0]->steps.begin()); // asks for weights and output, never sends x
  broken.phases[0]->steps.erase(broken.phases[0]->steps.begin()); // nor begins
  Session run(LoadedProgram::verify(std::move(program)), {});
  run.setWeight("fc.weight", w);
  EXPECT_THROW(run.run("broken", {{"x", x}}), Trap);
  EXPECT_EQ(valuesOf<float>(run.run("main", {{"x", x}}).at("y")), expectedY);
}

TEST_F(SessionTest, RefusesBlocksThatNoCoreCouldHold) {
  wexe::ProgramT program = linearProgram();
  program.entries[0]->phases[0]->steps[0]->feature_block = 1u << 31;
  expectRefused(
      [&] {
        Session run(LoadedProgram::verify(std::move(program)), {});
        run.setWeight("fc.weight", w);
        run.run("main", {{"x", x}});
      },
      {"blocks of", "49152"});
}

TEST_F(SessionTest, SaysThatTheDramTierIsTooSmall) {
  SessionOptions options;
  options.dramBudget = 4;
  auto run = session(options);
  expectRefused([&] { run->run("main", {{"x", x}}); }, {"4 bytes", "'fc.weight'"});
}

/// Gives its inputs back, the first one doubled.
class DoublingBackend : public ComputeBackend {
public:
  std::unique_ptr<Callable> compile(const std::string &mlirText, const std::string &functionName) override {
    ++compiled;
    struct Doubling : Callable {
      std::vector<Tensor> call(const std::vector<Tensor> &inputs) override {
        std::vector<float> values = valuesOf<float>(inputs.at(0));
        for (float &value : values)
          value *= 2;
        return {floats(inputs[0].shape(), values)};
      }
    };
    return std::make_unique<Doubling>();
  }
  int compiled = 0;
};

/// The linear program whose output goes through a function: z = f(y).
wexe::ProgramT programWithFunction() {
  wexe::ProgramT program = linearProgram();
  program.tensors[2]->role = wexe::Role::Intermediate;
  auto z = std::make_unique<wexe::TensorT>(*program.tensors[2]);
  z->name = "z";
  z->role = wexe::Role::Output;
  program.tensors.push_back(std::move(z));
  auto function = std::make_unique<wexe::FunctionT>();
  function->name = "double";
  function->mlir = "func.func @double(...)";
  function->reason = "has no kernel";
  program.functions.push_back(std::move(function));
  auto phase = std::make_unique<wexe::PhaseT>();
  phase->kind = wexe::PhaseKind::Function;
  phase->function = 0;
  phase->inputs = {2};
  phase->outputs = {3};
  program.entries[0]->phases.push_back(std::move(phase));
  program.entries[0]->outputs = {3};
  return program;
}

TEST_F(SessionTest, RunsFunctionsInMemoryX) {
  auto backend = std::make_shared<DoublingBackend>();
  registerComputeBackend(backend);
  Session run(LoadedProgram::verify(programWithFunction()), {});
  run.setWeight("fc.weight", w);
  std::vector<float> twice = expectedY;
  for (float &value : twice)
    value *= 2;
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(valuesOf<float>(run.run("main", {{"x", x}}).at("z")), twice);
  registerComputeBackend(nullptr);
  EXPECT_EQ(backend->compiled, 1);
  ASSERT_EQ(run.stats().phases.size(), 2u);
  EXPECT_FALSE(run.stats().phases[1].onWafer);
  EXPECT_EQ(run.stats().phases[1].reason, "has no kernel");
}

// A function takes whole weights, so the DRAM tier has to hold one that the wafer could be given piece by piece.
TEST_F(SessionTest, HoldsAWeightWholeForAFunction) {
  registerComputeBackend(std::make_shared<DoublingBackend>());
  wexe::ProgramT program = programWithFunction();
  program.entries[0]->phases[1]->inputs = {2, 1};
  LoadedProgram loaded = LoadedProgram::verify(std::move(program));
  for (uint64_t budget : {15, 16}) {
    SessionOptions options;
    options.dramBudget = budget;
    Session run(loaded, options);
    run.setWeight("fc.weight", w);
    std::string message = refusal([&] { run.run("main", {{"x", x}}); });
    EXPECT_EQ(message == "", budget == 16) << message;
    if (budget == 16)
      EXPECT_EQ(run.stats().memoryX.dramPeakBytes, 16u);
    else
      EXPECT_NE(message.find("'fc.weight' is needed whole"), std::string::npos) << message;
  }
  registerComputeBackend(nullptr);
}

TEST_F(SessionTest, ChecksWhatAFunctionGives) {
  registerComputeBackend(std::make_shared<DoublingBackend>());
  wexe::ProgramT program = programWithFunction();
  program.tensors[3]->shape = {8};
  Session run(LoadedProgram::verify(std::move(program)), {});
  run.setWeight("fc.weight", w);
  expectRefused([&] { run.run("main", {{"x", x}}); }, {"'double'", "f32[4x2]", "'z'", "f32[8]"});
  registerComputeBackend(nullptr);
}

// The contraction that the engines are tested with, its schedule made here from tensors: on an odd grid, with groups, bias, several
// micro-batches of which the last is not full, weights converted from f32.
TEST(SessionContractionTest, GivesTheBitsOfTheDocumentedOrder) {
  Contraction shape;
  shape.groups = 2;
  shape.columns = 3;
  shape.rows = 2;
  shape.tokenBlock = 3;
  shape.k = 7;
  shape.n = 5;
  shape.withBias = true;
  const unsigned perBatch = shape.tokens(), tokens = 2 * perBatch + 5;
  std::vector<ContractionData> batches;
  for (unsigned m = 0; m < 3; ++m) {
    batches.push_back(contractionData(shape, m + 1));
    batches[m].w = batches[0].w;
    batches[m].bias = batches[0].bias;
  }

  ProgramBuilder builder = contractionProgram(shape, testMachine(shape.width(), shape.rows));
  wexe::ProgramT &program = builder.program;
  auto tensor = [&](const char *name, wexe::Role role, Shape dims) {
    program.tensors.push_back(std::make_unique<wexe::TensorT>());
    program.tensors.back()->name = name;
    program.tensors.back()->role = role;
    program.tensors.back()->type = wexe::ElemType::F32;
    program.tensors.back()->shape = std::move(dims);
  };
  tensor("x", wexe::Role::Input, {tokens, shape.k});
  tensor("w", wexe::Role::Weight, {shape.n, shape.k});
  tensor("b", wexe::Role::Weight, {shape.n});
  tensor("y", wexe::Role::Output, {tokens, shape.n});
  auto entry = std::make_unique<wexe::EntryT>();
  entry->name = "main";
  entry->inputs = {0};
  entry->outputs = {3};
  auto phase = std::make_unique<wexe::PhaseT>();
  phase->grid = std::make_unique<wexe::GridT>();
  phase->grid->columns = static_cast<uint16_t>(shape.columns);
  phase->grid->rows = static_cast<uint16_t>(shape.rows);
  phase->grid->groups = static_cast<uint16_t>(shape.groups);
  phase->grid->token_block = static_cast<uint16_t>(shape.tokenBlock);
  phase->grid->tokens = tokens;
  phase->grid->micro_batches = 3;
  auto step = [&](wexe::StepKind kind, int number) -> wexe::StepT & {
    phase->steps.push_back(std::make_unique<wexe::StepT>());
    phase->steps.back()->kind = kind;
    phase->steps.back()->tensor = number;
    phase->steps.back()->type = wexe::ElemType::F16;
    return *phase->steps.back();
  };
  // Tasks and colours of contractionProgram.
  wexe::StepT &send = step(wexe::StepKind::Send, 0);
  send.feature_block = shape.blockK();
  send.colour = 1;
  send.task = 1;
  step(wexe::StepKind::Command, -1).task = 2;
  wexe::StepT &contract = step(wexe::StepKind::Contract, 1);
  contract.bias = 2;
  contract.wire = wexe::WireFormat::Packed16;
  contract.rows = shape.n;
  contract.columns = shape.k;
  contract.row_stride = shape.k;
  contract.column_stride = 1;
  contract.feature_block = shape.blockK();
  contract.out_block = shape.blockN();
  contract.task_east = 3;
  contract.task_west = 4;
  contract.task_own = 5;
  contract.task_bias = 6;
  wexe::StepT &receive = step(wexe::StepKind::Receive, 3);
  receive.feature_block = shape.blockN();
  receive.colour = static_cast<uint8_t>(7 + shape.rows % 2);
  receive.task = 7;
  entry->phases.push_back(std::move(phase));
  program.entries.push_back(std::move(entry));

  std::vector<float> input, weights, expected;
  for (unsigned token = 0; token < tokens; ++token)
    for (unsigned k = 0; k < shape.k; ++k)
      input.push_back(batches[token / perBatch].x[k][token % perBatch]);
  for (const auto &row : batches[0].w)
    weights.insert(weights.end(), row.begin(), row.end());
  for (unsigned token = 0; token < tokens; ++token)
    for (unsigned n = 0; n < shape.n; ++n)
      expected.push_back(expectedOutput(shape, batches[token / perBatch])[n][token % perBatch]);

  TemporaryFolder folder;
  writeSafetensors(folder.file("w.safetensors"), {{"w", floats({shape.n, shape.k}, weights)}, {"b", floats({shape.n}, batches[0].bias)}});
  for (const char *engine : {"functional", "cycle"}) {
    SessionOptions options;
    options.engine = engine;
    options.dramBudget = 64; // a row of w and a bias, and little more
    Session run(builder.verify(), options);
    run.loadWeights({folder.file("w.safetensors")});
    EXPECT_EQ(valuesOf<float>(run.run("main", {{"x", floats({tokens, shape.k}, input)}}).at("y")), expected) << engine;
    EXPECT_LE(run.stats().memoryX.dramPeakBytes, 64u);
  }
}

} // namespace
