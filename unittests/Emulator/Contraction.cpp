//===- Contraction.cpp - the weight-streamed contraction, its schedule, its reference ---===//
//
// Chains between columns alternate two colours by the parity of the column that receives, relays between rows by the parity of the row that
// receives, so no router has two senders into one colour.
//
//===----------------------------------------------------------------------===//

#include "TestPrograms.h"
#include "wafer/Emulator/SortedRows.h"
#include "wafer/Machine/FeatureLayout.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace wafer::test {

namespace {

using wexe::Dir;

enum Colour : unsigned { Command = 0, Input = 1, East = 3, West = 5, Output = 7 }; // each but Command: + parity of the receiver
enum Task : unsigned { TakeInput = 1, Begin, PassEast, PassWest, Own, Bias, GiveOutput };

constexpr unsigned dataBase = 4096;

unsigned wavelets(unsigned elements, ElementType type) { return byteSize(type) == 2 ? (elements + 1) / 2 : elements; }

std::string suffix(ElementType type) { return "." + std::string(typeName(type)); }

/// Every column of all groups gets the same wavelets.
Burst toColumn(const Contraction &shape, unsigned column) {
  Burst burst;
  burst.colour = Command;
  burst.firstPort = static_cast<uint16_t>(column);
  burst.portStep = static_cast<uint16_t>(shape.columns);
  burst.portCount = static_cast<uint16_t>(shape.groups);
  return burst;
}

Burst toAll(const Contraction &shape, unsigned task) {
  Burst burst;
  burst.colour = Command;
  burst.portCount = static_cast<uint16_t>(shape.width());
  burst.control = task;
  return burst;
}

void addImage(ProgramBuilder &builder, const Contraction &shape) {
  const unsigned t = shape.tokenBlock, hk = shape.blockK(), hn = shape.blockN(), bytes = byteSize(shape.type);
  const unsigned y = dataBase + hk * t * bytes + 4, ones = y + hn * t * bytes + 4, sums = (ones + t * bytes + 3) / 4 * 4;
  const std::string T = suffix(shape.type);
  const uint16_t t16 = static_cast<uint16_t>(t);
  std::vector<std::string> own = {"add.f32 d8, d3, d1 async clear1", "add.f32 d7, d8, d5 async", "addd d7, " + std::to_string(t * bytes), "swapd d1, d2", "swapd d8, d9"};
  if (shape.reloads)
    own.push_back("ldd d0, %x");
  else if (shape.withBias)
    own.push_back("swapd d0, d10");
  if (!shape.own.empty())
    own = shape.own;
  const std::vector<std::string> passEast = shape.passEast.empty() ? std::vector<std::string>{"add.f32 d4, d3, d1 async clear1", "swapd d1, d2"} : shape.passEast;
  builder.image("contract", Command)
      .mem("x", shape.type, dataBase, {static_cast<uint16_t>(hk), 1, 1, t16}, {static_cast<int16_t>(t), 0, 0, 1})
      .mem("x_block", shape.type, dataBase, {static_cast<uint16_t>(hk * t)})
      .mem("y_row", shape.type, y, {t16})
      .mem("y_block", shape.type, y, {static_cast<uint16_t>(hn * t)})
      .mem("ones", shape.type, ones, {t16})
      .constant("one", ElementType::F32, bits(1.0f))
      .acc("sum0", ElementType::F32, 0, {t16})
      .acc("sum1", ElementType::F32, 4 * t, {t16})
      .mem("total0", ElementType::F32, sums, {t16})
      .mem("total1", ElementType::F32, sums + 4 * t, {t16})
      .fabIn("east_in", ElementType::F32, East, t)
      .fabOut("east_out", ElementType::F32, East, t)
      .fabIn("west_in", ElementType::F32, West, t)
      .fabOut("west_out", ElementType::F32, West, t)
      .fabIn("input", shape.type, Input, hk * t)
      .fabIn("input_rest", ElementType::I32, Input, 0)
      .fabOut("input_south", ElementType::I32, Input, 0)
      .fabOut("output", shape.type, Output, hn * t)
      .fabIn("output_rest", ElementType::I32, Output, 0)
      .fabOut("output_south", ElementType::I32, Output, 0)
      .dataTask("weights", (shape.indexed                    ? "fmacw"
                            : shape.type == ElementType::F32 ? "fmacd"
                                                             : "fmacp") +
                               T + " d1, d0" + (shape.inputDensity < 1 ? " skip0" : ""))
      .controlTask("take_input", TakeInput,
                   {"ldd d20, %x_block", "ldd d21, %input", "mov" + T + " d20, d21 async", "ldd d22, %input_south", "ldd d23, %input_rest",
                    "mov.i32 d22, d23 async"})
      .controlTask("begin", Begin,
                   {"ldd d0, %x", "ldd d1, %sum0", "ldd d2, %sum1", "ldd d3, %east_in", "ldd d4, %east_out", "ldd d5, %west_in",
                    "ldd d6, %west_out", "ldd d7, %y_row", "ldd d8, %total0", "ldd d9, %total1", "ldd d10, %ones", "ldd d11, %one",
                    "mov" + T + " d10, d11", "bind @weights"})
      .controlTask("pass_east", PassEast, passEast)
      .controlTask("pass_west", PassWest, {"add.f32 d6, d5, d1 async clear1", "swapd d1, d2"})
      .controlTask("own", Own, own)
      .controlTask("bias", Bias, {shape.reloads ? "ldd d0, %ones" : "swapd d0, d10"})
      .controlTask("give_output", GiveOutput,
                   {"ldd d24, %output", "ldd d25, %y_block", "mov" + T + " d24, d25 async", "ldd d26, %output_south",
                    "ldd d27, %output_rest", "mov.i32 d26, d27 async"});
}

/// One region per column and parity of the row: what its cores have in common.
void addRegions(ProgramBuilder &builder, const Contraction &shape) {
  ImageBuilder image(*builder.program.images.back());
  const int inputBlock = static_cast<int>(wavelets(shape.blockK() * shape.tokenBlock, shape.type));
  const int outputBlock = static_cast<int>(wavelets(shape.blockN() * shape.tokenBlock, shape.type));
  for (unsigned x = 0; x < shape.width(); ++x)
    for (unsigned parity = 0; parity < 2 && parity < shape.rows; ++parity) {
      const unsigned cores = (shape.rows - parity + 1) / 2, column = x % shape.columns;
      wexe::RegionT &region = builder.region("column", wexe::Rect(x, parity, 1, cores, 1, 2));
      auto set = [&](const char *name, wexe::DescField field, unsigned base, int dy = 0) {
        region.overrides.emplace_back(image.descriptor(name), field, base, 0, dy);
      };
      auto colour = [&](const char *name, unsigned base, unsigned receiver) { set(name, wexe::DescField::Colour, base + receiver % 2); };
      // Only valid features, so that the padding of an odd last pair multiplies nothing.
      set("x", wexe::DescField::Extent0, static_cast<unsigned>(featuresInColumn(shape.k, shape.columns, column)));
      colour("east_in", East, column);
      colour("east_out", East, column + 1);
      colour("west_in", West, column);
      colour("west_out", West, column + 1);
      if (column == 0)
        set("east_in", wexe::DescField::Kind, static_cast<unsigned>(wexe::DescKind::Const));
      if (column + 1 == shape.columns)
        set("west_in", wexe::DescField::Kind, static_cast<unsigned>(wexe::DescKind::Const));
      for (const char *name : {"input", "input_rest"})
        colour(name, Input, parity);
      colour("input_south", Input, parity + 1);
      colour("output_rest", Output, parity);
      for (const char *name : {"output", "output_south"})
        colour(name, Output, parity + 1);
      for (const char *name : {"input_rest", "input_south"})
        set(name, wexe::DescField::Extent3, (shape.rows - 1 - parity) * static_cast<unsigned>(inputBlock), -2 * inputBlock);
      for (const char *name : {"output_rest", "output_south"})
        set(name, wexe::DescField::Extent3, parity * static_cast<unsigned>(outputBlock), 2 * outputBlock);
    }
}

void addRoutes(ProgramBuilder &builder, const Contraction &shape, unsigned machineHeight) {
  for (unsigned x = 0; x < shape.width(); ++x) {
    const unsigned column = x % shape.columns;
    for (unsigned y = 0; y < shape.rows; ++y) {
      const bool last = y + 1 == shape.rows;
      builder.route(Command, x, y, Dir::N, last ? std::vector{Dir::Ramp} : std::vector{Dir::Ramp, Dir::S});
      builder.route(Input + y % 2, x, y, Dir::N, {Dir::Ramp});
      if (!last)
        builder.route(Input + (y + 1) % 2, x, y, Dir::Ramp, {Dir::S});
      if (y > 0)
        builder.route(Output + y % 2, x, y, Dir::N, {Dir::Ramp});
      builder.route(Output + (y + 1) % 2, x, y, Dir::Ramp, {Dir::S});
      if (column > 0) {
        builder.route(East + column % 2, x, y, Dir::W, {Dir::Ramp});
        builder.route(West + (column + 1) % 2, x, y, Dir::Ramp, {Dir::W});
      }
      if (column + 1 < shape.columns) {
        builder.route(East + (column + 1) % 2, x, y, Dir::Ramp, {Dir::E});
        builder.route(West + column % 2, x, y, Dir::E, {Dir::Ramp});
      }
    }
    for (unsigned y = shape.rows; y < machineHeight; ++y)
      builder.route(Output + shape.rows % 2, x, y, Dir::N, {Dir::S});
  }
}

/// What column `column` gets of a row.
std::vector<uint32_t> wireOf(const Contraction &shape, const std::vector<float> &row, unsigned column) {
  std::vector<float> values;
  for (unsigned k = column; k < shape.k; k += shape.columns)
    values.push_back(row[k]);
  if (!shape.indexed)
    return pack(values, shape.type);
  std::vector<uint32_t> words;
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i] != 0)
      words.push_back(static_cast<uint32_t>(i) << 16 | pack({values[i]}, shape.type)[0]);
  return words;
}

} // namespace

ContractionData contractionData(const Contraction &shape, unsigned seed) {
  std::mt19937 random(seed);
  // Several binary orders of magnitude, so that the order of additions shows.
  auto value = [&] {
    float mantissa = static_cast<float>(static_cast<int>(random() % 4001) - 2000) / 1024;
    return roundTo(std::ldexp(mantissa, static_cast<int>(random() % 9) - 4), shape.type);
  };
  ContractionData data;
  data.w.assign(shape.n, std::vector<float>(shape.k));
  data.x.assign(shape.k, std::vector<float>(shape.tokens()));
  data.bias.resize(shape.n);
  for (auto &row : data.w)
    for (float &w : row)
      w = static_cast<double>(random() % 1000) < shape.density * 1000 ? value() : 0;
  for (auto &row : data.x)
    for (float &x : row)
      x = static_cast<double>(random() % 1000) < shape.inputDensity * 1000 ? value() : 0;
  for (float &b : data.bias)
    b = value();
  return data;
}

ProgramBuilder contractionProgram(const Contraction &shape, const Machine &machine) {
  ProgramBuilder builder(machine);
  const char *names[] = {"command", "input_0", "input_1", "east_0", "east_1", "west_0", "west_1", "output_0", "output_1"};
  for (unsigned colour = 0; colour < std::size(names); ++colour)
    builder.colour(colour, names[colour], colour == Command);
  addImage(builder, shape);
  addRegions(builder, shape);
  addRoutes(builder, shape, machine.height);
  return builder;
}

std::deque<Burst> sendInput(const Contraction &shape, const ContractionData &data) {
  std::deque<Burst> bursts = {toAll(shape, TakeInput)};
  for (unsigned g = 0; g < shape.groups; ++g)
    for (unsigned c = 0; c < shape.columns; ++c) {
      Burst burst;
      burst.colour = Input;
      burst.firstPort = static_cast<uint16_t>(g * shape.columns + c);
      for (unsigned y = 0; y < shape.rows; ++y) {
        std::vector<float> block;
        for (unsigned j = 0; j < shape.blockK(); ++j)
          for (unsigned i = 0; i < shape.tokenBlock; ++i) {
            unsigned feature = j * shape.columns + c, token = (g * shape.rows + y) * shape.tokenBlock + i;
            block.push_back(feature < shape.k ? data.x[feature][token] : 0);
          }
        for (uint32_t word : pack(block, shape.type))
          burst.data.push_back(word);
      }
      bursts.push_back(std::move(burst));
    }
  return bursts;
}

std::deque<Burst> sendWeights(const Contraction &shape, const ContractionData &data) {
  std::deque<Burst> bursts = {toAll(shape, Begin)};
  for (unsigned n = 0; n < shape.n; ++n) {
    const unsigned owner = n % shape.columns;
    for (unsigned c = 0; c < shape.columns; ++c) {
      Burst burst = toColumn(shape, c);
      burst.data = wireOf(shape, data.w[n], c);
      if (c == owner && shape.withBias) {
        burst.control = Bias;
        bursts.push_back(burst);
        burst.data = pack({data.bias[n]}, shape.type);
      }
      burst.control = c < owner ? PassEast : c > owner ? PassWest : Own;
      bursts.push_back(std::move(burst));
    }
  }
  return bursts;
}

std::deque<Burst> askForOutput(const Contraction &shape) { return {toAll(shape, GiveOutput)}; }

std::deque<Burst> wholeSchedule(const Contraction &shape, const ContractionData &data) {
  std::deque<Burst> all = sendInput(shape, data);
  for (const std::deque<Burst> &part : {sendWeights(shape, data), askForOutput(shape)})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

RowIngress::RowIngress(const Contraction &shape, const ContractionData &data) : ListIngress(wholeSchedule(shape, data)) {
  const size_t each = shape.columns + shape.withBias;
  for (unsigned n = 0; n < shape.n; ++n) {
    Row row;
    row.bursts = each;
    row.left = askForOutput(shape).size() + (shape.n - n) * each;
    for (float value : data.w[n]) {
      const auto bytes = pack({value}, shape.type);
      row.weights.insert(row.weights.end(), reinterpret_cast<const uint8_t *>(bytes.data()),
                         reinterpret_cast<const uint8_t *>(bytes.data()) + (shape.type == ElementType::F32 ? 4 : 2));
    }
    WeightRow &whole = row.row;
    whole.colour = Command;
    whole.columns = static_cast<uint16_t>(shape.columns);
    whole.groups = static_cast<uint16_t>(shape.groups);
    whole.opcode = shape.indexed ? Opcode::Fmacw : shape.type == ElementType::F32 ? Opcode::Fmacd : Opcode::Fmacp;
    whole.type = shape.type;
    whole.count = shape.k;
    whole.owner = static_cast<uint16_t>(n % shape.columns);
    whole.east = PassEast;
    whole.west = PassWest;
    whole.own = Own;
    if (shape.withBias)
      whole.bias = WeightRow::Bias{Bias, pack({data.bias[n]}, shape.type)[0]};
    rows_.push_back(std::move(row));
  }
}

size_t RowIngress::rowHere() const {
  size_t n = 0;
  while (n < rows_.size() && rows_[n].left != bursts.size())
    ++n;
  return n;
}

const WeightRow *RowIngress::peekRow() {
  const size_t n = rowHere();
  if (n == rows_.size())
    return nullptr;
  WeightRow &row = rows_[n].row;
  row.sorted = kept;
  row.number = n;
  row.weights = kept && kept->isComplete() ? nullptr : rows_[n].weights.data();
  return &row;
}

void RowIngress::skipRow() { bursts.erase(bursts.begin(), bursts.begin() + static_cast<long>(rows_[rowHere()].bursts)); }

std::vector<std::vector<float>> receivedOutput(const Contraction &shape, ListEgress &egress) {
  std::vector<std::vector<float>> y(shape.n, std::vector<float>(shape.tokens()));
  const unsigned block = shape.blockN() * shape.tokenBlock, blockWords = wavelets(block, shape.type);
  for (unsigned x = 0; x < shape.width(); ++x) {
    const auto &words = egress.words(x, Output + shape.rows % 2);
    if (words.size() != size_t(blockWords) * shape.rows)
      throw std::runtime_error("column " + std::to_string(x) + " gave " + std::to_string(words.size()) + " wavelets");
    for (unsigned i = 0; i < shape.rows; ++i) {
      const unsigned row = shape.rows - 1 - i;
      auto values = unpack({words.begin() + i * blockWords, words.begin() + (i + 1) * blockWords}, block, shape.type);
      for (unsigned j = 0; j < shape.blockN(); ++j)
        for (unsigned token = 0; token < shape.tokenBlock; ++token)
          if (unsigned n = j * shape.columns + x % shape.columns; n < shape.n)
            y[n][(x / shape.columns * shape.rows + row) * shape.tokenBlock + token] = values[j * shape.tokenBlock + token];
    }
  }
  return y;
}

std::vector<std::vector<float>> expectedOutput(const Contraction &shape, const ContractionData &data) {
  std::vector<std::vector<float>> y(shape.n, std::vector<float>(shape.tokens()));
  for (unsigned n = 0; n < shape.n; ++n)
    for (unsigned token = 0; token < shape.tokens(); ++token) {
      const unsigned owner = n % shape.columns;
      std::vector<float> acc(shape.columns, 0.0f);
      for (unsigned k = 0; k < shape.k; ++k)
        if (!shape.indexed || data.w[n][k] != 0)
          acc[k % shape.columns] = data.x[k][token] == 0 && shape.inputDensity < 1 ? acc[k % shape.columns] : std::fma(data.w[n][k], data.x[k][token], acc[k % shape.columns]);
      if (shape.withBias)
        acc[owner] = std::fma(data.bias[n], 1.0f, acc[owner]);
      float east = 0, west = 0;
      for (unsigned c = 0; c < owner; ++c)
        east = east + acc[c];
      for (unsigned c = shape.columns - 1; c > owner; --c)
        west = west + acc[c];
      y[n][token] = roundTo((east + acc[owner]) + west, shape.type);
    }
  return y;
}

} // namespace wafer::test
