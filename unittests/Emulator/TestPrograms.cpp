//===- TestPrograms.cpp - a builder for programs, and what is at the edge -----===//

#include "TestPrograms.h"

#include <cstring>
#include <stdexcept>

namespace wafer::test {

namespace {

wexe::ElemType elemType(ElementType type) { return static_cast<wexe::ElemType>(type); }

/// Leading dimensions are 1.
Extents fourExtents(Extents extents) {
  extents.insert(extents.begin(), 4 - extents.size(), 1);
  return extents;
}

/// Row-major.
Strides denseStrides(const Extents &extents) {
  Strides strides(4);
  int step = 1;
  for (int d = 3; d >= 0; --d) {
    strides[d] = static_cast<int16_t>(step);
    step *= extents[d];
  }
  return strides;
}

} // namespace

Machine testMachine(uint32_t width, uint32_t height) {
  Machine machine = Machine::load("tiny");
  machine.name = "test";
  machine.width = width;
  machine.height = height;
  return machine;
}

uint32_t bits(float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof word);
  return word;
}

float asFloat(uint32_t word) {
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

uint16_t toHalf(float value) {
  _Float16 half = static_cast<_Float16>(value);
  uint16_t word;
  std::memcpy(&word, &half, sizeof word);
  return word;
}

float fromHalf(uint16_t word) {
  _Float16 half;
  std::memcpy(&half, &word, sizeof half);
  return static_cast<float>(half);
}

float roundTo(float value, ElementType type) {
  if (type == ElementType::F16)
    return fromHalf(toHalf(value));
  if (type != ElementType::BF16)
    return value;
  // The two neighbours with 8 bits of precision; the nearer one, or the even one.
  uint32_t low = bits(value) & 0xffff0000, high = low + 0x10000, rest = bits(value) & 0xffff;
  return asFloat(rest < 0x8000 || (rest == 0x8000 && !(low & 0x10000)) ? low : high);
}

std::vector<uint32_t> pack(const std::vector<float> &values, ElementType type) {
  std::vector<uint32_t> words;
  auto short16 = [&](float value) { return type == ElementType::F16 ? toHalf(value) : bits(value) >> 16; };
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == ElementType::F32)
      words.push_back(bits(values[i]));
    else if (i % 2 == 0)
      words.push_back(short16(values[i]));
    else
      words.back() |= short16(values[i]) << 16;
  }
  return words;
}

std::vector<float> unpack(const std::vector<uint32_t> &words, size_t count, ElementType type) {
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    if (type == ElementType::F32) {
      values.push_back(asFloat(words.at(i)));
      continue;
    }
    uint32_t half = words.at(i / 2) >> (16 * (i % 2)) & 0xffff;
    values.push_back(type == ElementType::F16 ? fromHalf(static_cast<uint16_t>(half)) : asFloat(half << 16));
  }
  return values;
}

wexe::DescriptorT &ImageBuilder::add(const std::string &name, wexe::DescKind kind, ElementType type) {
  auto &descriptor = image_.descriptors.emplace_back(std::make_unique<wexe::DescriptorT>());
  descriptor->name = name;
  descriptor->kind = kind;
  descriptor->type = elemType(type);
  descriptor->extents = {1, 1, 1, 1};
  descriptor->strides = {0, 0, 0, 0};
  return *descriptor;
}

ImageBuilder &ImageBuilder::mem(const std::string &name, ElementType type, unsigned base, Extents extents, Strides strides) {
  wexe::DescriptorT &descriptor = add(name, wexe::DescKind::Mem, type);
  descriptor.base = static_cast<uint16_t>(base);
  descriptor.extents = fourExtents(std::move(extents));
  if (strides.empty())
    strides = denseStrides(descriptor.extents);
  strides.insert(strides.begin(), 4 - strides.size(), 0);
  descriptor.strides = strides;
  return *this;
}

ImageBuilder &ImageBuilder::acc(const std::string &name, ElementType type, unsigned base, Extents extents) {
  mem(name, type, base, std::move(extents));
  image_.descriptors.back()->kind = wexe::DescKind::Acc;
  return *this;
}

ImageBuilder &ImageBuilder::fabIn(const std::string &name, ElementType type, unsigned colour, unsigned elements) {
  wexe::DescriptorT &descriptor = add(name, wexe::DescKind::FabIn, type);
  descriptor.colour = static_cast<uint8_t>(colour);
  descriptor.extents[3] = static_cast<uint16_t>(elements);
  return *this;
}

ImageBuilder &ImageBuilder::fabOut(const std::string &name, ElementType type, unsigned colour, unsigned elements) {
  fabIn(name, type, colour, elements);
  image_.descriptors.back()->kind = wexe::DescKind::FabOut;
  return *this;
}

ImageBuilder &ImageBuilder::constant(const std::string &name, ElementType type, uint32_t imm) {
  add(name, wexe::DescKind::Const, type).imm = imm;
  return *this;
}

uint16_t ImageBuilder::descriptor(const std::string &name) const {
  for (size_t i = 0; i < image_.descriptors.size(); ++i)
    if (image_.descriptors[i]->name == name)
      return static_cast<uint16_t>(i);
  throw std::runtime_error("the test image has no descriptor '" + name + "'");
}

void ImageBuilder::code(const std::string &text) {
  std::string plain = text;
  if (size_t at = text.find('%'); at != std::string::npos)
    plain = text.substr(0, at + 1) + std::to_string(descriptor(text.substr(at + 1)));
  if (size_t at = text.find('@'); at != std::string::npos)
    for (const auto &task : image_.tasks)
      if (task->name == text.substr(at + 1))
        plain = text.substr(0, at + 1) + std::to_string(task->pc);
  image_.code.push_back(encode(parse(plain)));
}

ImageBuilder &ImageBuilder::dataTask(const std::string &name, const std::string &trigger) {
  controlTask(name, 0, {trigger});
  image_.tasks.back()->kind = wexe::TaskKind::Data;
  return *this;
}

ImageBuilder &ImageBuilder::controlTask(const std::string &name, unsigned number, const std::vector<std::string> &lines) {
  auto &task = image_.tasks.emplace_back(std::make_unique<wexe::TaskT>());
  task->name = name;
  task->kind = wexe::TaskKind::Control;
  task->number = static_cast<uint16_t>(number);
  task->pc = static_cast<uint16_t>(image_.code.size());
  auto &location = image_.locations.emplace_back(std::make_unique<wexe::CodeLocationT>());
  location->pc = task->pc;
  location->text = "test:" + std::to_string(number);
  for (const std::string &line : lines)
    code(line);
  code("end");
  return *this;
}

ProgramBuilder::ProgramBuilder(const Machine &machine) {
  program.format_version = executableFormatVersion;
  program.isa_hash = isaHash();
  program.machine = machine.toJson();
  program.machine_hash = machine.hash();
}

ProgramBuilder &ProgramBuilder::colour(unsigned number, const std::string &name, bool weight) {
  auto &colour = program.colours.emplace_back(std::make_unique<wexe::ColourT>());
  colour->number = static_cast<uint8_t>(number);
  colour->name = name;
  colour->weight = weight;
  return *this;
}

ImageBuilder ProgramBuilder::image(const std::string &name, unsigned commandColour) {
  auto &image = program.images.emplace_back(std::make_unique<wexe::ImageT>());
  image->name = name;
  image->command_colour = static_cast<uint8_t>(commandColour);
  return ImageBuilder(*image);
}

wexe::RegionT &ProgramBuilder::region(const std::string &name, const wexe::Rect &rect) {
  auto &region = program.regions.emplace_back(std::make_unique<wexe::RegionT>());
  region->name = name;
  region->rect = std::make_unique<wexe::Rect>(rect);
  region->image = static_cast<uint16_t>(program.images.size() - 1);
  return *region;
}

ProgramBuilder &ProgramBuilder::route(unsigned colour, unsigned x, unsigned y, wexe::Dir rx, const std::vector<wexe::Dir> &tx) {
  auto &route = program.routes.emplace_back(std::make_unique<wexe::RouteT>());
  route->rect = std::make_unique<wexe::Rect>(x, y, 1, 1, 1, 1);
  route->colour = static_cast<uint8_t>(colour);
  route->rx = rx;
  for (wexe::Dir direction : tx)
    route->tx |= static_cast<uint8_t>(1u << static_cast<unsigned>(direction));
  return *this;
}

LoadedProgram ProgramBuilder::verify() const {
  std::vector<uint8_t> file = writeExecutable(program);
  return LoadedProgram::verify(readExecutable(file.data(), file.size()));
}

bool ListIngress::next(Burst &burst) {
  if (bursts.empty())
    return false;
  burst = std::move(bursts.front());
  bursts.pop_front();
  return true;
}

ListIngress &ListIngress::data(unsigned colour, unsigned port, std::vector<uint32_t> words) {
  Burst burst;
  burst.colour = static_cast<uint8_t>(colour);
  burst.firstPort = static_cast<uint16_t>(port);
  burst.data = std::move(words);
  bursts.push_back(std::move(burst));
  return *this;
}

ListIngress &ListIngress::multicast(unsigned colour, unsigned firstPort, unsigned ports, unsigned task) {
  data(colour, firstPort, {});
  bursts.back().portCount = static_cast<uint16_t>(ports);
  bursts.back().control = task;
  return *this;
}

void ListEgress::deliver(uint16_t port, uint8_t colour, const uint32_t *payload, size_t count) {
  auto &channel = byChannel[{port, colour}];
  channel.insert(channel.end(), payload, payload + count);
  order.insert(order.end(), count, {port, colour});
}

} // namespace wafer::test
