//===- VerifyScheduleTest.cpp - rules of tensors, grids and steps -----------===//
//
// Each test breaks one rule of docs/spec/weight-stream.md or docs/spec/executable.md in a program that is valid otherwise.
//
//===----------------------------------------------------------------------===//

#include "TestProgram.h"

using namespace wafer;
using namespace wafer::test;

namespace {

TEST(Verify, layout_c1_GridLiesInsideTheMachine) {
  wexe::ProgramT program = linearProgram();
  phase(program).grid->groups = 3;
  expectRefused(program, "layout_c1", "has a grid that reaches core (5, 1), but machine 'tiny' has 4x4 cores");
}

TEST(Verify, layout_c1_GridOfEnormousSizeIsRefused) {
  wexe::ProgramT program = linearProgram();
  phase(program).grid->x0 = phase(program).grid->groups = phase(program).grid->columns = 65535;
  expectRefused(program, "layout_c1", "has a grid that reaches core");
}

TEST(Verify, layout_c1_GridHasCores) {
  wexe::ProgramT program = linearProgram();
  phase(program).grid->rows = 0;
  expectRefused(program, "layout_c1", "expected each to be at least 1");

  program = linearProgram();
  phase(program).grid.reset();
  expectRefused(program, "layout_c1", "has no grid");
}

TEST(Verify, layout_c1_ColumnsHoldAllFeatures) {
  wexe::ProgramT program = linearProgram();
  tensor(program, "x").shape = {4, 3};
  expectRefused(program, "layout_c1", "lays 3 features out in blocks of 1 over 2 columns, which hold 2");

  program = linearProgram();
  step(program, "fc").columns = 3;
  expectRefused(program, "layout_c1", "lays 3 input features");

  program = linearProgram();
  step(program, "fc").rows = 3;
  expectRefused(program, "layout_c1", "lays 3 output features");
}

TEST(Verify, layout_c3_BatchEntriesDivideTokensAndMicroBatches) {
  wexe::ProgramT program = linearProgram();
  phase(program).grid->batches = 2;
  expectRefused(program, "layout_c3", "divides 1 micro-batches among 2 batch entries, 1 at a time, expected as many for each");
  phase(program).grid->micro_batches = 2;
  EXPECT_EQ(refusal(program), "");
  phase(program).grid->batches = 3;
  expectRefused(program, "layout_c3", "divides 4 tokens into 3 batch entries, expected a number that divides them");
  phase(program).grid->batches = 0;
  expectRefused(program, "layout_c3", "into 0 batch entries");
}

TEST(Verify, layout_c4_BatchEntriesAtOnceDivideTheGroups) {
  wexe::ProgramT program = linearProgram();
  phase(program).grid->batches = 2;
  phase(program).grid->batches_at_once = 2;
  expectRefused(program, "layout_c4", "has 2 of 2 batch entries at a time on 1 groups, expected a number that divides both");
  phase(program).grid->batches = 1;
  expectRefused(program, "layout_c4", "has 2 of 1 batch entries at a time");
  phase(program).grid->batches_at_once = 0;
  expectRefused(program, "layout_c4", "has 0 of 1 batch entries at a time");
}

TEST(Verify, exe_c20_WhatContinuesComesBehindAnotherLoadOnItsGrid) {
  wexe::ProgramT program = linearProgram();
  phase(program).continues = true;
  expectRefused(program, "exe_c20", "continues the phase before it, expected that to be of another load on the same grid");
}

TEST(Verify, exe_c23_WhatASendLeavesOutComesInTheLoadThatContinuesItsOwn) {
  wexe::ProgramT program = linearProgram();
  step(program, "x").offset = 1;
  expectRefused(program, "exe_c23", "begins at feature 1 of a column, expected a load that continues one in which another send of 'x' brings the features before");
}

TEST(Verify, layout_c5_BandsDivideTheRowsAndAllOfThemAreStreamedTheSame) {
  wexe::ProgramT program = linearProgram();
  const uint16_t rows = phase(program).grid->rows;
  phase(program).grid->bands = 2 * rows;
  expectRefused(program, "layout_c5", "divides " + std::to_string(rows) + " rows into " + std::to_string(2 * rows) + " bands, expected a number that divides them");
  phase(program).grid->bands = 0;
  expectRefused(program, "layout_c5", "into 0 bands");
  phase(program).grid->bands = rows;
  EXPECT_EQ(refusal(program), "");
  phase(program).grid->batches = 2;
  phase(program).grid->batches_at_once = 2;
  EXPECT_EQ(refusal(program), "");
  step(program, "fc").batch_sizes = {2};
  step(program, "fc").batch_strides = {0};
  expectRefused(program, "layout_c5", "has batch sizes on a grid of " + std::to_string(rows) + " bands, expected none");
}

TEST(Verify, exe_c18_APrologueIsSendsWithStepsBehindThem) {
  wexe::ProgramT program = linearProgram();
  phase(program).prologue = 1;
  EXPECT_EQ(refusal(program), "");
  phase(program).prologue = 2;
  expectRefused(program, "exe_c18", "has a prologue of 2 steps, expected at most the 1 sends it begins with");
  phase(program).steps.resize(1);
  phase(program).prologue = 1;
  expectRefused(program, "exe_c18", "other steps behind them");
}

TEST(Verify, exe_c22_ASendGoesBesideStepsThatFollow) {
  wexe::ProgramT program = linearProgram();
  step(program, "x").beside = 1;
  EXPECT_EQ(refusal(program), "");
  step(program, "x").beside = 4;
  expectRefused(program, "exe_c22", "goes beside 4 steps, expected a send behind the prologue and at most the 3 steps that follow without a send");
  step(program, "x").beside = 1;
  phase(program).prologue = 1;
  expectRefused(program, "exe_c22", "expected a send behind the prologue");
  phase(program).prologue = 0;
  step(program, "x").beside = 0;
  step(program, "fc").beside = 1;
  expectRefused(program, "exe_c22", "goes beside 1 steps, expected a send");
}

TEST(Verify, exe_c15_AGuardIsNoWeight) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").guard = step(program, "fc").tensor;
  expectRefused(program, "exe_c15", "is guarded by weight");
  step(program, "fc").guard = 99;
  EXPECT_NE(refusal(program), "");
}

TEST(Verify, exe_c15_NoMoreThanAllOfTheInputIsZero) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").input_zeros = 1000;
  EXPECT_EQ(refusal(program), "");
  step(program, "fc").input_zeros = 1001;
  expectRefused(program, "exe_c15", "expects 1001 thousandths of its input to be zero");
}

TEST(Verify, exe_c21_RowsThatGoTogetherHaveNoMask) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").rows_together = 2;
  EXPECT_EQ(refusal(program), "");
  step(program, "fc").output_zeros = 500;
  expectRefused(program, "exe_c21", "has 2 rows together, expected at least one, and no more with a mask or batch sizes");
  step(program, "fc").output_zeros = 0;
  step(program, "fc").rows_together = 0;
  expectRefused(program, "exe_c21", "has 0 rows together");
}

TEST(Verify, link_c1_GroupsAndBlocksHaveASizeAndOthersNone) {
  wexe::ProgramT program = linearProgram();
  wexe::StepT &fc = step(program, "fc");
  auto set = [&](wexe::LinkFormat link, uint16_t kept, uint16_t size) { fc.link = link, fc.link_kept = kept, fc.link_size = size; };
  set(wexe::LinkFormat::Structured, 2, 4);
  EXPECT_EQ(refusal(program), "");
  set(wexe::LinkFormat::Structured, 4, 4);
  expectRefused(program, "link_c1", "has link_kept 4, expected 1 to link_size - 1 in link format Structured");
  set(wexe::LinkFormat::Blocks, 0, 1);
  expectRefused(program, "link_c1", "has link_size 1, expected at least 2 in link format Blocks");
  set(wexe::LinkFormat::Bitmask, 0, 4);
  expectRefused(program, "link_c1", "has link_size 4, expected none in link format Bitmask");
  set(static_cast<wexe::LinkFormat>(9), 0, 0);
  expectRefused(program, "exe_c4", "has unknown link format 9");
}

// Every entry's weights lie inside the tensor, whatever the sign of the strides.
TEST(Verify, exe_c15_WeightsOfEveryBatchEntryLieInTheTensor) {
  wexe::ProgramT program = linearProgram();
  phase(program).grid->batches = phase(program).grid->micro_batches = 2;
  step(program, "fc").batch_sizes = {2};
  expectRefused(program, "exe_c15", "has 1 batch sizes and 0 batch strides, expected as many");
  step(program, "fc").batch_strides = {0};
  EXPECT_EQ(refusal(program), "");
  step(program, "fc").batch_strides = {1};
  expectRefused(program, "exe_c15", "for 2 batch entries");
  step(program, "fc").batch_strides = {-1};
  expectRefused(program, "exe_c15", "for 2 batch entries");
  step(program, "fc").batch_strides = {0};
  step(program, "fc").batch_sizes = {3};
  expectRefused(program, "exe_c15", "has batch sizes that do not make the grid's 2 batch entries");
}

// A load is verified as a program of its own: what is elsewhere does not help, and does not disturb.
TEST(Verify, LoadsAreVerifiedByThemselves) {
  wexe::ProgramT program = linearProgram();
  size_t images = program.images.size(), regions = program.regions.size(), routes = program.routes.size();
  for (size_t i = 0; i < images; ++i) {
    program.images.push_back(std::make_unique<wexe::ImageT>(*program.images[i]));
    program.images.back()->load = 1;
  }
  for (size_t i = 0; i < regions; ++i) {
    program.regions.push_back(std::make_unique<wexe::RegionT>(*program.regions[i]));
    program.regions.back()->image += static_cast<uint16_t>(images);
  }
  for (size_t i = 0; i < routes; ++i) {
    program.routes.push_back(std::make_unique<wexe::RouteT>(*program.routes[i]));
    program.routes.back()->load = 1;
  }
  program.entries[0]->phases.push_back(std::make_unique<wexe::PhaseT>(*program.entries[0]->phases[0]));
  program.entries[0]->phases.back()->load = 1;
  ASSERT_EQ(refusal(program), "");
  LoadedProgram loaded = LoadedProgram::verify(program);
  EXPECT_EQ(loaded.load(1).program().regions.size(), regions);
  EXPECT_EQ(loaded.load(1).program().entries[0]->phases.size(), 1u);

  program.routes.back()->load = 0;
  EXPECT_EQ(refusal(program).rfind("load 0: ", 0), 0u) << refusal(program);
  program.routes.pop_back();
  EXPECT_EQ(refusal(program).rfind("load 1: ", 0), 0u) << refusal(program);
}

TEST(Verify, wire_c1_TypeFitsTheWireFormat) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").type = wexe::ElemType::F32;
  expectRefused(program, "wire_c1", "expected f16 or bf16 in wire format Indexed16");

  step(program, "fc").wire = wexe::WireFormat::Dense32;
  EXPECT_EQ(refusal(program), "");
}

TEST(Verify, wire_c1_IndexFitsItsBits) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").feature_block = 65537;
  expectRefused(program, "wire_c1", "has feature block 65537, expected at most 65536");
}

TEST(Verify, task_c1_StepNamesATaskOfTheImage) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").task_own = 77;
  expectRefused(program, "task_c1",
                "step 2 ('fc'): starts control task 77 as its task_own, but image 'linear' of region 'all' has none of that number");
}

// With one output feature the first column owns it, and no column is west of the owner.
TEST(Verify, task_c1_AsksForTasksThatAreStarted) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").rows = 1;
  step(program, "fc").task_east = 77;
  EXPECT_EQ(refusal(program), "");
}

TEST(Verify, exe_c4_StepsNameTensorsThatAreThere) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").tensor = 3;
  expectRefused(program, "exe_c4", "names weight 3, but there are 3 tensors");

  program = linearProgram();
  step(program, "x").tensor = -1;
  expectRefused(program, "exe_c4", "names tensor -1");

  program = linearProgram();
  program.entries[0]->inputs = {9};
  expectRefused(program, "exe_c4", "names input tensor 9");
}

TEST(Verify, exe_c4_PhasesNameFunctionsThatAreThere) {
  wexe::ProgramT program = linearProgram();
  phase(program).kind = wexe::PhaseKind::Function;
  expectRefused(program, "exe_c4", "calls function -1, but there are 0");
}

TEST(Verify, exe_c4_UnknownKindsAreRefused) {
  wexe::ProgramT program = linearProgram();
  step(program, "x").kind = static_cast<wexe::StepKind>(50);
  expectRefused(program, "exe_c4", "has unknown kind 50");

  program = linearProgram();
  phase(program).kind = static_cast<wexe::PhaseKind>(50);
  expectRefused(program, "exe_c4", "has unknown kind 50");
}

// 2^32 x 2^32 elements are 0 modulo 2^64.
TEST(Verify, exe_c11_SizesDoNotOverflow) {
  wexe::ProgramT program = linearProgram();
  tensor(program, "fc.weight").shape = {uint64_t(1) << 32, uint64_t(1) << 32};
  expectRefused(program, "exe_c11", "is larger than MemoryX of machine 'tiny'");
}

TEST(Verify, exe_c11_NonzerosAreElements) {
  wexe::ProgramT program = linearProgram();
  tensor(program, "fc.weight").dense_nonzeros = 5;
  expectRefused(program, "exe_c11", "has 5 nonzeros among 4 elements");
}

TEST(Verify, exe_c12_RolesFit) {
  wexe::ProgramT program = linearProgram();
  program.entries[0]->inputs = {2};
  expectRefused(program, "exe_c12", "takes tensor 'y', whose role is not input");

  program = linearProgram();
  program.entries[0]->outputs = {0};
  expectRefused(program, "exe_c12", "gives tensor 'x', whose role is not output");

  program = linearProgram();
  step(program, "y").tensor = 0;
  expectRefused(program, "exe_c12", "receives tensor 'x', which is neither an output nor an intermediate");
}

/// y becomes the state s.
wexe::ProgramT programWithState() {
  wexe::ProgramT program = linearProgram();
  auto state = std::make_unique<wexe::TensorT>(tensor(program, "y"));
  state->name = "s";
  state->role = wexe::Role::State;
  tensor(program, "y").updates = static_cast<int>(program.tensors.size());
  program.tensors.push_back(std::move(state));
  return program;
}

TEST(Verify, exe_c17_ASampleMakesWhatItsPatternKeeps) {
  auto sampled = [](wexe::ElemType pattern) {
    wexe::ProgramT program = linearProgram();
    program.tensors.push_back(std::make_unique<wexe::TensorT>());
    program.tensors.back()->name = "kept";
    program.tensors.back()->role = wexe::Role::Weight;
    program.tensors.back()->type = pattern;
    program.tensors.back()->shape = program.tensors[2]->shape;
    program.tensors[2]->type = wexe::ElemType::F32;
    wexe::StepT &sample = step(program, "fc");
    sample.kind = wexe::StepKind::Sample;
    sample.tensor = 2;
    sample.pattern = 3;
    return program;
  };
  expectRefused(sampled(wexe::ElemType::F32), "exe_c17", "has the pattern 'kept'");
  wexe::ProgramT program = sampled(wexe::ElemType::I8);
  step(program, "fc").tensor = 1;
  expectRefused(program, "exe_c17", "expected an output or an intermediate of f32");
  program = sampled(wexe::ElemType::I8);
  step(program, "fc").feature_block = 0;
  expectRefused(program, "exe_c17", "expected each to be at least 1");
  program = sampled(wexe::ElemType::I8);
  step(program, "fc").row_stride = 1000;
  expectRefused(program, "exe_c17", "writes outside tensor");
  program = sampled(wexe::ElemType::I8);
  step(program, "fc").batch_sizes = {1};
  step(program, "fc").batch_strides = {0};
  expectRefused(program, "exe_c17", "has a pattern and sums for each batch entry");
}

TEST(Verify, exe_c19_GroupsThatAreAddedMakeOneSetOfSums) {
  wexe::ProgramT program = linearProgram();
  program.tensors[2]->type = wexe::ElemType::F32;
  wexe::StepT &sample = step(program, "fc");
  sample.kind = wexe::StepKind::Sample;
  sample.tensor = 2;
  sample.colour = step(program, "y").colour;
  sample.task = sample.task_own;
  std::swap(sample.task_east, sample.task_west);
  EXPECT_EQ(refusal(program), "");
  sample.groups_added = true;
  expectRefused(program, "exe_c19", "adds sums of 1 groups on the wafer, expected several");

  wexe::GridT &grid = *phase(program).grid;
  grid.columns = 1;
  grid.groups = 2;
  grid.tokens = 8;
  tensor(program, "x").shape = {8, 1};
  tensor(program, "y").shape = {8, 1};
  sample.feature_block = sample.out_block = 2;
  EXPECT_EQ(refusal(program), "");
  grid.batches = grid.batches_at_once = 2;
  sample.batch_sizes = {2};
  sample.batch_strides = {0};
  expectRefused(program, "exe_c19", "none that hold batch entries with sums of their own at a time");
  grid.batches = grid.batches_at_once = 1;
  sample.batch_sizes = {};
  sample.batch_strides = {};

  phase(program).steps.push_back(std::make_unique<wexe::StepT>(sample));
  phase(program).steps.back()->groups_added = false;
  expectRefused(program, "exe_c19", "make sums on output (colour 2), but groups are added for one of them only");
  phase(program).steps.pop_back();

  // Below the first group nothing leaves.
  sample.colour = 7;
  expectRefused(program, "exe_c14", "is not connected with the output port of column 1;");
}

TEST(Verify, exe_c16_UpdatesAreOfStates) {
  wexe::ProgramT program = programWithState();
  EXPECT_EQ(refusal(program), "");
  tensor(program, "s").shape = {8};
  expectRefused(program, "exe_c16", "updates 's', expected an output or intermediate that updates a state of its type and shape");

  program = programWithState();
  tensor(program, "x").updates = tensor(program, "y").updates;
  expectRefused(program, "exe_c16", "updates 's'");

  program = programWithState();
  tensor(program, "y").updates = 9;
  expectRefused(program, "exe_c4", "names state 9, but there are");
}

TEST(Verify, exe_c16_OneUpdatePerEntry) {
  wexe::ProgramT program = programWithState();
  auto second = std::make_unique<wexe::TensorT>(tensor(program, "y"));
  second->name = "y2";
  auto copy = std::make_unique<wexe::PhaseT>();
  copy->kind = wexe::PhaseKind::Function;
  copy->function = 0;
  copy->outputs = {uint32_t(program.tensors.size())};
  program.tensors.push_back(std::move(second));
  program.functions.push_back(std::make_unique<wexe::FunctionT>());
  program.entries[0]->phases.push_back(std::move(copy));
  expectRefused(program, "exe_c16", "makes two tensors that update 's', expected one");
}

TEST(Verify, exe_c12_StatesChangeAtTheEndOnly) {
  wexe::ProgramT program = programWithState();
  step(program, "y").tensor = tensor(program, "y").updates;
  expectRefused(program, "exe_c12", "receives tensor 's', which is neither an output nor an intermediate");
}

TEST(Verify, exe_c13_MicroBatchesHoldAllTokens) {
  wexe::ProgramT program = linearProgram();
  phase(program).grid->token_block = 1;
  expectRefused(program, "exe_c13", "has room for 2 tokens in its micro-batches, expected at least 4");
  phase(program).grid->micro_batches = 2;
  EXPECT_EQ(refusal(program), "");
}

TEST(Verify, exe_c14_EveryCoreOfTheGridIsCommanded) {
  wexe::ProgramT program = linearProgram();
  phase(program).grid->columns = 3;
  step(program, "fc").rows = 1;
  expectRefused(program, "exe_c14", "command (colour 0) commands 4 of the grid's 6 cores");
}

TEST(Verify, exe_c14_InputsAreConnectedWithPorts) {
  wexe::ProgramT program = linearProgram();
  step(program, "x").colour = 3;
  expectRefused(program, "exe_c14",
                "east (colour 3) is not connected with the input port of column 0; add a route at router (0, 0) with rx N");
}

TEST(Verify, exe_c14_OutputsAreConnectedWithPorts) {
  wexe::ProgramT program = linearProgram();
  step(program, "y").colour = 1;
  expectRefused(program, "exe_c14",
                "input (colour 1) is not connected with the output port of column 0; add a route at router (0, 3) with S in tx");
}

TEST(Verify, exe_c15_TensorsHaveTheGridsTokens) {
  wexe::ProgramT program = linearProgram();
  tensor(program, "x").shape = {3, 2};
  expectRefused(program, "exe_c15", "moves tensor 'x' of 6 elements and 2 features, but the grid has 4 tokens");
}

TEST(Verify, exe_c15_WeightsAreReadInsideTheTensor) {
  wexe::ProgramT program = linearProgram();
  step(program, "fc").offset = 1;
  expectRefused(program, "exe_c15", "reads outside weight 'fc.weight' of 4 elements");

  program = linearProgram();
  step(program, "fc").row_stride = INT64_MIN;
  expectRefused(program, "exe_c15", "reads outside weight");

  program = linearProgram();
  step(program, "fc").row_stride = -2;
  step(program, "fc").offset = 2;
  EXPECT_EQ(refusal(program), "");
}

TEST(Verify, exe_c15_BiasHasAnElementPerRow) {
  wexe::ProgramT program = linearProgram();
  program.tensors.push_back(std::make_unique<wexe::TensorT>(tensor(program, "fc.weight")));
  program.tensors.back()->shape = {1};
  program.tensors.back()->dense_nonzeros = 0;
  step(program, "fc").bias = 3;
  expectRefused(program, "exe_c15", "needs 2 elements of bias");
}

TEST(Verify, exe_c15_BlocksAreOfTypesThatTravel) {
  wexe::ProgramT program = linearProgram();
  step(program, "x").type = wexe::ElemType::I8;
  expectRefused(program, "exe_c15", "expected one of 16 or 32 bits");
}

} // namespace
