//===- DeadlockTest.cpp - when nothing can move, say who waits for whom -------===//

#include "TestPrograms.h"

#include <gtest/gtest.h>

using namespace wafer;
using namespace wafer::test;
using wexe::Dir;

namespace {

constexpr auto F32 = ElementType::F32;
constexpr unsigned commands = 0, toEast = 1, toWest = 2, input = 3, other = 4;

/// The message with which the cycle engine stops. The stall limit is below the latencies on purpose: waiting for them is no deadlock.
std::string standstill(const ProgramBuilder &builder, ListIngress in) {
  LoadedProgram program = builder.verify();
  EngineOptions options;
  options.stallLimit = 1;
  auto engine = createCycleEngine(program, options);
  ListEgress out;
  try {
    engine->run(in, out);
  } catch (const Trap &trap) {
    EXPECT_EQ(trap.label(), "progress_c1");
    return trap.what();
  }
  ADD_FAILURE() << "the program ran to its end";
  return "";
}

void expectPart(const std::string &message, const std::string &part) { EXPECT_NE(message.find(part), std::string::npos) << message; }
void expectNoPart(const std::string &message, const std::string &part) { EXPECT_EQ(message.find(part), std::string::npos) << message; }

/// Two cores in a row, each with an image of its own, a channel each way.
struct Pair {
  explicit Pair(const Machine &machine = testMachine(2, 1)) : builder(machine) {
    builder.colour(commands, "command").colour(toEast, "to_east").colour(toWest, "to_west");
    for (unsigned x = 0; x < 2; ++x)
      builder.route(commands, x, 0, Dir::N, {Dir::Ramp});
    builder.route(toEast, 0, 0, Dir::Ramp, {Dir::E}).route(toEast, 1, 0, Dir::W, {Dir::Ramp});
    builder.route(toWest, 1, 0, Dir::Ramp, {Dir::W}).route(toWest, 0, 0, Dir::E, {Dir::Ramp});
  }
  ImageBuilder core(unsigned x) {
    ImageBuilder image = builder.image(x == 0 ? "west" : "east", commands);
    builder.core(x, 0);
    return image.mem("block", F32, 2048, {4})
        .mem("more", F32, 3072, {4})
        .fabIn("in", F32, x == 0 ? toWest : toEast, 4)
        .fabOut("out", F32, x == 0 ? toEast : toWest, 4);
  }
  ProgramBuilder builder;
};

const std::vector<std::string> receiveThenSend = {"ldd d0, %block", "ldd d1, %in", "mov.f32 d0, d1", "ldd d2, %out", "mov.f32 d2, d0"};
const std::vector<std::string> sendThenReceive = {"ldd d0, %block", "ldd d2, %out", "mov.f32 d2, d0", "ldd d1, %in", "mov.f32 d0, d1"};

ListIngress commandBoth() { return ListIngress().multicast(commands, 0, 2, 1); }

TEST(DeadlockTest, TwoCoresThatReceiveBeforeTheySendWaitForEachOther) {
  Pair pair;
  pair.core(0).controlTask("swap", 1, receiveThenSend);
  pair.core(1).controlTask("swap", 1, receiveThenSend);
  std::string message = standstill(pair.builder, commandBoth());
  expectPart(message, "these wait for each other:");
  expectPart(message, "\n  core (0, 0), pc 2 'mov.f32 d0, d1' (test:1) waits for to_west (colour 2) from core (1, 0)");
  expectPart(message, "\n  core (1, 0), pc 2 'mov.f32 d0, d1' (test:1) waits for to_east (colour 1) from core (0, 0)");
}

TEST(DeadlockTest, TheSamePairRunsWhenOneSendsFirst) {
  Machine slow = testMachine(2, 1);
  slow.hopCycles = slow.rampCycles = slow.vectorSetupCycles = 50;
  Pair pair(slow);
  pair.core(0).controlTask("swap", 1, sendThenReceive);
  pair.core(1).controlTask("swap", 1, receiveThenSend);
  LoadedProgram program = pair.builder.verify();
  EngineOptions options;
  options.stallLimit = 1;
  ListIngress in = commandBoth();
  ListEgress out;
  EXPECT_EQ(createCycleEngine(program, options)->run(in, out).elementOps, 16u);
}

TEST(DeadlockTest, AChainEndsWhereMemoryXSendsNoMore) {
  Pair pair;
  pair.core(0).controlTask("send", 1, sendThenReceive);
  pair.core(1).controlTask("receive", 1, receiveThenSend);
  std::string message = standstill(pair.builder, ListIngress().command(commands, 1, 1));
  expectNoPart(message, "each other");
  expectPart(message, "core (1, 0), pc 2 'mov.f32 d0, d1' (test:1) waits for to_east (colour 1) from core (0, 0)\n"
                      "  core (0, 0) waits for a command on command (colour 0) from MemoryX, which has nothing more to send");
}

// The first microthread waits for something else; the cycle goes through the second and what conflicts with it.
TEST(DeadlockTest, FollowsMicrothreadsAndConflicts) {
  Pair pair;
  pair.builder.colour(input, "input").route(input, 0, 0, Dir::N, {Dir::Ramp});
  pair.core(0)
      .fabIn("never", F32, input, 4)
      .controlTask("work", 1,
                   {"ldd d0, %block", "ldd d1, %in", "ldd d2, %out", "ldd d3, %more", "ldd d4, %never", "mov.f32 d3, d4 async",
                    "mov.f32 d0, d1 async", "mov.f32 d2, d0"});
  pair.core(1).controlTask("swap", 1, receiveThenSend);
  std::string message = standstill(pair.builder, commandBoth());
  expectPart(message, "these wait for each other:");
  expectPart(message, "core (0, 0), pc 7 'mov.f32 d2, d0' (test:1) waits for the microthread of pc 6, with which it conflicts");
  expectPart(message, "core (0, 0), pc 6 'mov.f32 d0, d1 async' (test:1) waits for to_west (colour 2) from core (1, 0)");
  expectNoPart(message, "input (colour 3)");
}

TEST(DeadlockTest, AMicrothreadAloneCanWait) {
  Pair pair;
  pair.core(0).controlTask("send", 1, sendThenReceive);
  pair.core(1)
      .controlTask("receive", 1, {"ldd d0, %block", "ldd d1, %in", "mov.f32 d0, d1 async"})
      .controlTask("unused", 2, receiveThenSend);
  std::string message = standstill(pair.builder, ListIngress().command(commands, 1, 1));
  expectPart(message, "core (1, 0), pc 2 'mov.f32 d0, d1 async' (test:1) waits for to_east (colour 1) from core (0, 0)");
}

// Two relays that feed each other: the sender of what one lacks is the other, and not the task beside it.
TEST(DeadlockTest, FollowsTheOperationThatSends) {
  Pair pair;
  for (unsigned x = 0; x < 2; ++x)
    pair.core(x).controlTask("relay", 1, {"ldd d1, %in", "ldd d2, %out", "mov.f32 d2, d1 async"});
  std::string message = standstill(pair.builder, commandBoth());
  expectPart(message, "these wait for each other:");
  expectPart(message, "core (0, 0), pc 2 'mov.f32 d2, d1 async' (test:1) waits for to_west (colour 2) from core (1, 0)");
  expectPart(message, "core (1, 0), pc 2 'mov.f32 d2, d1 async' (test:1) waits for to_east (colour 1) from core (0, 0)");
}

// Sends 200 before it takes what the other's relay gives back; the receiver of the 200 is that relay.
TEST(DeadlockTest, FollowsTheOperationThatReceives) {
  Pair pair;
  pair.core(0)
      .mem("long", F32, 4096, {200})
      .fabIn("long_in", F32, toWest, 200)
      .fabOut("long_out", F32, toEast, 200)
      .controlTask("work", 1, {"ldd d0, %long", "ldd d1, %long_out", "mov.f32 d1, d0", "ldd d2, %long_in", "mov.f32 d0, d2"});
  pair.core(1)
      .fabIn("long_in", F32, toEast, 200)
      .fabOut("long_out", F32, toWest, 200)
      .controlTask("relay", 1, {"ldd d1, %long_in", "ldd d2, %long_out", "mov.f32 d2, d1 async"});
  std::string message = standstill(pair.builder, commandBoth());
  expectPart(message, "these wait for each other:");
  expectPart(message, "core (0, 0), pc 2 'mov.f32 d1, d0' (test:1) waits for room on to_east (colour 1), which core (1, 0) does not take");
  expectPart(message,
             "core (1, 0), pc 2 'mov.f32 d2, d1 async' (test:1) waits for room on to_west (colour 2), which core (0, 0) does not take");
}

TEST(DeadlockTest, FollowsTheLackOfMicrothreadSlots) {
  Pair pair;
  std::vector<std::string> code = {"ldd d0, %block", "ldd d1, %in", "ldd d2, %out"};
  for (int i = 0; i < 8; ++i)
    code.push_back("mov.f32 d0, d1 async");
  code.push_back("mov.f32 d2, d0 async");
  pair.core(0).controlTask("work", 1, code);
  pair.core(1).controlTask("swap", 1, receiveThenSend);
  std::string message = standstill(pair.builder, commandBoth());
  expectPart(message, "these wait for each other:");
  expectPart(message, "core (0, 0), pc 11 'mov.f32 d2, d0 async' (test:1) waits for a microthread slot; all 8 are taken");
}

/// One core with two inputs from MemoryX.
ProgramBuilder twoInputs() {
  ProgramBuilder builder(testMachine(1, 1));
  builder.colour(commands, "command").colour(input, "input").colour(other, "other");
  for (unsigned colour : {commands, input, other})
    builder.route(colour, 0, 0, Dir::N, {Dir::Ramp});
  builder.image("image", commands)
      .mem("block", F32, 2048, {4})
      .fabIn("first", F32, input, 4)
      .fabIn("second", F32, other, 4)
      .controlTask("take", 1, {"ldd d0, %block", "ldd d1, %first", "mov.f32 d0, d1"})
      .controlTask("unused", 2, {"ldd d1, %second", "mov.f32 d0, d1"});
  builder.core(0, 0);
  return builder;
}

// What MemoryX sends too early is in the way of what is waited for: an input port keeps the order.
TEST(DeadlockTest, TheWrongColourIsFirstInAPort) {
  ListIngress in;
  in.command(commands, 0, 1).data(other, 0, std::vector<uint32_t>(200)).data(input, 0, {1, 2, 3, 4});
  std::string message = standstill(twoInputs(), in);
  expectPart(message, "this waits for itself:\n  core (0, 0), pc 2 'mov.f32 d0, d1' (test:1) waits for input (colour 3) from MemoryX, but "
                      "other (colour 4) is before "
                      "it in the input port of column 0, which core (0, 0) does not take");
}

// A multicast goes to all of its columns at once, so one that takes nothing holds up the others.
TEST(DeadlockTest, MemoryXIsPartOfACycle) {
  Pair pair;
  pair.builder.colour(input, "input");
  for (unsigned x = 0; x < 2; ++x)
    pair.builder.route(input, x, 0, Dir::N, {Dir::Ramp});
  pair.core(0)
      .mem("long", F32, 8192, {200})
      .fabIn("weights", F32, input, 200)
      .controlTask("work", 1, {"ldd d0, %block", "ldd d1, %in", "mov.f32 d0, d1", "ldd d2, %long", "ldd d3, %weights", "mov.f32 d2, d3"})
      .controlTask("unused", 2, {"ldd d2, %out", "mov.f32 d2, d0"});
  pair.core(1)
      .fabIn("first", F32, input, 4)
      .controlTask("work", 1, {"ldd d0, %block", "ldd d1, %first", "mov.f32 d0, d1", "ldd d2, %out", "mov.f32 d2, d0"})
      .controlTask("unused", 2, {"ldd d1, %in", "mov.f32 d0, d1"});
  ListIngress in = commandBoth();
  in.data(input, 0, std::vector<uint32_t>(200)).data(input, 0, {1, 2, 3, 4});
  in.bursts.back().portCount = 2;
  std::string message = standstill(pair.builder, in);
  expectPart(message, "these wait for each other:");
  expectPart(message, "core (0, 0), pc 2 'mov.f32 d0, d1' (test:1) waits for to_west (colour 2) from core (1, 0)");
  expectPart(message, "core (1, 0), pc 2 'mov.f32 d0, d1' (test:1) waits for input (colour 3) from MemoryX\n");
  expectPart(message, "MemoryX waits for room to send input (colour 3) to column 0, whose input port is full of input (colour 3), which "
                      "core (0, 0) does not take");
}

TEST(DeadlockTest, WaveletsThatNoTaskTakes) {
  std::string message = standstill(twoInputs(), ListIngress().data(other, 0, {1, 2, 3}));
  expectPart(message, "core (0, 0) has 3 wavelets of other (colour 4) that no task takes");
}

// A multicast moves to all or none: a receiver that does not take it starves the others.
TEST(DeadlockTest, AMulticastIsHeldUpByOneReceiver) {
  ProgramBuilder builder(testMachine(1, 2));
  builder.colour(commands, "command").colour(input, "input").colour(other, "answer");
  for (unsigned colour : {commands, input})
    builder.route(colour, 0, 0, Dir::N, {Dir::Ramp, Dir::S}).route(colour, 0, 1, Dir::N, {Dir::Ramp});
  builder.route(other, 0, 1, Dir::Ramp, {Dir::N}).route(other, 0, 0, Dir::S, {Dir::Ramp});
  // The upper core wants an answer before it looks at its copy; the lower one answers after 200 wavelets.
  builder.image("upper", commands)
      .mem("block", F32, 2048, {200})
      .mem("word", F32, 4096, {1})
      .fabIn("in", F32, input, 200)
      .fabIn("answer", F32, other, 1)
      .controlTask("work", 1, {"ldd d0, %word", "ldd d1, %answer", "mov.f32 d0, d1", "ldd d2, %block", "ldd d3, %in", "mov.f32 d2, d3"});
  builder.core(0, 0);
  builder.image("lower", commands)
      .mem("block", F32, 2048, {200})
      .constant("zero", F32, 0)
      .fabIn("in", F32, input, 200)
      .fabOut("answer", F32, other, 1)
      .controlTask("work", 1, {"ldd d2, %block", "ldd d3, %in", "mov.f32 d2, d3", "ldd d0, %answer", "ldd d1, %zero", "mov.f32 d0, d1"});
  builder.core(0, 1);
  std::string message = standstill(builder, ListIngress().command(commands, 0, 1).data(input, 0, std::vector<uint32_t>(200)));
  expectPart(message, "these wait for each other:");
  expectPart(message, "core (0, 0), pc 2 'mov.f32 d0, d1' (test:1) waits for answer (colour 4) from core (0, 1)");
  expectPart(message, "which core (0, 0) does not take");
}

} // namespace
