//===- ContractionTest.cpp - weights stream, sums agree bit for bit -----------===//

#include "TestPrograms.h"
#include "wafer/Emulator/SortedRows.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace wafer;
using namespace wafer::test;

namespace {

struct Case {
  const char *name;
  Contraction shape;
  unsigned spareColumns = 0, spareRows = 0; ///< by which the machine is larger than the grid
};

void PrintTo(const Case &which, std::ostream *out) { *out << which.name; }

Contraction shapeOf(unsigned columns, unsigned rows, unsigned k, unsigned n, unsigned tokens, ElementType type) {
  Contraction shape;
  shape.columns = columns;
  shape.rows = rows;
  shape.k = k;
  shape.n = n;
  shape.tokenBlock = tokens;
  shape.type = type;
  return shape;
}

Contraction with(Contraction shape, bool indexed, bool bias, unsigned groups = 1) {
  shape.indexed = indexed;
  shape.withBias = bias;
  shape.groups = groups;
  shape.density = indexed ? 0.3 : 1;
  return shape;
}

Contraction reloading(Contraction shape) {
  shape.reloads = true;
  return shape;
}

Contraction withInputZeros(Contraction shape, double density) {
  shape.inputDensity = density;
  return shape;
}

constexpr auto F16 = ElementType::F16, BF16 = ElementType::BF16, F32 = ElementType::F32;

const Case cases[] = {
    {"OneCoreF16", shapeOf(1, 1, 8, 4, 4, F16)},
    {"OneCoreF32", shapeOf(1, 1, 8, 4, 4, F32)},
    {"OneRowF16", shapeOf(5, 1, 13, 7, 3, F16)},
    {"OneColumnF16", shapeOf(1, 6, 9, 5, 4, F16)},
    {"OneColumnF32", shapeOf(1, 5, 7, 3, 5, F32)},
    {"SquareF16", shapeOf(4, 4, 16, 16, 8, F16)},
    {"SquareF32", shapeOf(4, 4, 16, 16, 8, F32)},
    {"SquareBF16", shapeOf(4, 4, 16, 16, 8, BF16)},
    {"OddGridF16WithBias", with(shapeOf(7, 5, 31, 17, 5, F16), false, true)},
    {"OddGridF32WithBias", with(shapeOf(7, 5, 31, 17, 5, F32), false, true)},
    {"OneTokenF16", shapeOf(3, 3, 7, 5, 1, F16)},
    {"EmptyColumnsF16", with(shapeOf(7, 2, 4, 3, 4, F16), false, true)},
    {"EmptyColumnsF32", with(shapeOf(7, 2, 4, 3, 4, F32), false, true)},
    {"IndexedF16", with(shapeOf(4, 3, 37, 9, 6, F16), true, true)},
    {"IndexedBF16", with(shapeOf(4, 3, 37, 9, 6, BF16), true, false)},
    {"TwoGroupsF16", with(shapeOf(2, 4, 11, 6, 4, F16), false, true, 2)},
    {"InsideALargerMachine", shapeOf(3, 2, 10, 8, 4, F16), 2, 3},
    {"ZerosOfInputF16", withInputZeros(with(shapeOf(7, 5, 31, 17, 5, F16), false, true), 0.2)},
    {"ZerosOfInputF32", withInputZeros(with(shapeOf(4, 3, 21, 9, 6, F32), false, true), 0.4)},
    {"ZerosOfInputBF16", withInputZeros(shapeOf(3, 2, 13, 5, 4, BF16), 0.5)},
    {"ZerosOfBothF16", withInputZeros(with(shapeOf(4, 3, 37, 9, 6, F16), true, true), 0.1)},
    {"NothingButZeros", withInputZeros(shapeOf(2, 2, 6, 4, 4, F16), 0)},
    {"FullCache", shapeOf(2, 2, 6, 4, 64, F16)},
    {"ManyRowsF16", with(shapeOf(3, 3, 40, 150, 30, F16), false, true, 2)},
    {"ManyRowsIndexed", with(shapeOf(5, 2, 90, 130, 7, F16), true, true)},
    {"ReloadingF16WithBias", reloading(with(shapeOf(7, 5, 31, 17, 5, F16), false, true))},
    {"ReloadingIndexed", reloading(with(shapeOf(4, 3, 37, 9, 6, F16), true, true))},
    {"ReloadingZerosOfBothF16", reloading(withInputZeros(with(shapeOf(4, 3, 37, 9, 6, F16), true, true), 0.1))},
};

class ContractionTest : public testing::TestWithParam<std::tuple<const char *, Case>> {};

// Every shape, wire format and engine gives the bits of the documented order, and does the arithmetic that the stream asks for.
TEST_P(ContractionTest, HasTheBitsOfTheDocumentedOrder) {
  const auto &[engineName, which] = GetParam();
  const Contraction &shape = which.shape;
  ContractionData data = contractionData(shape);
  LoadedProgram program = contractionProgram(shape, testMachine(shape.width() + which.spareColumns, shape.rows + which.spareRows)).verify();
  auto engine = createEngine(engineName, program, {});
  ListIngress in(wholeSchedule(shape, data));
  ListEgress out;
  EngineStats stats = engine->run(in, out);

  EXPECT_EQ(receivedOutput(shape, out), expectedOutput(shape, data));
  uint64_t products = 0;
  for (const auto &row : data.w)
    for (unsigned k = 0; k < shape.k; ++k)
      for (float x : data.x[k])
        products += (!shape.indexed || row[k] != 0) && (shape.inputDensity == 1 || x != 0);
  const uint64_t macs = products + (shape.withBias ? shape.n : 0) * shape.tokens();
  EXPECT_EQ(stats.macs, macs);
  uint64_t skipping = 0;
  for (auto [task, counted] : stats.skippingMacs)
    skipping += counted;
  EXPECT_EQ(skipping, shape.inputDensity < 1 ? macs : 0);
  EXPECT_EQ(stats.cores, uint64_t(shape.width()) * shape.rows);
  // A first column without a weight in the first row hides that rows begin.
  if (std::string(engineName) == "functional" && !shape.reloads && !shape.indexed)
    EXPECT_EQ(stats.rowsTogether, shape.n);
  if (shape.reloads)
    EXPECT_EQ(stats.rowsTogether, 0u);
}

// Rows that MemoryX offers whole give what their bursts give, in bits and in counts, whether or not the engine takes them, with what it kept of them, and shared by
// threads.
TEST_P(ContractionTest, IsTheSameInWholeRows) {
  const auto &[engineName, which] = GetParam();
  const Contraction &shape = which.shape;
  ContractionData data = contractionData(shape);
  LoadedProgram program = contractionProgram(shape, testMachine(shape.width() + which.spareColumns, shape.rows + which.spareRows)).verify();
  ListIngress bursts(wholeSchedule(shape, data));
  ListEgress out, outOfRows;
  EngineStats expected = createEngine("cycle", program, {})->run(bursts, out);
  std::unique_ptr<Engine> engine;
  SortedRows kept(shape.n, shape.columns);
  for (int run = 0; run < 5; ++run) {
    if (run % 2 == 0) {
      EngineOptions options;
      options.threads = run == 2 ? 3 : 1;
      engine = createEngine(engineName, program, options);
    }
    RowIngress rows(shape, data);
    if (run > 0)
      rows.kept = &kept;
    outOfRows = ListEgress();
    EngineStats stats = engine->run(rows, outOfRows);
    EXPECT_EQ(outOfRows.byChannel, out.byChannel);
    EXPECT_EQ(stats.macs, expected.macs);
    EXPECT_EQ(stats.instructions, expected.instructions);
    EXPECT_EQ(stats.elementOps, expected.elementOps);
    EXPECT_EQ(stats.waveletsIn, expected.waveletsIn);
    EXPECT_EQ(stats.waveletsOut, expected.waveletsOut);
    EXPECT_EQ(stats.sramHighWater, expected.sramHighWater);
    EXPECT_EQ(stats.skippingMacs, expected.skippingMacs);
    const bool isTaken = std::string(engineName) == "functional" && !shape.reloads;
    EXPECT_EQ(stats.rowsTogether, isTaken ? shape.n : 0u);
    EXPECT_EQ(kept.isComplete(), run > 0 && isTaken);
    EXPECT_EQ(kept.arrangements.empty(), run < 2 || !isTaken);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ContractionTest, testing::Combine(testing::Values("cycle", "functional"), testing::ValuesIn(cases)),
                         [](const auto &info) { return std::string(std::get<0>(info.param)) + std::get<1>(info.param).name; });

// The order of multiplying stays with the weights, and nothing else does.
TEST(KeptRowsTest, BiasesAndTokensAreThoseOfTheRun) {
  Contraction shape = shapeOf(3, 2, 24, 9, 4, F16);
  shape.indexed = shape.withBias = true;
  ContractionData data = contractionData(shape);
  const ContractionData other = contractionData(shape, 2);
  LoadedProgram program = contractionProgram(shape, testMachine(3, 2)).verify();
  std::unique_ptr<Engine> engine = createEngine("functional", program, {});
  SortedRows kept(shape.n, shape.columns);
  for (int run = 0; run < 4; ++run) {
    if (run == 3) {
      data.x = other.x;
      data.bias = other.bias;
    }
    RowIngress rows(shape, data);
    rows.kept = &kept;
    ListEgress out;
    EXPECT_EQ(engine->run(rows, out).rowsTogether, shape.n);
    EXPECT_EQ(receivedOutput(shape, out), expectedOutput(shape, data)) << "run " << run;
  }
  EXPECT_EQ(kept.arrangements.size(), 1u);
}

// A weight that is no number meets no zero, on the fast path as on the other.
TEST(SkippingTest, InfinityTimesZeroIsPassedOver) {
  for (ElementType type : {F16, F32}) {
    Contraction shape = withInputZeros(shapeOf(3, 2, 9, 4, 4, type), 0.3);
    ContractionData data = contractionData(shape);
    data.w[1][2] = std::numeric_limits<float>::infinity();
    data.x[2].assign(shape.tokens(), 0);
    LoadedProgram program = contractionProgram(shape, testMachine(3, 2)).verify();
    for (const char *engine : {"functional", "cycle"}) {
      ListIngress in(wholeSchedule(shape, data));
      ListEgress out;
      createEngine(engine, program, {})->run(in, out);
      auto received = receivedOutput(shape, out);
      EXPECT_EQ(received, expectedOutput(shape, data)) << engine;
      EXPECT_TRUE(std::isfinite(received[1][0])) << engine;
    }
  }
}

TEST(SkippingTest, ZerosTakeNoTime) {
  uint64_t cycles[2];
  for (int i = 0; i < 2; ++i) {
    Contraction shape = withInputZeros(shapeOf(2, 2, 64, 32, 32, F16), i == 0 ? 0.999 : 0.05);
    ContractionData data = contractionData(shape);
    LoadedProgram program = contractionProgram(shape, testMachine(2, 2)).verify();
    ListIngress in(wholeSchedule(shape, data));
    ListEgress out;
    cycles[i] = createEngine("cycle", program, {})->run(in, out).cycles;
  }
  EXPECT_LT(3 * cycles[1], 2 * cycles[0]);
}

class EnginesTest : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Shapes, EnginesTest, testing::ValuesIn(cases), [](const auto &info) { return std::string(info.param.name); });

// Engines agree on everything but time, also when the same rows come once more.
TEST_P(EnginesTest, CountTheSame) {
  const Contraction &shape = GetParam().shape;
  ContractionData data = contractionData(shape);
  LoadedProgram program = contractionProgram(shape, testMachine(shape.width(), shape.rows)).verify();
  EngineStats stats[2];
  std::vector<std::vector<float>> outputs[2];
  for (int i = 0; i < 2; ++i) {
    EngineOptions options;
    options.threads = 2;
    const auto engine = createEngine(i == 0 ? "cycle" : "functional", program, options);
    for (int times = 0; times < 2; ++times) {
      ListIngress in(wholeSchedule(shape, data));
      ListEgress out;
      stats[i] = engine->run(in, out);
      outputs[i] = receivedOutput(shape, out);
    }
  }
  EXPECT_EQ(outputs[0], outputs[1]);
  EXPECT_EQ(stats[0].instructions, stats[1].instructions);
  EXPECT_EQ(stats[0].macs, stats[1].macs);
  EXPECT_EQ(stats[0].elementOps, stats[1].elementOps);
  EXPECT_EQ(stats[0].waveletsIn, stats[1].waveletsIn);
  EXPECT_EQ(stats[0].waveletsOut, stats[1].waveletsOut);
  EXPECT_EQ(stats[0].sramHighWater, stats[1].sramHighWater);
}

/// Code that is nearly that of a contraction, and how many of its twelve rows are multiplied together all the same.
struct Variant {
  const char *name;
  std::vector<std::string> passEast, own;
  unsigned together;
};

// Whatever tasks do with sums, engines agree; what is no chain of sums is left to the cores.
TEST(FunctionalEngineTest, LeavesOtherCodeToTheCores) {
  const std::string y = "add.f32 d7, d8, d5 async", sum = "add.f32 d8, d3, d1 async clear1", next = "addd d7, 8", sums = "swapd d1, d2", totals = "swapd d8, d9";
  const Variant variants[] = {
      {"AsUsual", {}, {}, 12},
      {"Synchronous", {"add.f32 d4, d3, d1 clear1", sums}, {"add.f32 d8, d3, d1 clear1", "add.f32 d7, d8, d5", next, sums, totals}, 12},
      {"ResultsInOnePlace", {}, {sum, y, "addd d7, 0", sums, totals}, 12},
      // Nobody passes the sum of the first row to the east.
      {"SumsThatStay", {"add.f32 d4, d3, d1 async", sums}, {}, 1},
      {"OneAccumulator", {"add.f32 d4, d3, d1 async clear1"}, {sum, y, next, totals}, 0},
      {"OneTotal", {}, {sum, y, next, sums}, 0},
      {"OtherOrderOfOperands", {}, {sum, "add.f32 d7, d5, d8 async", next, sums, totals}, 0},
      {"Differences", {"sub.f32 d4, d3, d1 async clear1", sums}, {}, 1},
      {"Twice", {}, {sum, y, next, sums, totals, "mov.f32 d9, d8"}, 0},
      // Results that come where ones, sums and totals are.
      {"ResultsThatMeetSums", {}, {sum, y, "addd d7, 20", sums, totals}, 99},
      {"ResultsThatGoBack", {}, {sum, y, "addd d7, -8", sums, totals}, 99},
  };
  for (const Variant &variant : variants) {
    Contraction shape = shapeOf(3, 2, 10, 12, 4, F16);
    shape.passEast = variant.passEast;
    shape.own = variant.own;
    ContractionData data = contractionData(shape);
    LoadedProgram program = contractionProgram(shape, testMachine(shape.width(), shape.rows)).verify();
    EngineStats stats[2];
    std::vector<std::vector<float>> outputs[2];
    for (int i = 0; i < 2; ++i) {
      ListIngress in(wholeSchedule(shape, data));
      ListEgress out;
      stats[i] = createEngine(i == 0 ? "cycle" : "functional", program, {})->run(in, out);
      outputs[i] = receivedOutput(shape, out);
    }
    EXPECT_EQ(outputs[0], outputs[1]) << variant.name;
    EXPECT_EQ(stats[0].instructions, stats[1].instructions) << variant.name;
    EXPECT_EQ(stats[0].elementOps, stats[1].elementOps) << variant.name;
    EXPECT_EQ(stats[0].sramHighWater, stats[1].sramHighWater) << variant.name;
    if (variant.together <= 12)
      EXPECT_EQ(stats[1].rowsTogether, variant.together) << variant.name;
    else
      EXPECT_LT(stats[1].rowsTogether, 12u) << variant.name;
  }
}

// Rows that go to all groups at once, then to one group after the other, then to all again: the cores are the same, and so is what they make.
TEST(FunctionalEngineTest, RowsMayGoToOtherGroupsThanTheOnesBefore) {
  const Contraction shape = with(shapeOf(3, 2, 10, 18, 4, F16), false, true, 2);
  const ContractionData data = contractionData(shape);
  const LoadedProgram program = contractionProgram(shape, testMachine(shape.width(), shape.rows)).verify();
  std::deque<Burst> schedule, row;
  unsigned rows = 0;
  auto flush = [&] {
    const bool apart = rows++ % 4 == 1; // of all owners
    for (uint16_t group = 0; group < (apart ? 2 : 1); ++group)
      for (Burst burst : row) {
        if (apart) {
          burst.firstPort = static_cast<uint16_t>(burst.firstPort + group * shape.columns);
          burst.portCount = 1;
        }
        schedule.push_back(burst);
      }
    row.clear();
  };
  for (const Burst &burst : wholeSchedule(shape, data)) {
    const bool isWeights = burst.portCount == shape.groups && burst.portStep == shape.columns;
    if (!row.empty() && (!isWeights || (burst.firstPort == 0 && row.back().firstPort + 1u == shape.columns)))
      flush();
    (isWeights ? row : schedule).push_back(burst);
  }
  for (const char *engine : {"cycle", "functional"}) {
    ListIngress in(schedule);
    ListEgress out;
    createEngine(engine, program, {})->run(in, out);
    EXPECT_EQ(receivedOutput(shape, out), expectedOutput(shape, data)) << engine;
  }
}

// A program larger than one call: what a run leaves in SRAM is there in the next.
TEST(CycleEngineTest, KeepsSramFromRunToRun) {
  Contraction shape = shapeOf(3, 2, 10, 6, 4, F16);
  ContractionData data = contractionData(shape);
  LoadedProgram program = contractionProgram(shape, testMachine(3, 2)).verify();
  auto engine = createCycleEngine(program, {});
  ListEgress out;
  for (std::deque<Burst> part : {sendInput(shape, data), sendWeights(shape, data), askForOutput(shape)}) {
    ListIngress in(part);
    engine->run(in, out);
  }
  EXPECT_EQ(receivedOutput(shape, out), expectedOutput(shape, data));
}

// Timing depends on the work and not on what ran before.
TEST(CycleEngineTest, TakesTheSameTimeAgain) {
  Contraction shape = shapeOf(3, 2, 10, 6, 4, F16);
  ContractionData data = contractionData(shape);
  LoadedProgram program = contractionProgram(shape, testMachine(3, 2)).verify();
  auto engine = createCycleEngine(program, {});
  EngineStats first, second;
  for (EngineStats *stats : {&first, &second}) {
    ListIngress in(wholeSchedule(shape, data));
    ListEgress out;
    *stats = engine->run(in, out);
    EXPECT_EQ(receivedOutput(shape, out), expectedOutput(shape, data));
  }
  EXPECT_EQ(first.cycles, second.cycles);
  EXPECT_EQ(first.coreCycles, second.coreCycles);
  EXPECT_EQ(first.hops, second.hops);
}

// A weight that goes to the same column of all groups is sent once.
TEST(CycleEngineTest, CountsAMulticastOnce) {
  Contraction one = shapeOf(2, 2, 8, 4, 4, F16), two = with(one, false, false, 2);
  uint64_t sent[2];
  for (const Contraction &shape : {one, two}) {
    ContractionData data = contractionData(shape);
    LoadedProgram program = contractionProgram(shape, testMachine(shape.width(), 2)).verify();
    auto engine = createCycleEngine(program, {});
    ListEgress out;
    ListIngress input(sendInput(shape, data)), weights(sendWeights(shape, data));
    engine->run(input, out);
    sent[shape.groups - 1] = engine->run(weights, out).waveletsIn;
  }
  EXPECT_EQ(sent[0], sent[1]);
}

// The balance that docs/spec/kernels.md is built on: a row costs its FMACs, its triggers and its share of the chain, and little more.
TEST(CycleEngineTest, RowTimeIsNearTheBalance) {
  Contraction shape = shapeOf(4, 4, 64, 32, 16, F16), twice = shape;
  twice.n = 64;
  uint64_t cycles[2];
  for (const Contraction &each : {shape, twice}) {
    ContractionData data = contractionData(each);
    LoadedProgram program = contractionProgram(each, testMachine(4, 4)).verify();
    auto engine = createCycleEngine(program, {});
    ListEgress out;
    ListIngress input(sendInput(each, data)), weights(sendWeights(each, data));
    engine->run(input, out);
    cycles[each.n == twice.n] = engine->run(weights, out).cycles;
  }
  double perRow = static_cast<double>(cycles[1] - cycles[0]) / 32;
  // 16 features a core: two groups of 8 FMACs each and half a trigger; 16 elements of chain at 4 a cycle.
  double issue = 16 * (2 + 0.5) + 16 / 4;
  EXPECT_GE(perRow, issue);
  EXPECT_LE(perRow, issue * 1.25); // the control task itself
}

} // namespace
