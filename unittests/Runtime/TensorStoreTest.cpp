//===- TensorStoreTest.cpp - weights by name, in bounded memory -----------===//

#include "wafer/Runtime/TensorStore.h"
#include "wafer/Runtime/Safetensors.h"

#include "RowStream.h"
#include "TestFiles.h"

#include "wafer/Machine/RowOrder.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <thread>

using namespace wafer;
using namespace wafer::test;

namespace {

Tensor counting(uint64_t rows, uint64_t columns) {
  std::vector<float> values(rows * columns);
  std::iota(values.begin(), values.end(), 0.0f);
  return floats({rows, columns}, values);
}

class TensorStoreTest : public testing::Test {
protected:
  /// A store whose files hold these tensors.
  std::unique_ptr<TensorStore> storeOf(const std::map<std::string, Tensor> &tensors, uint64_t budget) {
    writeSafetensors(path, tensors);
    auto store = std::make_unique<TensorStore>(budget);
    store->addFile(path);
    return store;
  }

  TemporaryFolder folder;
  std::string path = folder.file("w.safetensors");
};

TEST_F(TensorStoreTest, NamesWhatIsMissingAndWhatMayHaveBeenMeant) {
  auto store = storeOf({{"model.fc.weight", counting(2, 3)}, {"fc.wieght", counting(2, 3)}, {"other", counting(1, 1)}}, 1000);
  expectRefused([&] { store->find("fc.weight", DType::F32, {2, 3}); },
                {"'fc.weight'", "f32[2x3]", path, "'model.fc.weight' or 'fc.wieght'"});
  expectRefused([] { TensorStore(1000).find("w", DType::F32, {1}); }, {"'w'", "no weights were given"});
}

TEST_F(TensorStoreTest, NamesTensorAndFileOfAnotherShapeOrType) {
  auto store = storeOf({{"w", counting(2, 3)}}, 1000);
  expectRefused([&] { store->find("w", DType::F32, {3, 2}); }, {"'w'", path, "f32[2x3]", "expected f32[3x2]"});
  expectRefused([&] { store->find("w", DType::F16, {2, 3}); }, {"'w'", path, "f32[2x3]", "expected f16[2x3]", "convert"});
}

TEST_F(TensorStoreTest, TakesAWeightOnce) {
  auto store = storeOf({{"w", counting(2, 3)}}, 1000);
  expectRefused([&] { store->addFile(path); }, {"'w'", "give each weight once"});
}

TEST_F(TensorStoreTest, PrefersWhatTheCallerSets) {
  auto store = storeOf({{"w", counting(2, 3)}}, 1000);
  store->set("w", floats({1}, {5}));
  EXPECT_EQ(store->find("w", DType::F32, {1})->bytes(), 4u);
}

TEST_F(TensorStoreTest, LoadsNothingWholeThatDoesNotFit) {
  auto store = storeOf({{"w", counting(10, 10)}}, 399);
  expectRefused([&] { loadWhole(store->dram(), *store->find("w", DType::F32, {10, 10})); }, {"'w'", "400 bytes", "399"});
}

/// All rows of `plan`, checked against the values of counting().
void expectCountingRows(TensorStore &store, const RowPlan &plan, uint64_t repeats, const ForEach &together = {}) {
  RowStream stream(store, {plan}, 1, repeats);
  if (together)
    stream.readTogether(together);
  for (uint64_t repeat = 0; repeat < repeats; ++repeat) {
    for (uint64_t i = 0; i < plan.rows; ++i) {
      RowStream::Row row = stream.next();
      ASSERT_EQ(row.row, streamedRow(i, plan.rows, plan.roundLength));
      for (uint64_t k = 0; k < plan.columns; ++k) {
        float value;
        std::memcpy(&value, row.weights + k * sizeof value, sizeof value);
        ASSERT_EQ(value, float(plan.offset + int64_t(row.row) * plan.rowStride + int64_t(k) * plan.columnStride));
      }
      ASSERT_EQ(row.bias != nullptr, plan.bias != nullptr);
      if (row.bias) {
        float value;
        std::memcpy(&value, row.bias, sizeof value);
        ASSERT_EQ(value, float(row.row));
      }
    }
  }
}

// A weight of 40 kB passes through a DRAM tier of 1 kB, whichever way it lies.
TEST_F(TensorStoreTest, StreamsAWeightThatIsLargerThanTheTier) {
  for (bool transposed : {false, true}) {
    auto store = storeOf({{"w", counting(100, 100)}, {"b", counting(1, 100)}}, 1000);
    RowPlan plan;
    plan.weight = store->find("w", DType::F32, {100, 100});
    plan.bias = store->find("b", DType::F32, {1, 100});
    plan.rows = plan.columns = 100;
    plan.rowStride = transposed ? 1 : 100;
    plan.columnStride = transposed ? 100 : 1;
    expectCountingRows(*store, plan, 2);
    MemoryXCounters counters = store->counters();
    EXPECT_LE(counters.dramPeakBytes, 1000u);
    EXPECT_GE(counters.dramPeakBytes, 404u);
    EXPECT_GE(counters.flashBytesRead, 2u * 40400);
    // A piece is one row: half of what the window leaves holds no second.
    EXPECT_EQ(counters.prefetchHits + counters.prefetchWaits, 200u);
  }
}

// Threads read pieces in any order; what lies in a file, or is too much, is read as ever.
TEST_F(TensorStoreTest, RowsInMemoryAreReadTogether) {
  size_t read = 0;
  const ForEach backwards = [&](size_t count, const std::function<void(size_t)> &use) {
    read += count;
    std::thread([&] {
      for (size_t i = count; i-- > 0;)
        use(i);
    }).join();
  };
  for (bool transposed : {false, true}) {
    TensorStore store(1 << 26);
    store.set("w", counting(1000, 500));
    store.set("b", counting(1, 1000));
    RowPlan plan;
    plan.weight = store.find("w", DType::F32, {1000, 500});
    plan.bias = store.find("b", DType::F32, {1, 1000});
    plan.rows = transposed ? 500 : 1000;
    plan.columns = transposed ? 1000 : 500;
    plan.rowStride = transposed ? 1 : 500;
    plan.columnStride = transposed ? 500 : 1;
    read = 0;
    expectCountingRows(store, plan, 3, backwards);
    EXPECT_GE(read, 3u) << "a piece or more for each repetition";
    read = 0;
    expectCountingRows(store, plan, 30, backwards);
    EXPECT_EQ(read, 0u) << "60 MB";
  }
  auto store = storeOf({{"w", counting(1000, 500)}}, 1 << 26);
  RowPlan plan;
  plan.weight = store->find("w", DType::F32, {1000, 500});
  plan.rows = 1000;
  plan.columns = plan.rowStride = 500;
  plan.columnStride = 1;
  expectCountingRows(*store, plan, 1, backwards);
  EXPECT_EQ(read, 0u) << "in a file";
  // One in memory before it, one behind it.
  store->set("v", counting(20, 500));
  RowPlan first = plan;
  first.weight = store->find("v", DType::F32, {20, 500});
  first.rows = 20;
  RowStream stream(*store, {first, plan, first}, 1, 1);
  stream.readTogether(backwards);
  EXPECT_EQ(read, 1u) << "a piece";
  for (uint64_t rows : {20, 1000, 20})
    for (uint64_t i = 0; i < rows; ++i) {
      const RowStream::Row row = stream.next();
      float value;
      std::memcpy(&value, row.weights, sizeof value);
      ASSERT_EQ(row.row, i);
      ASSERT_EQ(value, float(i * 500));
    }
}

// Rows are kept by what all parts of a weight hold, in whatever order threads look at them.
TEST_F(TensorStoreTest, AFingerprintIsThatOfAllPartsInOrder) {
  Tensor weight = counting(600, 500); // five parts
  auto fingerprint = [&] {
    TensorStore store(1 << 26);
    store.set("w", weight);
    const auto source = store.find("w", DType::F32, {600, 500});
    std::vector<Fingerprint> parts(partsOfFingerprint(*source));
    for (size_t part = parts.size(); part-- > 0;)
      parts[part] = fingerprintOf(*source, part);
    EXPECT_EQ(together(parts), fingerprintOf(*source));
    return together(parts);
  };
  std::set<Fingerprint> known{fingerprint()};
  for (size_t at : {size_t(0), weight.bytes() / 2, weight.bytes() - 1}) {
    weight.mutableData()[at] ^= 1;
    EXPECT_TRUE(known.insert(fingerprint()).second) << "byte " << at;
  }
  std::swap_ranges(weight.mutableData(), weight.mutableData() + (1 << 18), weight.mutableData() + (1 << 18));
  EXPECT_TRUE(known.insert(fingerprint()).second) << "parts that change places";
}

// Sums of several rows of a column go together; of a last round some columns have a row more than others, and some none.
TEST(RowOrder, RowsOfAColumnComeOneAfterAnother) {
  auto order = [](uint64_t rows) {
    std::vector<uint64_t> order;
    for (uint64_t place = 0; place < rows; ++place)
      order.push_back(streamedRow(place, rows, 3, 2));
    return order;
  };
  EXPECT_EQ(order(12), (std::vector<uint64_t>{0, 3, 1, 4, 2, 5, 8, 11, 7, 10, 6, 9}));
  EXPECT_EQ(order(10), (std::vector<uint64_t>{0, 3, 1, 4, 2, 5, 8, 7, 6, 9}));
  EXPECT_EQ(order(8), (std::vector<uint64_t>{0, 3, 1, 4, 2, 5, 7, 6}));
  EXPECT_EQ(order(5), (std::vector<uint64_t>{0, 3, 1, 4, 2}));
  EXPECT_EQ(order(2), (std::vector<uint64_t>{0, 1}));
}

TEST(RowOrder, ARowKnowsHowManyGoWithIt) {
  auto among = [](uint64_t row) {
    const PlaceTogether place = placeTogether(row, 10, 3, 2);
    return std::pair(place.place, place.count);
  };
  EXPECT_EQ(among(4), std::pair(uint64_t(1), uint64_t(2)));
  EXPECT_EQ(among(6), std::pair(uint64_t(0), uint64_t(2)));
  EXPECT_EQ(among(9), std::pair(uint64_t(1), uint64_t(2)));
  EXPECT_EQ(among(8), std::pair(uint64_t(0), uint64_t(1)));
}

// Rows go there and back, and the last round may be short; pieces begin anywhere.
TEST_F(TensorStoreTest, StreamsEverySecondRoundBackwards) {
  std::vector<uint64_t> order;
  for (uint64_t place = 0; place < 8; ++place)
    order.push_back(streamedRow(place, 8, 3));
  EXPECT_EQ(order, (std::vector<uint64_t>{0, 1, 2, 5, 4, 3, 6, 7}));
  EXPECT_EQ(streamedRow(3, 5, 3), 4u);
  for (bool transposed : {false, true})
    for (uint64_t budget : {1000, 3000, 100000}) {
      auto store = storeOf({{"w", counting(50, 50)}, {"b", counting(1, 50)}}, budget);
      RowPlan plan;
      plan.weight = store->find("w", DType::F32, {50, 50});
      plan.bias = store->find("b", DType::F32, {1, 50});
      plan.rows = plan.columns = 50;
      plan.rowStride = transposed ? 1 : 50;
      plan.columnStride = transposed ? 50 : 1;
      plan.roundLength = 7;
      expectCountingRows(*store, plan, 2);
    }
}

// Elements far apart and backwards, as a slice of a larger tensor may lie.
TEST_F(TensorStoreTest, StreamsAnyStrides) {
  auto store = storeOf({{"w", counting(64, 64)}}, 4000);
  RowPlan plan;
  plan.weight = store->find("w", DType::F32, {64, 64});
  plan.rows = 5;
  plan.columns = 3;
  for (auto [rowStride, columnStride, offset] :
       {std::tuple(7, 300, 1), std::tuple(300, 7, 1), std::tuple(-300, -7, 4000), std::tuple(0, 1, 9), std::tuple(1, 0, 9)}) {
    plan.rowStride = rowStride;
    plan.columnStride = columnStride;
    plan.offset = offset;
    expectCountingRows(*store, plan, 1);
  }
}

TEST_F(TensorStoreTest, StreamsFromTheCallersMemory) {
  TensorStore store(1000);
  store.set("w", counting(20, 30));
  RowPlan plan;
  plan.weight = store.find("w", DType::F32, {20, 30});
  plan.rows = 20;
  plan.columns = plan.rowStride = 30;
  plan.columnStride = 1;
  expectCountingRows(store, plan, 1);
}

// Rows that lie across are turned where they are, forwards and backwards, and only they are counted.
TEST_F(TensorStoreTest, TurnsRowsInTheCallersMemory) {
  TensorStore store(8000);
  store.set("w", counting(40, 30));
  RowPlan plan;
  plan.weight = store.find("w", DType::F32, {40, 30});
  plan.rows = 20;
  plan.columns = 37;
  plan.rowStride = 1;
  for (auto [columnStride, offset] : {std::pair(30, 5), std::pair(-30, 1113)}) {
    const uint64_t before = store.counters().flashBytesRead;
    plan.columnStride = columnStride;
    plan.offset = offset;
    expectCountingRows(store, plan, 1);
    EXPECT_EQ(store.counters().flashBytesRead - before, 20u * 37 * sizeof(float));
  }
}

TEST_F(TensorStoreTest, SaysWhenTheTierCannotHoldARow) {
  auto store = storeOf({{"w", counting(2, 100)}}, 399);
  RowPlan plan;
  plan.weight = store->find("w", DType::F32, {2, 100});
  plan.rows = 2;
  plan.columns = plan.rowStride = 100;
  plan.columnStride = 1;
  expectRefused([&] { RowStream(*store, {plan}, 1, 1); }, {"399 bytes", "'w'", "400 bytes"});
}

// A stream that nobody reads to its end is taken down at once, and gives its memory back.
TEST_F(TensorStoreTest, GivesMemoryBackWhenAStreamIsLeft) {
  auto store = storeOf({{"w", counting(100, 100)}}, 4000);
  RowPlan plan;
  plan.weight = store->find("w", DType::F32, {100, 100});
  plan.rows = plan.columns = plan.rowStride = 100;
  plan.columnStride = 1;
  for (int taken : {0, 1, 30}) {
    RowStream stream(*store, {plan}, 1, 1);
    for (int i = 0; i < taken; ++i)
      stream.next();
  }
  EXPECT_TRUE(store->dram().tryAcquire(4000));
}

TEST_F(TensorStoreTest, TellsTheStreamWhatWentWrongInTheFile) {
  auto store = storeOf({{"w", counting(100, 100)}}, 4000);
  RowPlan plan;
  plan.weight = store->find("w", DType::F32, {100, 100});
  plan.rows = plan.columns = plan.rowStride = 100;
  plan.columnStride = 1;
  std::filesystem::resize_file(path, 20000);
  RowStream stream(*store, {plan}, 1, 1);
  expectRefused(
      [&] {
        for (int i = 0; i < 100; ++i)
          stream.next();
      },
      {path, "ends at byte"});
}

} // namespace
