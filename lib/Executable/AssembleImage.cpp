//===- AssembleImage.cpp - descriptors, tasks and code from text ----------===//

#include "Assembler.h"

#include <cstdlib>
#include <cstring>

namespace wafer::text {

void Assembler::image() {
  program_.images.push_back(std::make_unique<wexe::ImageT>());
  wexe::ImageT &image = *program_.images.back();
  image.name = in_.name("an image's name");
  in_.fields({{"command", referenceInto(Space::Colour, "a colour", image.command_colour)}, {"load", integerInto("a load", image.load)},
              {"start", integerInto("a control task's number", image.start)}});
  std::vector<CodeLine> code;
  in_.block([&] { imageLine(image, code); });
  finishCode(image, code);
}

void Assembler::imageLine(wexe::ImageT &image, std::vector<CodeLine> &code) {
  if (in_.token().kind != TokenKind::Identifier)
    failAt(in_.token(), "a descriptor, buffer, task, location or instruction");
  const std::string word = in_.token().text;
  if (word == "descriptor") {
    descriptor(image);
  } else if (word == "buffer") {
    buffer(image);
  } else if (word == "control" || word == "data" || word == "task") {
    task(image, code.size());
  } else if (word == "location") {
    in_.take();
    auto location = std::make_unique<wexe::CodeLocationT>();
    location->text = in_.string("a location");
    location->pc = uint16_t(code.size());
    in_.fields({{"pc", integerInto("an instruction's number", location->pc)}});
    in_.endLine();
    image.locations.push_back(std::move(location));
  } else if (word == "word") {
    CodeLine line;
    line.token = in_.take();
    line.isWord = true;
    line.word = in_.integer<uint64_t>("an instruction word");
    in_.endLine();
    code.push_back(std::move(line));
  } else {
    CodeLine line;
    line.token = in_.takeRestOfLine();
    in_.endLine();
    code.push_back(std::move(line));
  }
}

void Assembler::descriptor(wexe::ImageT &image) {
  in_.take();
  image.descriptors.push_back(std::make_unique<wexe::DescriptorT>());
  wexe::DescriptorT &d = *image.descriptors.back();
  d.name = in_.name("a descriptor's name");
  d.kind = static_cast<wexe::DescKind>(in_.enumerator(kindWords(), "a kind"));
  d.type = static_cast<wexe::ElemType>(in_.enumerator(typeWords(), "a type"));
  auto shape = [&] {
    Token token = in_.token();
    std::vector<uint16_t> sizes = in_.integers<uint16_t>("an extent");
    if (sizes.size() > 4)
      failAt(token, "at most four extents");
    sizes.insert(sizes.begin(), 4 - sizes.size(), 1);
    d.extents = sizes;
    if (d.kind != wexe::DescKind::Mem && d.kind != wexe::DescKind::Acc)
      return;
    d.strides.assign(4, 0);
    int64_t stride = 1;
    for (int i = 3; i >= 0; --i) {
      if (sizes[i] > 1 && stride > INT16_MAX)
        failAt(token, "a shape whose strides fit 16 bits");
      d.strides[i] = sizes[i] > 1 ? int16_t(stride) : 0;
      stride *= sizes[i];
    }
  };
  auto value = [&] {
    Token token = in_.token();
    char *end = nullptr;
    float number = std::strtof(token.text.c_str(), &end);
    if ((token.kind != TokenKind::Number && token.kind != TokenKind::Identifier) || *end != '\0' || end == token.text.c_str())
      failAt(token, "a number");
    in_.take();
    std::memcpy(&d.imm, &number, sizeof number);
  };
  in_.fields({{"colour", referenceInto(Space::Colour, "a colour", d.colour)},
              {"base", integerInto("a byte address", d.base)},
              {"extents", [&] { d.extents = in_.integers<uint16_t>("an extent"); }},
              {"strides", [&] { d.strides = in_.integers<int16_t>("a stride"); }},
              {"shape", shape},
              {"imm", integerInto("32 bits", d.imm)},
              {"value", value}});
  in_.endLine();
}

void Assembler::buffer(wexe::ImageT &image) {
  in_.take();
  auto buffer = std::make_unique<wexe::BufferT>();
  buffer->name = in_.name("a buffer's name");
  in_.fields({{"base", integerInto("a byte address", buffer->base)}, {"bytes", integerInto("a size in bytes", buffer->bytes)}},
             {{"acc", [&] { buffer->acc = true; }}});
  in_.endLine();
  image.buffers.push_back(std::move(buffer));
}

void Assembler::task(wexe::ImageT &image, size_t pc) {
  auto task = std::make_unique<wexe::TaskT>();
  Token word = in_.take();
  if (word.text == "data")
    task->kind = wexe::TaskKind::Data;
  else if (word.text == "control")
    task->number = in_.integer<uint16_t>("a control task's number");
  Token name = in_.token();
  task->name = in_.name("a task's name");
  if (in_.accept(":")) {
    if (pc > 0xffff)
      failAt(name, "at most 65535 instructions before a task");
    task->pc = uint16_t(pc);
  } else {
    LineReader::Handlers handlers = {{"pc", integerInto("an instruction's number", task->pc)}};
    if (word.text == "task") {
      handlers["kind"] = [&] { task->kind = static_cast<wexe::TaskKind>(in_.integer<uint8_t>("a kind")); };
      handlers["number"] = integerInto("a control task's number", task->number);
    }
    if (in_.token().kind != TokenKind::Identifier)
      failAt(in_.token(), "':' or 'pc='");
    in_.fields(handlers);
  }
  in_.endLine();
  image.tasks.push_back(std::move(task));
}

void Assembler::finishCode(wexe::ImageT &image, const std::vector<CodeLine> &code) {
  const Names descriptors = descriptorNames(image), dataTasks = dataTaskNames(image);
  for (const CodeLine &line : code) {
    if (line.isWord) {
      image.code.push_back(line.word);
      continue;
    }
    std::string text = line.token.text;
    for (auto [mark, names, what] : {std::tuple('%', &descriptors, "descriptor"), std::tuple('@', &dataTasks, "data task")}) {
      size_t at = text.find(mark);
      if (at == std::string::npos)
        continue;
      size_t end = at + 1;
      while (end < text.size() && isIdentifierPart(text[end]))
        ++end;
      std::string name = text.substr(at + 1, end - at - 1);
      if (!isIdentifier(name))
        continue;
      std::optional<unsigned> number = names->find(name);
      if (!number)
        failAt(line.token.line, line.token.column + unsigned(at),
               "found '" + name + "', expected the name of one " + what + " of the image");
      text.replace(at + 1, name.size(), std::to_string(*number));
    }
    try {
      image.code.push_back(encode(parse(text)));
    } catch (const IsaError &error) {
      failAt(line.token.line, line.token.column, error.what());
    }
  }
}

} // namespace wafer::text
