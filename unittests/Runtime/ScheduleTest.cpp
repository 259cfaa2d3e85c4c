//===- ScheduleTest.cpp - steps as wavelets, and wavelets as tensors ------===//
//
// Each kind of step of docs/spec/weight-stream.md against wavelets written down by hand. A burst is written as
// "colour @first+step*count: payloads ctl task"; f16 1, 2, 3, 4, 5, 6 are 3c00, 4000, 4200, 4400, 4500, 4600.
//
//===----------------------------------------------------------------------===//

#include "wafer/Runtime/Schedule.h"

#include "TestFiles.h"

#include "wafer/Emulator/NumberFormats.h"
#include "wafer/Emulator/SortedRows.h"
#include "wafer/Machine/RepeatedTokens.h"

#include <cstdio>
#include <cstring>

using namespace wafer;
using namespace wafer::test;

namespace {

using Bursts = std::vector<std::string>;

std::string textOf(const Burst &burst) {
  std::string text = std::to_string(burst.colour) + " @" + std::to_string(burst.firstPort) + "+" + std::to_string(burst.portStep) + "*" +
                     std::to_string(burst.portCount) + ":";
  for (uint32_t word : burst.data) {
    char payload[16];
    std::snprintf(payload, sizeof payload, " %08x", word);
    text += payload;
  }
  return burst.control ? text + " ctl " + std::to_string(*burst.control) : text;
}

/// The bursts that a row stands for.
Bursts burstsOf(const WeightRow &row) {
  const unsigned size = row.type == ElementType::F32 ? 4 : 2;
  auto bitsOf = [&](size_t k) {
    uint32_t bits = 0;
    std::memcpy(&bits, row.weights + k * size, size);
    return bits;
  };
  Bursts bursts;
  for (uint16_t column = 0; column < row.columns; ++column) {
    Burst burst;
    burst.colour = row.colour;
    burst.firstPort = static_cast<uint16_t>(row.firstPort + column);
    burst.portStep = row.columns;
    burst.portCount = row.groups;
    auto put = [&](uint32_t index, uint32_t bits) {
      if (row.opcode == Opcode::Fmacp && index % 2 == 1)
        burst.data.back() |= bits << 16;
      else if (row.opcode == Opcode::Fmacw)
        burst.data.push_back(index << 16 | bits);
      else
        burst.data.push_back(bits);
    };
    for (uint32_t index = 0; index < row.countIn(column); ++index)
      if (const uint32_t bits = bitsOf(size_t(index) * row.columns + column); row.opcode != Opcode::Fmacw || (bits & 0x7fff) != 0)
        put(index, bits);
    if (column == row.owner && row.bias) {
      burst.control = row.bias->command;
      bursts.push_back(textOf(burst));
      burst.data.clear();
      put(0, row.bias->bits);
    }
    burst.control = column < row.owner ? row.east : column > row.owner ? row.west : row.own;
    bursts.push_back(textOf(burst));
  }
  return bursts;
}

/// One phase on columns 1.. of some machine, command colour 9.
class ScheduleTest : public testing::Test {
protected:
  ScheduleTest() {
    phase.kind = wexe::PhaseKind::Wafer;
    phase.command_colour = 9;
    phase.grid = std::make_unique<wexe::GridT>();
    grid(1, 1, 1, 1, 1);
  }

  void grid(unsigned groups, unsigned columns, unsigned rows, unsigned tokenBlock, unsigned tokens, unsigned microBatches = 1) {
    phase.grid->x0 = 1;
    phase.grid->groups = static_cast<uint16_t>(groups);
    phase.grid->columns = static_cast<uint16_t>(columns);
    phase.grid->rows = static_cast<uint16_t>(rows);
    phase.grid->token_block = static_cast<uint16_t>(tokenBlock);
    phase.grid->tokens = tokens;
    phase.grid->micro_batches = microBatches;
  }

  int tensor(const std::string &name, wexe::Role role, wexe::ElemType type, Shape shape) {
    auto tensor = std::make_unique<wexe::TensorT>();
    tensor->name = name;
    tensor->role = role;
    tensor->type = type;
    tensor->shape = std::move(shape);
    program.tensors.push_back(std::move(tensor));
    return static_cast<int>(program.tensors.size()) - 1;
  }

  int weight(const std::string &name, const Tensor &value) {
    store.set(name, value);
    return tensor(name, wexe::Role::Weight, wexe::ElemType::F32, value.shape());
  }

  wexe::StepT &step(wexe::StepKind kind, int tensor = -1) {
    phase.steps.push_back(std::make_unique<wexe::StepT>());
    wexe::StepT &step = *phase.steps.back();
    step.kind = kind;
    step.name = "the step";
    step.tensor = tensor;
    return step;
  }

  /// Tasks: east 21, west 22, own 23, bias 24.
  wexe::StepT &weightStep(wexe::StepKind kind, int tensor, int bias, wexe::WireFormat wire) {
    wexe::StepT &result = step(kind, tensor);
    result.bias = bias;
    result.wire = wire;
    result.type = wire == wexe::WireFormat::Dense32 ? wexe::ElemType::F32 : wexe::ElemType::F16;
    result.task_east = 21;
    result.task_west = 22;
    result.task_own = 23;
    result.task_bias = 24;
    return result;
  }

  /// Row-major weight [rows][columns].
  wexe::StepT &contract(int tensor, int bias, wexe::WireFormat wire, unsigned rows, unsigned columns, unsigned featureBlock,
                        unsigned outBlock) {
    wexe::StepT &result = weightStep(wexe::StepKind::Contract, tensor, bias, wire);
    result.rows = rows;
    result.columns = columns;
    result.row_stride = columns;
    result.column_stride = 1;
    result.feature_block = featureBlock;
    result.out_block = outBlock;
    return result;
  }

  Bursts sent() {
    PhaseIngress ingress(program, phase, store, values);
    Bursts bursts;
    Burst burst;
    burst.control = 99; // what is left of an earlier burst must not be sent again
    while (ingress.next(burst))
      bursts.push_back(textOf(burst));
    counts = ingress.counts();
    expectTheSameInRows(bursts, ingress);
    return bursts;
  }

  /// Rows taken whole are what their bursts are, and are counted alike.
  void expectTheSameInRows(const Bursts &expected, const PhaseIngress &counted) {
    PhaseIngress ingress(program, phase, store, values);
    Bursts bursts;
    Burst burst;
    rowsTaken = 0;
    do {
      while (const WeightRow *row = ingress.peekRow()) {
        for (std::string &text : burstsOf(*row))
          bursts.push_back(std::move(text));
        ingress.skipRow();
        ++rowsTaken;
      }
      burst = Burst();
    } while (ingress.next(burst) && (bursts.push_back(textOf(burst)), true));
    EXPECT_EQ(bursts, expected);
    EXPECT_EQ(ingress.counts().weights, counted.counts().weights);
    EXPECT_EQ(ingress.counts().commands, counted.counts().commands);
    EXPECT_EQ(ingress.counts().activations, counted.counts().activations);
    for (size_t i = 0; i < phase.steps.size(); ++i) {
      EXPECT_EQ(ingress.stepCounts()[i].values, counted.stepCounts()[i].values);
      EXPECT_EQ(ingress.stepCounts()[i].words, counted.stepCounts()[i].words);
    }
  }

  wexe::ProgramT program;
  wexe::PhaseT phase;
  TensorStore store{1 << 20};
  TensorValues values;
  StreamCounts counts;
  size_t rowsTaken = 0; ///< whole, of what was sent last
};

// What comes beside other steps is apart for an engine that asks for it, between its command and the step that needs it, and in its place for others.
TEST_F(ScheduleTest, BlocksThatComeBesideOtherStepsAreApart) {
  grid(1, 2, 1, 1, 1, 2);
  phase.grid->tokens = 2;
  int x = tensor("x", wexe::Role::Input, wexe::ElemType::F32, {2, 2});
  values[static_cast<unsigned>(x)] = floats({2, 2}, {1, 2, 3, 4});
  wexe::StepT &send = step(wexe::StepKind::Send, x);
  send.type = wexe::ElemType::F32;
  send.feature_block = 1;
  send.task = 5;
  send.colour = 3;
  send.beside = 1;
  step(wexe::StepKind::Command).task = 6;
  step(wexe::StepKind::Command).task = 7;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*2: ctl 5", "3 @1+1*1: 3f800000", "3 @2+1*1: 40000000", "9 @1+1*2: ctl 6", "9 @1+1*2: ctl 7",
                            "9 @1+1*2: ctl 5", "3 @1+1*1: 40400000", "3 @2+1*1: 40800000", "9 @1+1*2: ctl 6", "9 @1+1*2: ctl 7"}));

  PhaseIngress ingress(program, phase, store, values);
  ingress.setBesideApart();
  Burst burst;
  Bursts rest, beside;
  while (ingress.next(burst))
    rest.push_back(textOf(burst) + (burst.opensBeside ? " opens" : "") + (burst.closesBeside ? " closes" : ""));
  for (int microBatch = 0; microBatch < 2; ++microBatch)
    while (ingress.nextBeside(burst))
      beside.push_back(textOf(burst));
  EXPECT_EQ(rest, (Bursts{"9 @1+1*2: ctl 5 opens", "9 @1+1*2: ctl 6", "9 @1+1*2: ctl 7 closes", "9 @1+1*2: ctl 5 opens", "9 @1+1*2: ctl 6", "9 @1+1*2: ctl 7 closes"}));
  EXPECT_EQ(beside, (Bursts{"3 @1+1*1: 3f800000", "3 @2+1*1: 40000000", "3 @1+1*1: 40400000", "3 @2+1*1: 40800000"}));
  EXPECT_EQ(ingress.counts().activations, counts.activations);
  EXPECT_EQ(ingress.counts().commands, counts.commands);
}

// In whatever form rows come over the link, they can be taken whole; 8-bit ones cannot.
TEST_F(ScheduleTest, RowsAreTakenWhole) {
  grid(2, 3, 1, 2, 4);
  int w = weight("w", floats({3, 7}, {1, 0, 2, 0, 0, -0.0f, 3, 0, 0, 0, 0, 4, 0, 0, 1, 2, 3, 4, 5, 6, 7}));
  int bias = weight("b", floats({3}, {1, 0, 2}));
  for (auto wire : {wexe::WireFormat::Dense32, wexe::WireFormat::Packed16, wexe::WireFormat::Indexed16})
    for (auto link : {wexe::LinkFormat::Wavelets, wexe::LinkFormat::Bitmask, wexe::LinkFormat::Structured, wexe::LinkFormat::Blocks}) {
      phase.steps.clear();
      wexe::StepT &streamed = contract(w, bias, wire, 3, 7, 3, 1);
      streamed.link = link;
      streamed.link_size = link == wexe::LinkFormat::Structured || link == wexe::LinkFormat::Blocks ? 4 : 0;
      streamed.link_kept = link == wexe::LinkFormat::Structured ? 2 : 0;
      sent();
      EXPECT_EQ(rowsTaken, 3u);
    }
  phase.steps.clear();
  weightStep(wexe::StepKind::Scale, bias, -1, wexe::WireFormat::Packed16).rows = 3;
  sent();
  EXPECT_EQ(rowsTaken, 0u);
}

// What an engine has kept of all rows of a weight that came again is offered instead of them, counted alike, and only as long as the weight's contents are the same.
// Whoever wants bursts gets them.
TEST_F(ScheduleTest, SortedRowsAreKeptForAsLongAsTheWeightIsTheSame) {
  grid(1, 3, 1, 2, 2, 2);
  std::vector<float> lent = {1, 0, 2, 0, 0, -0.0f, 3, 0, 0, 0, 0, 4, 0, 0, 1, 2, 3, 4, 5, 6, 7};
  const int w = weight("w", Tensor::borrow(DType::F32, {3, 7}, lent.data(), lent.size() * sizeof(float)));
  const int bias = weight("b", floats({3}, {1, 0, 2}));
  contract(w, bias, wexe::WireFormat::Indexed16, 3, 7, 3, 1).link = wexe::LinkFormat::Bitmask;
  const Bursts bursts = sent();
  // Takes rows as the functional engine does; tells how many came without weights. `opensFirst`: it sorts the first row and then wants it in bursts.
  auto takeRows = [&](const PhaseIngress *expected, size_t expectedOffers, bool opensFirst = false) {
    PhaseIngress ingress(program, phase, store, values);
    size_t kept = 0, offered = 0;
    while (const WeightRow *row = ingress.peekRow()) {
      EXPECT_TRUE(row->weights || row->sorted->isComplete());
      offered += row->sorted != nullptr;
      kept += row->weights == nullptr;
      std::vector<std::vector<float>> values(3);
      std::vector<std::vector<uint32_t>> indices(3);
      for (uint32_t k = 0; row->weights && k < row->count; ++k) {
        uint16_t half;
        std::memcpy(&half, row->weights + 2 * k, sizeof half);
        if (half & 0x7fff) {
          values[k % 3].push_back(f16ToF32(half));
          indices[k % 3].push_back(k / 3);
        }
      }
      if (row->weights && row->sorted)
        row->sorted->add(row->number, [&](size_t column) { return SortedRows::Run{values[column].data(), indices[column].data(), values[column].size()}; });
      if (!opensFirst || row->number != 0) {
        ingress.skipRow();
        continue;
      }
      Burst burst;
      for (unsigned left = row->columns + 1u; left > 0; --left)
        ingress.next(burst = Burst());
    }
    EXPECT_EQ(offered, expectedOffers);
    if (expected) {
      EXPECT_EQ(ingress.counts().weights, expected->counts().weights);
      EXPECT_EQ(ingress.stepCounts()[0].values, expected->stepCounts()[0].values);
      EXPECT_EQ(ingress.stepCounts()[0].words, expected->stepCounts()[0].words);
    }
    return kept;
  };
  auto inBursts = [&](PhaseIngress &ingress) {
    Bursts found;
    for (Burst burst; ingress.next(burst);)
      found.push_back(textOf(burst));
    return found;
  };
  auto bytesRead = [&, before = uint64_t(0)]() mutable { return store.counters().flashBytesRead - std::exchange(before, store.counters().flashBytesRead); };
  PhaseIngress counted(program, phase, store, values);
  EXPECT_EQ(inBursts(counted), bursts);
  bytesRead();
  EXPECT_EQ(takeRows(&counted, 6), 0u); // for the second time
  const uint64_t expectedBytes = bytesRead();
  EXPECT_EQ(takeRows(&counted, 6), 6u);
  EXPECT_EQ(bytesRead(), expectedBytes);
  PhaseIngress kept(program, phase, store, values);
  EXPECT_EQ(inBursts(kept), bursts);
  EXPECT_EQ(kept.counts().weights, counted.counts().weights);
  lent[1] = 5;
  EXPECT_EQ(takeRows(nullptr, 0), 0u);
  EXPECT_EQ(takeRows(nullptr, 6, true), 0u);
  // How many words the first row takes is not known yet.
  EXPECT_EQ(takeRows(nullptr, 6), 0u);
  EXPECT_EQ(takeRows(nullptr, 6), 6u);
  PhaseIngress changed(program, phase, store, values);
  EXPECT_NE(inBursts(changed), bursts);
}

// Entry e's micro-batches hold its tokens and stream its weights; here two entries of three tokens, which take two micro-batches of two each.
TEST_F(ScheduleTest, BatchEntriesHaveTokensAndWeightsOfTheirOwn) {
  grid(1, 1, 1, 2, 6, 4);
  phase.grid->batches = 2;
  int x = tensor("x", wexe::Role::Input, wexe::ElemType::I32, {6, 1});
  values[static_cast<unsigned>(x)] = tensorOf<int32_t>(DType::I32, {6, 1}, {1, 2, 3, 4, 5, 6});
  wexe::StepT &send = step(wexe::StepKind::Send, x);
  send.type = wexe::ElemType::I32;
  send.feature_block = 1;
  int w = weight("w", floats({2, 1}, {1, 2}));
  wexe::StepT &streamed = contract(w, -1, wexe::WireFormat::Dense32, 1, 1, 1, 1);
  streamed.batch_sizes = {2};
  streamed.batch_strides = {1};
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*1: ctl 0", "0 @1+1*1: 00000001 00000002", "9 @1+1*1: 3f800000 ctl 23", // entry 0
                            "9 @1+1*1: ctl 0", "0 @1+1*1: 00000003 00000000", "9 @1+1*1: 3f800000 ctl 23", //
                            "9 @1+1*1: ctl 0", "0 @1+1*1: 00000004 00000005", "9 @1+1*1: 40000000 ctl 23", // entry 1
                            "9 @1+1*1: ctl 0", "0 @1+1*1: 00000006 00000000", "9 @1+1*1: 40000000 ctl 23"}));
}

// Entries at a time divide the groups among them; row by row, each weight that they have goes to the groups of its entries. Here four entries of one token on four
// groups, of which the first two and the last two share a weight of two rows.
TEST_F(ScheduleTest, BatchEntriesAtOnceStreamSideBySide) {
  grid(4, 1, 1, 1, 4);
  phase.grid->batches = phase.grid->batches_at_once = 4;
  int x = tensor("x", wexe::Role::Input, wexe::ElemType::I32, {4, 1});
  values[static_cast<unsigned>(x)] = tensorOf<int32_t>(DType::I32, {4, 1}, {1, 2, 3, 4});
  wexe::StepT &send = step(wexe::StepKind::Send, x);
  send.type = wexe::ElemType::I32;
  send.feature_block = 1;
  int w = weight("w", floats({4, 1}, {1, 2, 3, 4}));
  wexe::StepT &streamed = contract(w, -1, wexe::WireFormat::Dense32, 2, 1, 1, 2);
  streamed.batch_sizes = {2, 2};
  streamed.batch_strides = {2, 0};
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*4: ctl 0", "0 @1+1*1: 00000001", "0 @2+1*1: 00000002", "0 @3+1*1: 00000003", "0 @4+1*1: 00000004", //
                            "9 @1+1*2: 3f800000 ctl 23", "9 @3+1*2: 40400000 ctl 23",                                                   // row 0
                            "9 @1+1*2: 40000000 ctl 23", "9 @3+1*2: 40800000 ctl 23"}));
}

// Two entries at a time on two groups each, three tokens of two micro-batches: what a group holds, and where what it makes belongs.
TEST_F(ScheduleTest, BatchEntriesAtOnceHaveGroupsOfTheirOwn) {
  grid(4, 1, 1, 1, 6, 2);
  phase.grid->batches = phase.grid->batches_at_once = 2;
  int x = tensor("x", wexe::Role::Input, wexe::ElemType::I32, {6, 1});
  values[static_cast<unsigned>(x)] = tensorOf<int32_t>(DType::I32, {6, 1}, {1, 2, 3, 4, 5, 6});
  wexe::StepT &send = step(wexe::StepKind::Send, x);
  send.type = wexe::ElemType::I32;
  send.feature_block = 1;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*4: ctl 0", "0 @1+1*1: 00000001", "0 @2+1*1: 00000002", "0 @3+1*1: 00000004", "0 @4+1*1: 00000005", //
                            "9 @1+1*4: ctl 0", "0 @1+1*1: 00000003", "0 @2+1*1: 00000000", "0 @3+1*1: 00000006", "0 @4+1*1: 00000000"}));

  phase.steps.clear();
  unsigned y = static_cast<unsigned>(tensor("y", wexe::Role::Output, wexe::ElemType::I32, {6, 1}));
  wexe::StepT &receive = step(wexe::StepKind::Receive, static_cast<int>(y));
  receive.type = wexe::ElemType::I32;
  receive.feature_block = 1;
  receive.colour = 4;
  PhaseEgress egress(program, phase);
  const uint32_t words[4][2] = {{1, 3}, {2, 99}, {4, 6}, {5, 99}};
  for (uint16_t group = 0; group < 4; ++group)
    egress.deliver(1 + group, 4, words[group], 2);
  EXPECT_EQ(valuesOf<int32_t>(egress.finish().at(y)), (std::vector<int32_t>{1, 2, 3, 4, 5, 6}));
}

// A tensor goes out in any tokens x features of its elements, and one with fewer tokens than the grid is repeated.
TEST_F(ScheduleTest, SendReshapesAndRepeats) {
  grid(1, 1, 1, 4, 4);
  int x = tensor("x", wexe::Role::Input, wexe::ElemType::I32, {1, 4});
  values[static_cast<unsigned>(x)] = tensorOf<int32_t>(DType::I32, {1, 4}, {1, 2, 3, 4});
  wexe::StepT &send = step(wexe::StepKind::Send, x);
  send.type = wexe::ElemType::I32;
  send.columns = 2;
  send.feature_block = 2;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*1: ctl 0", "0 @1+1*1: 00000001 00000003 00000001 00000003 00000002 00000004 00000002 00000004"}));
}

// Four groups of a token each, for a tensor of two tokens: groups 0 and 2, and 1 and 3, are sent the same.
TEST_F(ScheduleTest, GroupsThatHoldTheSameShareIt) {
  grid(4, 1, 1, 1, 4);
  int x = tensor("x", wexe::Role::Input, wexe::ElemType::I32, {2, 1});
  values[static_cast<unsigned>(x)] = tensorOf<int32_t>(DType::I32, {2, 1}, {1, 2});
  wexe::StepT &send = step(wexe::StepKind::Send, x);
  send.type = wexe::ElemType::I32;
  send.feature_block = 1;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*4: ctl 0", "0 @1+2*2: 00000001", "0 @2+2*2: 00000002"}));
  EXPECT_EQ(counts.activations, 2u);
}

TEST(RepeatedTokens, GroupsDifferUntilTokensComeAgain) {
  auto differ = [](uint64_t groups, uint64_t atOnce, uint64_t ofGroup, uint64_t ofEntry, uint64_t each, uint64_t tokens) {
    return groupsThatDiffer({groups, atOnce, ofGroup, ofEntry, each}, tokens);
  };
  EXPECT_EQ(differ(4, 1, 8, 32, 1, 32), 4u); // all of it on the wafer
  EXPECT_EQ(differ(4, 1, 8, 32, 1, 8), 1u);
  EXPECT_EQ(differ(4, 1, 8, 64, 2, 16), 2u);
  EXPECT_EQ(differ(6, 1, 8, 48, 1, 12), 3u); // a tensor that ends inside a group
  EXPECT_EQ(differ(4, 1, 8, 30, 1, 10), 4u); // padded
  EXPECT_EQ(differ(8, 4, 8, 16, 1, 16), 2u); // entries side by side hold the same
  EXPECT_EQ(differ(8, 4, 8, 15, 1, 15), 2u); // padded alike
  EXPECT_EQ(differ(8, 4, 8, 16, 1, 64), 8u); // and here their own
}

// A band holds what a group holds that is not divided: groups differ until the bands come again.
TEST(RepeatedTokens, BandsComeAgainWithinGroups) {
  auto differ = [](uint64_t groups, uint64_t bands, uint64_t atOnce, uint64_t ofEntry, uint64_t tokens) { return groupsThatDiffer({groups, atOnce, 8, ofEntry, 1, bands}, tokens); };
  EXPECT_EQ(differ(4, 2, 8, 8, 8), 1u);    // an entry in each band
  EXPECT_EQ(differ(4, 2, 8, 8, 64), 4u);   // of which each has its own
  EXPECT_EQ(differ(4, 2, 4, 16, 16), 1u);  // an entry in the bands of a group
  EXPECT_EQ(differ(4, 2, 2, 32, 32), 2u);  // in the bands of two groups
  EXPECT_EQ(differ(2, 3, 3, 16, 16), 2u);  // in two of three bands
  EXPECT_EQ(differ(2, 3, 3, 15, 15), 2u);  // padded
  EXPECT_EQ(differ(6, 2, 1, 96, 24), 3u);  // a tensor of three bands
}

/// The tokens of an i32 tensor of one feature, 0, 1, 2, ..., as they are sent to the cores of one column of each group.
class BandsTest : public ScheduleTest {
protected:
  void bands(unsigned bands, unsigned batches, unsigned atOnce) {
    phase.grid->bands = static_cast<uint16_t>(bands);
    phase.grid->batches = batches;
    phase.grid->batches_at_once = static_cast<uint16_t>(atOnce);
    const uint64_t tokens = phase.grid->tokens;
    std::vector<int32_t> numbers(tokens);
    for (uint64_t i = 0; i < tokens; ++i)
      numbers[i] = static_cast<int32_t>(i + 1);
    for (wexe::StepKind kind : {wexe::StepKind::Send, wexe::StepKind::Receive}) {
      const int number = tensor(kind == wexe::StepKind::Send ? "x" : "y", kind == wexe::StepKind::Send ? wexe::Role::Input : wexe::Role::Output, wexe::ElemType::I32, {tokens, 1});
      if (kind == wexe::StepKind::Send)
        values[static_cast<unsigned>(number)] = x = tensorOf<int32_t>(DType::I32, {tokens, 1}, numbers);
      else
        y = static_cast<unsigned>(number);
      wexe::StepT &each = step(kind, number);
      each.type = wexe::ElemType::I32;
      each.feature_block = 1;
      each.colour = 4;
    }
  }
  /// Blocks that are sent to the column of a group, from the north on; of all micro-batches.
  std::vector<std::vector<uint32_t>> blocks(unsigned group) {
    std::vector<std::vector<uint32_t>> found;
    PhaseIngress ingress(program, phase, store, values);
    for (Burst burst; ingress.next(burst);)
      if (burst.colour == 4 && burst.firstPort == 1 + group)
        found.push_back(burst.data);
    return found;
  }
  /// What comes back when the cores send what they were sent: the southernmost first.
  std::vector<int32_t> returned() {
    PhaseEgress egress(program, phase);
    for (unsigned group = 0; group < phase.grid->groups; ++group) {
      const std::vector<std::vector<uint32_t>> sent = blocks(group);
      for (size_t first = 0; first < sent.size(); first += phase.grid->rows)
        for (size_t row = phase.grid->rows; row-- > 0;)
          egress.deliver(static_cast<uint16_t>(1 + group), 4, sent[first + row].data(), sent[first + row].size());
    }
    return valuesOf<int32_t>(egress.finish().at(y));
  }

  Tensor x;
  unsigned y = 0;
};

using Blocks = std::vector<std::vector<uint32_t>>;

// Each of two bands of three rows deals its rows the tokens of another entry, of which the last place is padding.
TEST_F(BandsTest, EntriesLieInBands) {
  grid(1, 1, 6, 2, 10);
  bands(2, 2, 2);
  EXPECT_EQ(blocks(0), (Blocks{{1, 4}, {2, 5}, {3, 0}, {6, 9}, {7, 10}, {8, 0}}));
  EXPECT_EQ(returned(), valuesOf<int32_t>(x));
}

// Bands of a group come before those of the next, and entries of another micro-batch behind them.
TEST_F(BandsTest, BandsOfAGroupFollowEachOther) {
  grid(2, 1, 2, 1, 8, 2);
  bands(2, 8, 4);
  EXPECT_EQ(blocks(0), (Blocks{{1}, {2}, {5}, {6}}));
  EXPECT_EQ(blocks(1), (Blocks{{3}, {4}, {7}, {8}}));
  EXPECT_EQ(returned(), valuesOf<int32_t>(x));
}

// Two entries share three bands of each of two groups: the first has those of group 0.
TEST_F(BandsTest, AnEntryMayHaveSeveralBands) {
  grid(2, 1, 6, 1, 24, 2);
  bands(3, 2, 2);
  EXPECT_EQ(blocks(0), (Blocks{{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}, {10}, {11}, {12}}));
  EXPECT_EQ(blocks(1).front(), std::vector<uint32_t>{13});
  EXPECT_EQ(returned(), valuesOf<int32_t>(x));
}

TEST_F(ScheduleTest, CommandGoesToEveryColumnOfEveryGroup) {
  grid(2, 3, 1, 1, 2);
  step(wexe::StepKind::Command).task = 5;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*6: ctl 5"}));
  EXPECT_EQ(counts.commands, 1u);
}

// (layout_c2) Two columns of 2 features for 3, which take turns, two rows of 2 tokens for 5 in two micro-batches: feature 3 and tokens 5.. are zeros.
TEST_F(ScheduleTest, SendPadsFeaturesAndTokens) {
  grid(1, 2, 2, 2, 5, 2);
  int x = tensor("x", wexe::Role::Input, wexe::ElemType::I16, {5, 3});
  std::vector<int16_t> elements;
  for (int token = 0; token < 5; ++token)
    for (int feature = 0; feature < 3; ++feature)
      elements.push_back(static_cast<int16_t>((token + 1) * 16 + feature));
  values[static_cast<unsigned>(x)] = tensorOf(DType::I16, {5, 3}, elements);
  wexe::StepT &send = step(wexe::StepKind::Send, x);
  send.type = wexe::ElemType::I16;
  send.feature_block = 2;
  send.colour = 4;
  send.task = 6;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*2: ctl 6",             //
                            "4 @1+1*1: 00300010 00320012", // column 0: tokens 0 and 2 of feature 0, then of feature 2
                            "4 @2+1*1: 00310011 00000000", // column 1: feature 1 only
                            "4 @1+1*1: 00400020 00420022", // south of it tokens 1 and 3
                            "4 @2+1*1: 00410021 00000000", //
                            "9 @1+1*2: ctl 6",             // second micro-batch: token 4 only
                            "4 @1+1*1: 00000050 00000052", //
                            "4 @2+1*1: 00000051 00000000", //
                            "4 @1+1*1: 00000000 00000000", //
                            "4 @2+1*1: 00000000 00000000"}));
  EXPECT_EQ(counts.activations, 16u);
  EXPECT_EQ(counts.commands, 2u);
}

// Groups hold different tokens; a block with an odd number of 16-bit elements ends with a zero half.
TEST_F(ScheduleTest, SendStartsEachBlockOnAWavelet) {
  grid(2, 1, 1, 3, 6);
  int x = tensor("x", wexe::Role::Input, wexe::ElemType::F32, {2, 3, 1});
  values[static_cast<unsigned>(x)] = floats({2, 3, 1}, {1, 2, 3, 4, 5, 6});
  wexe::StepT &send = step(wexe::StepKind::Send, x);
  send.type = wexe::ElemType::F16;
  send.feature_block = 1;
  send.colour = 4;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*2: ctl 0", "4 @1+1*1: 40003c00 00004200", "4 @2+1*1: 45004400 00004600"}));
}

TEST_F(ScheduleTest, SendNeedsAValue) {
  step(wexe::StepKind::Send, tensor("x", wexe::Role::Intermediate, wexe::ElemType::F32, {1, 1}));
  expectRefused([&] { sent(); }, {"'the step'", "'x'", "no value"});
}

// Three rows of three weights on two columns: weights 0 and 2 and rows 0 and 2 belong to column 0, the others to column 1. Each goes to the same column
// of both groups.
TEST_F(ScheduleTest, ContractPacksPairsAndLetsColumnsTakeTurns) {
  grid(2, 2, 1, 1, 2);
  int w = weight("w", floats({3, 3}, {1, 2, 3, 4, 5, 6, 3, 2, 1}));
  int b = weight("b", floats({3}, {6, 5, 4}));
  contract(w, b, wexe::WireFormat::Packed16, 3, 3, 2, 2);
  EXPECT_EQ(sent(), (Bursts{"9 @1+2*2: 42003c00 ctl 24", // row 0, column 0: weights 1 3
                            "9 @1+2*2: 00004600 ctl 23", // its bias 6
                            "9 @2+2*2: 00004000 ctl 22", // column 1: weight 2 alone, the owner is west
                            "9 @1+2*2: 46004400 ctl 21", // row 1, column 0: the owner is east
                            "9 @2+2*2: 00004500 ctl 24", //
                            "9 @2+2*2: 00004500 ctl 23", //
                            "9 @1+2*2: 3c004200 ctl 24", // row 2
                            "9 @1+2*2: 00004400 ctl 23", //
                            "9 @2+2*2: 00004000 ctl 22"}));
  EXPECT_EQ(counts.weights, 9u);
  EXPECT_EQ(counts.commands, 9u);
}

// The third column has no feature: it gets no weight, and still passes its sum on.
TEST_F(ScheduleTest, ContractSendsNoWeightToAnEmptyColumn) {
  grid(1, 3, 1, 1, 1);
  int w = weight("w", floats({1, 2}, {1, -2}));
  contract(w, -1, wexe::WireFormat::Dense32, 1, 2, 1, 1);
  EXPECT_EQ(sent(), (Bursts{"9 @1+3*1: 3f800000 ctl 23", "9 @2+3*1: c0000000 ctl 22", "9 @3+3*1: ctl 22"}));
}

// Zeros of both signs are left out, and so is what becomes zero in f16; a bias is sent whatever it is.
TEST_F(ScheduleTest, ContractIndexesWhatIsNotZero) {
  grid(1, 1, 1, 1, 1);
  int w = weight("w", floats({2, 5}, {0, 1, -0.0f, 1e-20f, 2, 0, 0, 0, 0, 0}));
  int b = weight("b", floats({2}, {3, 0}));
  contract(w, b, wexe::WireFormat::Indexed16, 2, 5, 5, 2);
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*1: 00013c00 00044000 ctl 24", "9 @1+1*1: 00004200 ctl 23", //
                            "9 @1+1*1: ctl 24", "9 @1+1*1: 00000000 ctl 23"}));
}

// Rows of a transposed weight, from an offset: row n is column n + 1 of the tensor.
TEST_F(ScheduleTest, ContractFollowsStrides) {
  grid(1, 1, 1, 1, 1);
  int w = weight("w", floats({2, 3}, {9, 1, 2, 9, 3, 4}));
  wexe::StepT &step = contract(w, -1, wexe::WireFormat::Packed16, 2, 2, 2, 2);
  step.row_stride = 1;
  step.column_stride = 3;
  step.offset = 1;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*1: 42003c00 ctl 23", "9 @1+1*1: 44004000 ctl 23"}));
}

TEST_F(ScheduleTest, ContractRepeatsItsWeightsForEachMicroBatch) {
  grid(1, 1, 1, 1, 2, 2);
  contract(weight("w", floats({1, 1}, {1})), -1, wexe::WireFormat::Dense32, 1, 1, 1, 1);
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*1: 3f800000 ctl 23", "9 @1+1*1: 3f800000 ctl 23"}));
}

TEST_F(ScheduleTest, ContractConvertsWithRoundingToNearestEven) {
  int w = weight("w", floats({1, 2}, {1.0f + 0x1p-8f, 1.0f + 0x3p-8f}));
  contract(w, -1, wexe::WireFormat::Packed16, 1, 2, 2, 1).type = wexe::ElemType::BF16;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*1: 3f823f80 ctl 23"}));
}

TEST_F(ScheduleTest, ContractNamesAMissingWeight) {
  contract(tensor("fc.weight", wexe::Role::Weight, wexe::ElemType::F32, {1, 1}), -1, wexe::WireFormat::Dense32, 1, 1, 1, 1);
  expectRefused([&] { sent(); }, {"'fc.weight'", "missing"});
}

// Three features on two columns, which take turns.
TEST_F(ScheduleTest, ScaleVisitsFeaturesInOrder) {
  grid(2, 2, 1, 1, 2);
  wexe::StepT &scale = weightStep(wexe::StepKind::Scale, weight("gamma", floats({3}, {1, 2, 3})), weight("beta", floats({3}, {4, 5, 6})),
                                  wexe::WireFormat::Packed16);
  scale.rows = 3;
  scale.out_block = 2;
  EXPECT_EQ(sent(), (Bursts{"9 @1+2*2: 00003c00 ctl 24", "9 @1+2*2: 00004400 ctl 23", //
                            "9 @2+2*2: 00004000 ctl 24", "9 @2+2*2: 00004500 ctl 23", //
                            "9 @1+2*2: 00004200 ctl 24", "9 @1+2*2: 00004600 ctl 23"}));
}

TEST_F(ScheduleTest, ScaleSendsOneForAMissingGamma) {
  wexe::StepT &scale = weightStep(wexe::StepKind::Scale, -1, weight("beta", floats({1}, {4})), wexe::WireFormat::Dense32);
  scale.rows = scale.out_block = 1;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*1: 3f800000 ctl 24", "9 @1+1*1: 40800000 ctl 23"}));
}

TEST_F(ScheduleTest, ScaleWithoutBetaIsOneBurstPerFeature) {
  wexe::StepT &scale = weightStep(wexe::StepKind::Scale, weight("gamma", floats({2}, {0, 2})), -1, wexe::WireFormat::Indexed16);
  scale.rows = scale.out_block = 2;
  EXPECT_EQ(sent(), (Bursts{"9 @1+1*1: 00000000 ctl 23", "9 @1+1*1: 00004000 ctl 23"}));
}

/// Receives y, 3 features in blocks of 2 on two columns, 5 tokens in two micro-batches of 4.
class ReceiveTest : public ScheduleTest {
protected:
  ReceiveTest() {
    grid(1, 2, 2, 2, 5, 2);
    y = static_cast<unsigned>(tensor("y", wexe::Role::Output, wexe::ElemType::I16, {5, 3}));
    wexe::StepT &receive = step(wexe::StepKind::Receive, static_cast<int>(y));
    receive.type = wexe::ElemType::I16;
    receive.feature_block = 2;
    receive.colour = 4;
    receive.task = 7;
  }

  /// What the columns send: the south core's block first; junk where there is no feature or token.
  const std::vector<uint32_t> first = {0x00400020, 0x00420022, 0x00300010, 0x00320012, 0xdeadbeef, 0xdeadbeef, 0xdead0050, 0xdead0052};
  const std::vector<uint32_t> second = {0x00410021, 0xdeadbeef, 0x00310011, 0xdeadbeef, 0xdeadbeef, 0xdeadbeef, 0xdead0051, 0xdeadbeef};
  unsigned y;
};

TEST_F(ReceiveTest, BeginsWithACommand) { EXPECT_EQ(sent(), (Bursts{"9 @1+1*2: ctl 7", "9 @1+1*2: ctl 7"})); }

// (layout_c2) What comes where there is no feature or token is ignored. Wavelets may come in any portions, and columns in any order.
TEST_F(ReceiveTest, PutsBlocksTogetherAndDropsPadding) {
  PhaseEgress egress(program, phase);
  egress.deliver(2, 4, second.data(), 3);
  egress.deliver(1, 4, first.data(), first.size());
  for (size_t i = 3; i < second.size(); ++i)
    egress.deliver(2, 4, &second[i], 1);
  EXPECT_EQ(valuesOf<int16_t>(egress.finish().at(y)),
            (std::vector<int16_t>{0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x30, 0x31, 0x32, 0x40, 0x41, 0x42, 0x50, 0x51, 0x52}));
  EXPECT_EQ(egress.wavelets(), 16u);
}

TEST_F(ReceiveTest, NamesTensorAndColumnOfMissingWavelets) {
  PhaseEgress egress(program, phase);
  egress.deliver(1, 4, first.data(), first.size());
  egress.deliver(2, 4, second.data(), 7);
  expectRefused([&] { egress.finish(); }, {"3 wavelets", "'y'", "column 2", "micro-batch 1", "expected 4"});
}

TEST_F(ReceiveTest, NamesTensorAndColumnOfSurplusWavelets) {
  PhaseEgress egress(program, phase);
  egress.deliver(1, 4, first.data(), first.size());
  expectRefused([&] { egress.deliver(1, 4, first.data(), 2); }, {"2 more wavelets", "'y'", "column 1"});
}

TEST_F(ReceiveTest, RefusesWaveletsThatNobodyReceives) {
  PhaseEgress egress(program, phase);
  expectRefused([&] { egress.deliver(1, 5, first.data(), 1); }, {"colour 5", "column 1"});
  expectRefused([&] { egress.deliver(0, 4, first.data(), 1); }, {"colour 4", "column 0"});
  expectRefused([&] { egress.deliver(3, 4, first.data(), 1); }, {"colour 4", "column 3"});
}

// Two tensors on one colour come one after the other, each in its own type.
TEST_F(ScheduleTest, ReceiveTakesTensorsOfOneColourInOrder) {
  grid(1, 1, 1, 1, 2, 2);
  unsigned a = static_cast<unsigned>(tensor("a", wexe::Role::Output, wexe::ElemType::F32, {2, 1}));
  unsigned b = static_cast<unsigned>(tensor("b", wexe::Role::Output, wexe::ElemType::F32, {2, 1}));
  for (unsigned number : {a, b}) {
    wexe::StepT &receive = step(wexe::StepKind::Receive, static_cast<int>(number));
    receive.type = number == a ? wexe::ElemType::F16 : wexe::ElemType::F32;
    receive.feature_block = 1;
    receive.colour = 4;
  }
  PhaseEgress egress(program, phase);
  const uint32_t words[] = {0x3c00, 0x40000000, 0x4200, 0x40800000};
  egress.deliver(1, 4, words, 4);
  TensorValues received = egress.finish();
  EXPECT_EQ(valuesOf<float>(received.at(a)), (std::vector<float>{1, 3}));
  EXPECT_EQ(valuesOf<float>(received.at(b)), (std::vector<float>{2, 4}));
}

} // namespace
