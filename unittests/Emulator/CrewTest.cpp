//===- CrewTest.cpp - threads that share the engine's work --------------------===//

#include "../../lib/Emulator/FunctionalCrew.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

using namespace wafer;

namespace {

TEST(CrewTest, EachPieceIsDoneOnceByHoweverManyThreads) {
  for (unsigned threads : {1u, 2u, 5u}) {
    Crew crew(threads);
    EXPECT_EQ(crew.size(), threads);
    for (size_t count : {0u, 1u, 3u, 100u}) {
      std::vector<std::atomic<int>> times(count);
      crew.forEach(count, [&](size_t i) { ++times[i]; });
      for (size_t i = 0; i < count; ++i)
        EXPECT_EQ(times[i], 1) << threads << " threads, piece " << i << " of " << count;
    }
  }
}

TEST(CrewTest, EachMemberBeginsWithItsPartAndHelpsTheOthers) {
  Shares shares(7, 2);
  EXPECT_EQ(shares.next(1), 3u);
  for (size_t number : {0u, 1u, 2u, 4u})
    EXPECT_EQ(shares.next(0), number);
  EXPECT_EQ(shares.next(1), 5u);
  EXPECT_EQ(shares.next(0), 6u);
  for (size_t member : {0u, 1u})
    EXPECT_FALSE(shares.next(member));
  Shares few(1, 3);
  EXPECT_EQ(few.next(0), 0u);
  EXPECT_FALSE(few.next(2));
}

TEST(CrewTest, ThreadsThatFellAsleepGoOnWithTheNextPiece) {
  Crew crew(3);
  std::atomic<int> done{0};
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    crew.forEach(20, [&](size_t) { ++done; });
  }
  EXPECT_EQ(done, 60);
}

TEST(CrewTest, WhatGoesWrongIsThrownWhenAllAreDoneAndTheCrewCanBeUsedAgain) {
  for (unsigned threads : {1u, 3u}) {
    Crew crew(threads);
    std::atomic<int> done{0};
    EXPECT_THROW(crew.forEach(4, [&](size_t i) { i == 2 ? throw std::runtime_error("two") : ++done; }), std::runtime_error);
    const int before = done;
    crew.forEach(4, [&](size_t) { ++done; });
    EXPECT_EQ(done, before + 4) << threads << " threads";
  }
}

TEST(CrewTest, WorkThatWasBegunIsOverBeforeTheNextBegins) {
  Crew crew(2);
  std::atomic<int> atWork{0}, most{0};
  for (int i = 0; i < 50; ++i)
    crew.begin(1, [&](size_t, size_t) {
      most = std::max<int>(most, ++atWork);
      --atWork;
    });
  crew.wait();
  EXPECT_LE(most, 1) << "none where the thread was not awake in time";
}

} // namespace
