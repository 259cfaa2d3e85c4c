//===- TimingTest.cpp - what takes how many cycles ----------------------------===//
//
// Section 6 of docs/spec/machine.md, one rule per test. Most compare two programs that differ in one thing, so that what is common does not
// matter.
//
//===----------------------------------------------------------------------===//

#include "TestPrograms.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

using namespace wafer;
using namespace wafer::test;
using wexe::Dir;

namespace {

constexpr auto F16 = ElementType::F16, F32 = ElementType::F32;
constexpr unsigned commands = 0, first = 1, second = 2;

EngineStats run(const ProgramBuilder &builder, ListIngress in, ListEgress *out = nullptr, const EngineOptions &options = {}) {
  LoadedProgram program = builder.verify();
  ListEgress ignored;
  return createCycleEngine(program, options)->run(in, out ? *out : ignored);
}

/// Colours that go straight from the north edge to the south edge in every column.
ProgramBuilder passThrough(const Machine &machine, std::vector<unsigned> colours = {first}) {
  ProgramBuilder builder(machine);
  for (unsigned colour : colours) {
    builder.colour(colour, "pass" + std::to_string(colour));
    for (unsigned x = 0; x < machine.width; ++x)
      for (unsigned y = 0; y < machine.height; ++y)
        builder.route(colour, x, y, Dir::N, {Dir::S});
  }
  return builder;
}

TEST(FabricTimeTest, ARouterTakesHopCycles) {
  Machine small = testMachine(1, 3), tall = testMachine(1, 9);
  small.hopCycles = tall.hopCycles = 5;
  EngineStats near = run(passThrough(small), ListIngress().data(first, 0, {1}));
  EngineStats far = run(passThrough(tall), ListIngress().data(first, 0, {1}));
  EXPECT_EQ(far.cycles - near.cycles, 6u * 5);
  EXPECT_EQ(near.hops, 2u);
  EXPECT_EQ(far.hops, 8u);
}

TEST(FabricTimeTest, ALinkMovesOneWaveletPerCycle) {
  Machine machine = testMachine(1, 4);
  EngineStats few = run(passThrough(machine), ListIngress().data(first, 0, std::vector<uint32_t>(10)));
  EngineStats many = run(passThrough(machine), ListIngress().data(first, 0, std::vector<uint32_t>(1010)));
  EXPECT_EQ(many.cycles - few.cycles, 1000u);
  EXPECT_EQ(many.waveletsOut, 1010u);
}

// With places for fewer wavelets than a hop takes cycles, a link cannot be kept busy.
TEST(FabricTimeTest, AShortQueueSlowsALink) {
  Machine machine = testMachine(1, 4);
  machine.hopCycles = 3;
  machine.routerQueueDepth = 1;
  EngineStats few = run(passThrough(machine), ListIngress().data(first, 0, std::vector<uint32_t>(10)));
  EngineStats many = run(passThrough(machine), ListIngress().data(first, 0, std::vector<uint32_t>(110)));
  EXPECT_GE(many.cycles - few.cycles, 300u);
}

ListIngress eachColumn(unsigned columns, unsigned wavelets) {
  ListIngress in;
  for (unsigned i = 0; i < wavelets; ++i)
    for (unsigned x = 0; x < columns; ++x)
      in.data(first, x, {i});
  return in;
}

TEST(FabricTimeTest, IngestIsLimited) {
  Machine machine = testMachine(4, 2);
  machine.ingestWaveletsPerCycle = 1;
  EXPECT_GE(run(passThrough(machine), eachColumn(4, 100)).cycles, 400u);
  machine.ingestWaveletsPerCycle = 4;
  EXPECT_LT(run(passThrough(machine), eachColumn(4, 100)).cycles, 120u);
}

// A wavelet that goes to several ports counts once.
TEST(FabricTimeTest, AFullPortHoldsUpNoOther) {
  Machine machine = testMachine(2, 1);
  machine.ingestWaveletsPerCycle = 2;
  const std::vector<uint32_t> words(300, 7);
  uint64_t one = run(passThrough(machine), ListIngress().data(first, 0, words)).cycles;
  EXPECT_LE(run(passThrough(machine), ListIngress().data(first, 0, words).data(first, 1, words)).cycles, one + machine.coreQueueDepth);
}

TEST(FabricTimeTest, IngestCountsAMulticastOnce) {
  Machine machine = testMachine(4, 2);
  machine.ingestWaveletsPerCycle = 1;
  ListIngress in;
  in.data(first, 0, std::vector<uint32_t>(100));
  in.bursts.back().portCount = 4;
  EngineStats stats = run(passThrough(machine), in);
  EXPECT_LT(stats.cycles, 120u);
  EXPECT_EQ(stats.waveletsIn, 100u);
  EXPECT_EQ(stats.waveletsOut, 400u);
}

// Columns take turns at a narrow way out: none is starved.
TEST(FabricTimeTest, EgressIsLimitedAndFair) {
  Machine machine = testMachine(4, 2);
  machine.egressWaveletsPerCycle = 1;
  ListEgress out;
  EngineStats stats = run(passThrough(machine), eachColumn(4, 100), &out);
  EXPECT_GE(stats.cycles, 400u);
  std::vector<unsigned> seen(4);
  for (size_t i = 0; i < 200; ++i)
    ++seen[out.order[i].first];
  for (unsigned count : seen)
    EXPECT_NEAR(count, 50, 5);
}

// Two colours meet at one output, each with a wavelet per cycle, beside an idle third: they take turns.
TEST(FabricTimeTest, ColoursTakeTurnsAtAnOutput) {
  ProgramBuilder builder(testMachine(2, 1));
  for (unsigned colour : {first, second, 3u})
    builder.colour(colour, "colour" + std::to_string(colour));
  builder.route(first, 0, 0, Dir::N, {Dir::S}).route(3, 0, 0, Dir::N, {Dir::S});
  builder.route(second, 1, 0, Dir::N, {Dir::W}).route(second, 0, 0, Dir::E, {Dir::S});
  ListIngress in;
  for (unsigned i = 0; i < 100; ++i)
    in.data(first, 0, {i}).data(second, 1, {i});
  ListEgress out;
  EngineStats stats = run(builder, in, &out);
  EXPECT_GE(stats.cycles, 200u);
  for (size_t i = 10; i < 180; ++i)
    EXPECT_NE(out.order[i].second, out.order[i + 1].second) << i;
}

// Whose turn it is does not outlive a run: the same stream comes out in the same order again.
TEST(FabricTimeTest, EveryRunBeginsWithTheSameTurn) {
  ProgramBuilder builder(testMachine(3, 1));
  builder.colour(first, "first").colour(second, "second");
  builder.route(first, 0, 0, Dir::N, {Dir::E}).route(first, 1, 0, Dir::W, {Dir::S});
  builder.route(second, 2, 0, Dir::N, {Dir::W}).route(second, 1, 0, Dir::E, {Dir::S});
  LoadedProgram program = builder.verify();
  auto engine = createCycleEngine(program, {});
  std::vector<std::pair<unsigned, unsigned>> orders[2];
  for (auto &order : orders) {
    ListEgress out;
    ListIngress in = ListIngress().data(first, 0, {1}).data(second, 2, {1}).data(first, 0, {2});
    engine->run(in, out);
    order = out.order;
  }
  EXPECT_EQ(orders[0], orders[1]);
}

TEST(FabricTimeTest, OrderIsKeptPerPortAndColour) {
  std::vector<uint32_t> words;
  for (uint32_t i = 0; i < 300; ++i)
    words.push_back(i * 77);
  ListEgress out;
  run(passThrough(testMachine(2, 3)), ListIngress().data(first, 1, words), &out);
  EXPECT_EQ(out.words(1, first), words);
}

/// Cycles of one command to one core.
uint64_t taskCycles(const Machine &machine, const std::vector<std::string> &code) {
  ProgramBuilder builder(machine);
  builder.colour(commands, "command").route(commands, 0, 0, Dir::N, {Dir::Ramp});
  ImageBuilder image = builder.image("image", commands);
  image.mem("a", F32, 4096, {64}).mem("b", F32, 8192, {64}).mem("half", F16, 16384, {64}).mem("c", F32, 12288, {64});
  image.mem("sum", F32, 20480, {8, 8}, {1, 0}).mem("square", F32, 4096, {8, 8}).mem("none", F32, 4096, {0});
  std::vector<std::string> all = {"ldd d0, %a",   "ldd d1, %b",      "ldd d2, %half", "ldd d3, %c",
                                  "ldd d4, %sum", "ldd d5, %square", "ldd d6, %none"};
  all.insert(all.end(), code.begin(), code.end());
  image.controlTask("work", 1, all);
  builder.core(0, 0);
  return run(builder, ListIngress().command(commands, 0, 1)).cycles;
}

uint64_t added(const Machine &machine, const std::vector<std::string> &code) { return taskCycles(machine, code) - taskCycles(machine, {}); }

TEST(CoreTimeTest, ControlInstructions) {
  Machine machine = testMachine(1, 1);
  machine.scalarCycles = 3;
  machine.descriptorCycles = 7;
  EXPECT_EQ(added(machine, {"swapd d0, d1"}), 3u);
  EXPECT_EQ(added(machine, {"addd d0, 4", "addd d0, -4"}), 6u);
  EXPECT_EQ(added(machine, {"ldd d0, %b"}), 7u);
}

TEST(CoreTimeTest, StartOfAControlTask) {
  Machine slow = testMachine(1, 1), fast = slow;
  slow.taskCycles = 11;
  fast.taskCycles = 0;
  EXPECT_EQ(taskCycles(slow, {}) - taskCycles(fast, {}), 11u);
}

// Command after command, each a task that only ends.
TEST(CoreTimeTest, AnEmptyTaskTakesItsStartAndItsEnd) {
  Machine machine = testMachine(1, 1);
  machine.taskCycles = 4;
  machine.scalarCycles = 3;
  auto cycles = [&](unsigned commandCount) {
    ProgramBuilder builder(machine);
    builder.colour(commands, "command").route(commands, 0, 0, Dir::N, {Dir::Ramp});
    builder.image("image", commands).controlTask("nothing", 1, {});
    builder.core(0, 0);
    ListIngress in;
    for (unsigned i = 0; i < commandCount; ++i)
      in.command(commands, 0, 1);
    return run(builder, in).cycles;
  };
  EXPECT_EQ(cycles(101) - cycles(1), 100u * (4 + 3));
}

// A run is over when the last instruction is, also if that is the end of a task.
TEST(CoreTimeTest, TheLastEndIsPartOfTheRun) {
  Machine slow = testMachine(1, 1), fast = slow;
  slow.scalarCycles = 50;
  fast.scalarCycles = 1;
  EXPECT_EQ(taskCycles(slow, {}) - taskCycles(fast, {}), 49u);
}

TEST(CoreTimeTest, VectorInstructionsTakeSetUpAndOneCyclePerGroup) {
  Machine machine = testMachine(1, 1);
  machine.vectorSetupCycles = 5;
  machine.vectorLanes = {4, 8, 16};
  machine.functionLanes = {1, 2, 2};
  EXPECT_EQ(added(machine, {"add.f32 d0, d0, d1"}), 5u + 64 / 4);
  EXPECT_EQ(added(machine, {"mov.f16 d2, d0"}), 5u + 64 / 8);
  EXPECT_EQ(added(machine, {"exp.f32 d0, d1"}), 5u + 64);
  EXPECT_EQ(added(machine, {"exp.f16 d2, d1"}), 5u + 32);
  EXPECT_EQ(added(machine, {"mov.f32 d6, d6"}), 5u); // no elements
  machine.vectorSetupCycles = 0;
  EXPECT_EQ(added(machine, {"add.f32 d0, d0, d1"}), 64u / 4);
}

// Each addition needs the one before.
TEST(CoreTimeTest, AnAccumulatingDestinationHasOneLane) {
  Machine machine = testMachine(1, 1);
  EXPECT_EQ(added(machine, {"add.f32 d4, d4, d5"}), machine.vectorSetupCycles + 64u);
}

// The datapath is one, but set-up overlaps; a conflict makes the later operation wait for the whole of the earlier one.
TEST(CoreTimeTest, MicrothreadsShareTheDatapath) {
  Machine machine = testMachine(1, 1);
  machine.vectorSetupCycles = 40;
  machine.vectorLanes.bits32 = 1;
  uint64_t one = added(machine, {"mov.f32 d0, d1 async"});
  uint64_t independent = added(machine, {"mov.f32 d0, d1 async", "neg.f32 d3, d1 async"});
  uint64_t dependent = added(machine, {"mov.f32 d0, d1 async", "neg.f32 d3, d0 async"});
  EXPECT_NEAR(static_cast<double>(independent - one), 64, 2);
  EXPECT_NEAR(static_cast<double>(dependent - one), 64 + 40, 2);
}

// A data wavelet: trigger_cycles, then the FMACs at the lanes of where the sum is.
TEST(CoreTimeTest, TriggerLanesDependOnTheAccumulator) {
  auto weights = [](bool inCache, unsigned count) {
    Machine machine = testMachine(1, 1);
    machine.triggerCycles = 2;
    machine.fmacAccLanes.bits16 = 8;
    machine.fmacMemLanes.bits16 = 4;
    ProgramBuilder builder(machine);
    builder.colour(commands, "command").route(commands, 0, 0, Dir::N, {Dir::Ramp});
    ImageBuilder image = builder.image("image", commands);
    image.mem("rows", F16, 4096, {4, 1, 1, 40}, {40, 0, 0, 1}).mem("memory", F32, 8192, {40}).acc("cache", F32, 0, {40});
    image.dataTask("weights", "fmacw.f16 d1, d0");
    image.controlTask("begin", 1, {"ldd d0, %rows", inCache ? "ldd d1, %cache" : "ldd d1, %memory", "bind @weights"});
    builder.core(0, 0);
    ListIngress in;
    in.command(commands, 0, 1).data(commands, 0, std::vector<uint32_t>(count, 1u << 16));
    return run(builder, in).cycles;
  };
  EXPECT_EQ(weights(true, 120) - weights(true, 20), 100u * (2 + 40 / 8));
  EXPECT_EQ(weights(false, 120) - weights(false, 20), 100u * (2 + 40 / 4));
}

// The same lanes for products of what is in memory, by how both factors are stored; they count as MACs.
TEST(CoreTimeTest, FmacsOfMemoryHaveTheLanesOfArrivingOnes) {
  auto products = [](const char *first, const char *sum) {
    Machine machine = testMachine(1, 1);
    machine.vectorSetupCycles = 3;
    machine.fmacAccLanes = {2, 8, 16};
    machine.fmacMemLanes = {1, 4, 8};
    ProgramBuilder builder(machine);
    builder.colour(commands, "command").route(commands, 0, 0, Dir::N, {Dir::Ramp});
    ImageBuilder image = builder.image("image", commands);
    image.mem("narrow", F16, 4096, {64}).mem("wide", F32, 6144, {64}).mem("memory", F32, 8192, {64}).acc("cache", F32, 0, {64});
    image.controlTask("begin", 1, {std::string("ldd d0, %") + first, "ldd d1, %narrow", std::string("ldd d2, %") + sum});
    image.controlTask("nothing", 2, {});
    image.controlTask("products", 3, {"fmac.f32 d2, d0, d1, d2"});
    builder.core(0, 0);
    auto cycles = [&](unsigned task) {
      ListIngress in;
      in.command(commands, 0, 1).command(commands, 0, task);
      const EngineStats stats = run(builder, in);
      EXPECT_EQ(stats.macs, task == 3 ? 64u : 0u);
      return stats.cycles;
    };
    return cycles(3) - cycles(2);
  };
  EXPECT_EQ(products("narrow", "cache"), 3u + 64 / 8);
  EXPECT_EQ(products("narrow", "memory"), 3u + 64 / 4);
  EXPECT_EQ(products("wide", "cache"), 3u + 64 / 2);
}

// Every core-cycle has one name.
TEST(CoreTimeTest, ActivitiesAddUp) {
  Contraction shape;
  shape.columns = shape.rows = 3;
  shape.k = 10;
  shape.n = 7;
  ContractionData data = contractionData(shape);
  EngineStats stats = run(contractionProgram(shape, testMachine(3, 3)), wholeSchedule(shape, data));
  uint64_t sum = 0;
  for (const auto &[name, cycles] : stats.coreCycles)
    sum += cycles;
  EXPECT_EQ(sum, stats.cycles * stats.cores);
  for (const char *name : {"busy", "microthread", "wait-command"})
    EXPECT_GT(stats.coreCycles[name], 0u) << name;
  EXPECT_EQ(stats.coreCycles.size(), 7u);
}

TEST(CycleEngineTest, NothingToDoTakesNoTime) {
  EngineStats stats = run(passThrough(testMachine(2, 2)), ListIngress());
  EXPECT_EQ(stats.cycles, 0u);
}

// A wafer that is mostly idle costs what is busy: a contraction on 3x2 cores of a 300x300 machine is as fast to emulate as on its own.
TEST(CycleEngineTest, RunsASmallGridInALargeMachine) {
  Contraction shape;
  shape.columns = 3;
  shape.rows = 2;
  shape.k = shape.n = 12;
  ContractionData data = contractionData(shape);
  ListEgress out;
  run(contractionProgram(shape, testMachine(300, 300)), wholeSchedule(shape, data), &out);
  EXPECT_EQ(receivedOutput(shape, out), expectedOutput(shape, data));
}

// The trace has the tasks by name and is valid JSON with one event per line.
TEST(TraceTest, NamesTheTasksOfEachCore) {
  Contraction shape;
  shape.columns = 2;
  ContractionData data = contractionData(shape);
  EngineOptions options;
  options.traceFile = testing::TempDir() + "wafer-trace-test.json";
  run(contractionProgram(shape, testMachine(2, 1)), wholeSchedule(shape, data), nullptr, options);
  std::ifstream file(options.traceFile);
  std::ostringstream text;
  text << file.rdbuf();
  std::remove(options.traceFile.c_str());
  EXPECT_EQ(text.str().rfind("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{", 0), 0u) << text.str().substr(0, 200);
  EXPECT_EQ(text.str().substr(text.str().size() - 5), "}\n]}\n");
  for (const char *part : {"\"name\":\"core (1, 0)\"", "\"name\":\"take_input\"", "\"name\":\"weights\"", "\"name\":\"pass_east\"",
                           "\"name\":\"own\"", "\"ph\":\"X\""})
    EXPECT_NE(text.str().find(part), std::string::npos) << part;
}

} // namespace
