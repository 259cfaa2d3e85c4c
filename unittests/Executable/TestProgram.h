//===- TestProgram.h - a small valid program to break ---------------------===//
//
// The program of Inputs/linear.ws, ways to reach its parts by name, and what the verifier says about a program.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_UNITTESTS_EXECUTABLE_TESTPROGRAM_H
#define WAFER_UNITTESTS_EXECUTABLE_TESTPROGRAM_H

#include "wafer/Executable/Executable.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace wafer::test {

inline std::string linearText() {
  std::ifstream file(WAFER_SOURCE_DIR "/unittests/Executable/Inputs/linear.ws");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline wexe::ProgramT linearProgram() { return assembleProgram(linearText()); }

/// The message with which a program is refused; empty when it is accepted.
inline std::string refusal(const wexe::ProgramT &program) {
  std::vector<uint8_t> bytes = writeExecutable(program);
  try {
    LoadedProgram::verify(readExecutable(bytes.data(), bytes.size()));
    return "";
  } catch (const ExecutableError &error) {
    return error.what();
  }
}

/// `program` is refused by `rule` with a message that has `part` in it.
inline void expectRefused(const wexe::ProgramT &program, const std::string &rule, const std::string &part) {
  std::string message = refusal(program);
  ASSERT_NE(message, "") << "was accepted, expected " << rule;
  EXPECT_NE(message.find("(" + rule + ")"), std::string::npos) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

template <typename List> auto &named(List &list, const std::string &name) {
  for (auto &item : list)
    if (item->name == name)
      return *item;
  throw std::runtime_error("the test program has no '" + name + "'");
}

inline wexe::ImageT &image(wexe::ProgramT &program) { return *program.images[0]; }
inline wexe::RegionT &region(wexe::ProgramT &program) { return *program.regions[0]; }
inline wexe::PhaseT &phase(wexe::ProgramT &program) { return *program.entries[0]->phases[0]; }
inline wexe::DescriptorT &descriptor(wexe::ProgramT &program, const std::string &name) { return named(image(program).descriptors, name); }
inline wexe::TaskT &task(wexe::ProgramT &program, const std::string &name) { return named(image(program).tasks, name); }
inline wexe::StepT &step(wexe::ProgramT &program, const std::string &name) { return named(phase(program).steps, name); }
inline wexe::TensorT &tensor(wexe::ProgramT &program, const std::string &name) { return named(program.tensors, name); }

inline uint16_t descriptorIndex(wexe::ProgramT &program, const std::string &name) {
  for (size_t i = 0; i < image(program).descriptors.size(); ++i)
    if (image(program).descriptors[i]->name == name)
      return uint16_t(i);
  throw std::runtime_error("the test program has no descriptor '" + name + "'");
}

/// Drops the overrides of a descriptor, then adds one.
inline void override(wexe::ProgramT &program, const std::string &name, wexe::DescField field, uint32_t base, int32_t dx = 0,
                     int32_t dy = 0) {
  uint16_t index = descriptorIndex(program, name);
  auto &list = region(program).overrides;
  for (size_t i = list.size(); i-- > 0;)
    if (list[i].descriptor() == index && list[i].field() == field)
      list.erase(list.begin() + long(i));
  list.emplace_back(index, field, base, dx, dy);
}

/// Replaces an instruction, given relative to where a task begins.
inline void patch(wexe::ProgramT &program, const std::string &taskName, unsigned offset, const std::string &text) {
  image(program).code.at(task(program, taskName).pc + offset) = encode(parse(text));
}

inline void addRoute(wexe::ProgramT &program, const std::string &channel, unsigned colour, wexe::Rect rect, wexe::Dir rx,
                     std::vector<wexe::Dir> tx) {
  auto route = std::make_unique<wexe::RouteT>();
  route->channel = channel;
  route->colour = uint8_t(colour);
  route->rect = std::make_unique<wexe::Rect>(rect);
  route->rx = rx;
  for (wexe::Dir direction : tx)
    route->tx |= uint8_t(1u << unsigned(direction));
  program.routes.push_back(std::move(route));
}

/// The n-th route of a channel.
inline wexe::RouteT &route(wexe::ProgramT &program, const std::string &channel, unsigned n = 0) {
  for (auto &candidate : program.routes)
    if (candidate->channel == channel && n-- == 0)
      return *candidate;
  throw std::runtime_error("the test program has no route '" + channel + "'");
}

inline void removeRoute(wexe::ProgramT &program, const std::string &channel, unsigned n = 0) {
  wexe::RouteT *found = &route(program, channel, n);
  for (size_t i = 0; i < program.routes.size(); ++i)
    if (program.routes[i].get() == found)
      program.routes.erase(program.routes.begin() + long(i));
}

} // namespace wafer::test

#endif // WAFER_UNITTESTS_EXECUTABLE_TESTPROGRAM_H
