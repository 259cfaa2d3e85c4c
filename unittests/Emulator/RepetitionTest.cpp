//===- RepetitionTest.cpp - when what repeats need not be simulated ----------===//

#include "../../lib/Emulator/TimingIngress.h"

#include <gtest/gtest.h>

using namespace wafer;

namespace {

/// How many of them, of which each takes cycles(number), it takes until the others are known; `most`: none are.
template <typename Cycles> size_t repetitionsThatTell(uint64_t differ, size_t most, Cycles cycles) {
  Repetition repetition(differ);
  uint64_t now = 0;
  for (size_t i = 0; i < most; ++i) {
    repetition.add(now, {});
    if (repetition.period(3, 2000))
      return i;
    now += cycles(i);
  }
  return most;
}

TEST(RepetitionTest, FewTellTheMeanOfThoseThatHardlyDiffer) {
  EXPECT_EQ(repetitionsThatTell(32, 100, [](size_t i) { return 10000 + i * 7 % 5; }), 8u);
  EXPECT_EQ(repetitionsThatTell(32, 100, [](size_t i) { return 10000 + 2000 * (i % 7 == 3) + i * i % 11 * 300; }), 64u);
}

TEST(RepetitionTest, WhatBecomesFasterAllTheTimeHasNoMean) {
  EXPECT_EQ(repetitionsThatTell(32, 100, [](size_t i) { return 20000 - 150 * i; }), 100u);
}

/// A turn of four rows of one column, which take 100, 200, 300 and 400 cycles.
void addRows(RowTimes &rows, size_t first, size_t count, uint64_t more, uint64_t &now) {
  for (size_t i = first; i < first + count; ++i) {
    rows.add(rows.begin(), 0, now, {});
    now += 100 * (i % 4 + 1) + more;
  }
}

TEST(RowTimesTest, WhatWasKnownBeforeSomethingEndedIsKnownWhereAQuarterOfATurnTakesAsLong) {
  uint64_t now = 0;
  RowTimes before(1, 4, 0, nullptr);
  addRows(before, 0, 12, 0, now);
  const auto found = before.period(1000);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->cycles, 1000u);
  for (uint64_t more : {0, 50}) {
    RowTimes behind(1, 4, 14, before.known());
    addRows(behind, 14, 4, more, now);
    EXPECT_EQ(behind.period(1000).has_value(), more == 0);
  }
}

} // namespace
