//===- TextNames.cpp - words, identifiers, quoting ------------------------===//

#include "Text.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace wafer::text {

const Words &kindWords() {
  static const Words words = {"mem", "acc", "fabin", "fabout", "const"};
  return words;
}
const Words &typeWords() {
  static const Words words = {"none", "f32", "f16", "bf16", "i32", "i16", "i8"};
  return words;
}
const Words &directionWords() {
  static const Words words = {"N", "E", "S", "W", "RAMP"};
  return words;
}
const Words &fieldWords() {
  static const Words words = {"kind", "colour", "base", "extent0", "extent1", "extent2", "extent3", "imm"};
  return words;
}
const Words &roleWords() {
  static const Words words = {"input", "output", "weight", "intermediate", "state"};
  return words;
}
const Words &wireWords() {
  static const Words words = {"dense32", "packed16", "indexed16", "packed8", "indexed32"};
  return words;
}
const Words &linkWords() {
  static const Words words = {"wavelets", "bitmask", "structured", "blocks"};
  return words;
}
const Words &stepWords() {
  static const Words words = {"send", "contract", "scale", "command", "receive", "sample"};
  return words;
}
const Words &phaseWords() {
  static const Words words = {"wafer", "function"};
  return words;
}

std::string wordOf(const Words &words, unsigned value) { return value < words.size() ? words[value] : std::to_string(value); }

bool isIdentifierPart(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-' || c == '$'; }

bool isIdentifier(std::string_view text) {
  if (text.empty() || !(std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '_'))
    return false;
  for (char c : text)
    if (!isIdentifierPart(c))
      return false;
  return true;
}

std::string quote(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      result += escape;
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string nameOf(std::string_view text) { return isIdentifier(text) ? std::string(text) : quote(text); }

bool fitsHeredoc(std::string_view text, std::string_view word) {
  if (text.empty() || text.back() != '\n')
    return false;
  for (char c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
      return false;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    std::string_view line = text.substr(begin, end - begin);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line == word)
      return false;
    begin = end + 1;
  }
  return true;
}

void Names::add(const std::string &name, unsigned number) {
  if (name.empty())
    return;
  auto [it, isNew] = numbers_.try_emplace(name, number);
  if (!isNew && it->second != number)
    it->second.reset();
  names_.try_emplace(number, name);
}

std::optional<unsigned> Names::find(const std::string &name) const {
  auto it = numbers_.find(name);
  return it == numbers_.end() ? std::nullopt : it->second;
}

std::string Names::refer(unsigned number) const {
  auto it = names_.find(number);
  return it != names_.end() && find(it->second) == number ? nameOf(it->second) : std::to_string(number);
}

std::string Names::referBare(unsigned number) const {
  auto it = names_.find(number);
  return it != names_.end() && find(it->second) == number && isIdentifier(it->second) ? it->second : std::to_string(number);
}

Names colourNames(const wexe::ProgramT &program) {
  Names names;
  for (const auto &colour : program.colours)
    names.add(colour->name, colour->number);
  return names;
}

namespace {
template <typename List> Names namesOf(const List &list) {
  Names names;
  for (size_t i = 0; i < list.size(); ++i)
    names.add(list[i]->name, unsigned(i));
  return names;
}
} // namespace

Names imageNames(const wexe::ProgramT &program) { return namesOf(program.images); }
Names tensorNames(const wexe::ProgramT &program) { return namesOf(program.tensors); }
Names functionNames(const wexe::ProgramT &program) { return namesOf(program.functions); }
Names descriptorNames(const wexe::ImageT &image) { return namesOf(image.descriptors); }

Names controlTaskNames(const wexe::ProgramT &program) {
  Names names;
  for (const auto &image : program.images)
    for (const auto &task : image->tasks)
      if (task->kind == wexe::TaskKind::Control)
        names.add(task->name, task->number);
  return names;
}

Names dataTaskNames(const wexe::ImageT &image) {
  Names names;
  for (const auto &task : image.tasks)
    if (task->kind == wexe::TaskKind::Data)
      names.add(task->name, task->pc);
  return names;
}

} // namespace wafer::text
