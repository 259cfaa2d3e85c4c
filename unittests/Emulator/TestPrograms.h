//===- TestPrograms.h - small programs for engines to run ---------------------===//
//
// A builder for programs, what is attached to the wafer's edge in a test, and the weight-streamed contraction of docs/spec/weight-stream.md
// with its reference.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_UNITTESTS_EMULATOR_TESTPROGRAMS_H
#define WAFER_UNITTESTS_EMULATOR_TESTPROGRAMS_H

#include "wafer/Emulator/Engine.h"

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace wafer::test {

/// The tiny preset with another grid.
Machine testMachine(uint32_t width, uint32_t height);

using Extents = std::vector<uint16_t>;
using Strides = std::vector<int16_t>;

/// One image under construction. In code, `%name` is a descriptor of the image and `@name` a task.
class ImageBuilder {
public:
  explicit ImageBuilder(wexe::ImageT &image) : image_(image) {}

  ImageBuilder &mem(const std::string &name, ElementType type, unsigned base, Extents extents, Strides strides = {});
  ImageBuilder &acc(const std::string &name, ElementType type, unsigned base, Extents extents);
  ImageBuilder &fabIn(const std::string &name, ElementType type, unsigned colour, unsigned elements);
  ImageBuilder &fabOut(const std::string &name, ElementType type, unsigned colour, unsigned elements);
  /// Bits of an f32 or i32 scalar.
  ImageBuilder &constant(const std::string &name, ElementType type, uint32_t imm);
  /// A data task must be there before `bind` names it.
  ImageBuilder &dataTask(const std::string &name, const std::string &trigger);
  /// `end` is added. Instructions carry the source line "test:<number of the task>".
  ImageBuilder &controlTask(const std::string &name, unsigned number, const std::vector<std::string> &code);
  uint16_t descriptor(const std::string &name) const;

private:
  wexe::DescriptorT &add(const std::string &name, wexe::DescKind kind, ElementType type);
  void code(const std::string &text);
  wexe::ImageT &image_;
};

class ProgramBuilder {
public:
  explicit ProgramBuilder(const Machine &machine);

  ProgramBuilder &colour(unsigned number, const std::string &name, bool weight = false);
  ImageBuilder image(const std::string &name, unsigned commandColour);
  /// Cores x, y of the last image, in steps.
  wexe::RegionT &region(const std::string &name, const wexe::Rect &rect);
  wexe::RegionT &core(unsigned x, unsigned y) { return region("core", wexe::Rect(x, y, 1, 1, 1, 1)); }
  ProgramBuilder &route(unsigned colour, unsigned x, unsigned y, wexe::Dir rx, const std::vector<wexe::Dir> &tx);

  LoadedProgram verify() const;
  wexe::ProgramT program;
};

/// Sends a list of bursts.
class ListIngress : public Ingress {
public:
  ListIngress() = default;
  ListIngress(std::deque<Burst> bursts) : bursts(std::move(bursts)) {}
  bool next(Burst &burst) override;

  ListIngress &data(unsigned colour, unsigned port, std::vector<uint32_t> words);
  ListIngress &command(unsigned colour, unsigned port, unsigned task) { return multicast(colour, port, 1, task); }
  ListIngress &multicast(unsigned colour, unsigned firstPort, unsigned ports, unsigned task);

  std::deque<Burst> bursts;
};

/// Keeps what leaves, by port and colour and in order of arrival.
class ListEgress : public Egress {
public:
  void deliver(uint16_t port, uint8_t colour, const uint32_t *payload, size_t count) override;
  const std::vector<uint32_t> &words(unsigned port, unsigned colour) { return byChannel[{port, colour}]; }

  std::map<std::pair<unsigned, unsigned>, std::vector<uint32_t>> byChannel;
  std::vector<std::pair<unsigned, unsigned>> order; ///< port and colour of each wavelet
};

uint32_t bits(float value);
float asFloat(uint32_t bits);
/// References that share no code with the emulator: the compiler's _Float16, and bf16 by way of integers.
uint16_t toHalf(float value);
float fromHalf(uint16_t bits);
float roundTo(float value, ElementType type);
/// Elements as wavelets: one per 32-bit element, two per 16-bit element pair.
std::vector<uint32_t> pack(const std::vector<float> &values, ElementType type);
std::vector<float> unpack(const std::vector<uint32_t> &words, size_t count, ElementType type);

/// Y[n, t] = sum_k W[n, k] X[k, t] + bias[n] on a grid.
struct Contraction {
  unsigned groups = 1, columns = 1, rows = 1, tokenBlock = 4; ///< tokenBlock: tokens per core
  unsigned k = 4, n = 4;
  ElementType type = ElementType::F16; ///< of x, weights and y
  std::vector<std::string> passEast, own; ///< other code than the usual one
  bool reloads = false;                ///< commands load the rows and the ones anew; else they exchange them, as the compiler has it
  bool indexed = false;                ///< indexed16; else packed16 or dense32 by the type
  bool withBias = false;
  double density = 1; ///< share of weights that are not zero
  double inputDensity = 1; ///< the same of x; below 1, zeros are passed over

  unsigned blockK() const { return (k + columns - 1) / columns; }
  unsigned blockN() const { return (n + columns - 1) / columns; }
  unsigned tokens() const { return groups * rows * tokenBlock; }
  unsigned width() const { return groups * columns; }
};

struct ContractionData {
  std::vector<std::vector<float>> w, x; ///< w[n][k], x[k][token]
  std::vector<float> bias;
};

/// Values that the contraction's type holds exactly; equal for equal seeds.
ContractionData contractionData(const Contraction &shape, unsigned seed = 1);
/// The program, on a machine that may be larger than the grid.
ProgramBuilder contractionProgram(const Contraction &shape, const Machine &machine);

/// The parts of the schedule, in order of use.
std::deque<Burst> sendInput(const Contraction &shape, const ContractionData &data);
std::deque<Burst> sendWeights(const Contraction &shape, const ContractionData &data);
std::deque<Burst> askForOutput(const Contraction &shape);
std::deque<Burst> wholeSchedule(const Contraction &shape, const ContractionData &data);

/// The same schedule, whose rows can be had whole.
class RowIngress final : public ListIngress {
public:
  RowIngress(const Contraction &shape, const ContractionData &data);
  const WeightRow *peekRow() override;
  void skipRow() override;
  SortedRows *kept = nullptr; ///< of runs before

private:
  size_t rowHere() const; ///< number of the row that begins here, or how many there are
  struct Row {
    WeightRow row;
    std::vector<uint8_t> weights;
    size_t bursts, left; ///< of the row; of the schedule when it begins
  };
  std::vector<Row> rows_;
};

/// y[n][token] as it came out.
std::vector<std::vector<float>> receivedOutput(const Contraction &shape, ListEgress &egress);
/// The same computed here, in the documented rounding order.
std::vector<std::vector<float>> expectedOutput(const Contraction &shape, const ContractionData &data);

} // namespace wafer::test

#endif // WAFER_UNITTESTS_EMULATOR_TESTPROGRAMS_H
