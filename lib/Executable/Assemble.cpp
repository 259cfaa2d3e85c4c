//===- Assemble.cpp - sections of the text form, and what names stand for -===//

#include "Assembler.h"

namespace wafer {

namespace text {

void Assembler::reference(Space space, const char *what, std::function<void(unsigned)> store) {
  if (in_.token().kind == TokenKind::Number) {
    unsigned most = space == Space::Colour ? 0xff : space == Space::Image || space == Space::ControlTask ? 0xffff : 0xffffffff;
    Token token = in_.token();
    unsigned number = in_.integer<uint32_t>(what);
    if (number > most)
      failAt(token, std::string(what) + ", at most " + std::to_string(most));
    store(number);
    return;
  }
  if (in_.token().kind != TokenKind::Identifier && in_.token().kind != TokenKind::String)
    failAt(in_.token(), std::string(what) + ", a name or a number");
  references_.push_back({space, in_.take(), std::move(store)});
}

void Assembler::tensorList(std::vector<uint32_t> &list) {
  in_.list([&] {
    size_t place = list.size();
    list.push_back(0);
    reference(Space::Tensor, "a tensor", [&list, place](unsigned number) { list[place] = number; });
  });
}

unsigned Assembler::resolve(const Names &names, const Token &token, const char *what) const {
  if (std::optional<unsigned> number = names.find(token.text))
    return *number;
  failAt(token, std::string("the name of one ") + what);
}

void Assembler::resolveReferences() {
  const Names colours = colourNames(program_), images = imageNames(program_), tensors = tensorNames(program_),
              functions = functionNames(program_), tasks = controlTaskNames(program_);
  for (const Reference &reference : references_)
    switch (reference.space) {
    case Space::Colour:
      reference.store(resolve(colours, reference.token, "colour"));
      break;
    case Space::Image:
      reference.store(resolve(images, reference.token, "image"));
      break;
    case Space::Tensor:
      reference.store(resolve(tensors, reference.token, "tensor"));
      break;
    case Space::Function:
      reference.store(resolve(functions, reference.token, "function"));
      break;
    case Space::ControlTask:
      reference.store(resolve(tasks, reference.token, "control task number"));
    }
}

void Assembler::resolveOverrides() {
  const Names colours = colourNames(program_);
  std::vector<Names> descriptors;
  for (const auto &image : program_.images)
    descriptors.push_back(descriptorNames(*image));
  for (const OverrideLine &line : overrides_) {
    const wexe::RegionT &region = *program_.regions[line.region];
    unsigned descriptor;
    if (line.descriptor.kind == TokenKind::Number)
      descriptor = unsigned(std::stoul(line.descriptor.text));
    else if (region.image < descriptors.size())
      descriptor = resolve(descriptors[region.image], line.descriptor, "descriptor of the region's image");
    else
      failAt(line.descriptor, "a number, because the region's image is not there");
    uint32_t base = line.baseIsColour ? resolve(colours, line.value, "colour") : line.base;
    program_.regions[line.region]->overrides.emplace_back(uint16_t(descriptor), line.field, base, line.dx, line.dy);
  }
}

void Assembler::addRectFields(LineReader::Handlers &handlers, RectFields &rect) {
  auto pairInto = [this, &rect](std::vector<uint16_t> &pair) {
    return [this, &rect, &pair] {
      Token token = in_.token();
      pair = in_.integers<uint16_t>("a number of cores");
      rect.given = true;
      if (pair.size() != 2)
        failAt(token, "two numbers, [x, y]");
    };
  };
  handlers["at"] = pairInto(rect.at);
  handlers["size"] = pairInto(rect.size);
  handlers["step"] = pairInto(rect.step);
}

std::unique_ptr<wexe::Rect> Assembler::makeRect(const RectFields &rect) {
  if (!rect.given)
    return nullptr;
  return std::make_unique<wexe::Rect>(rect.at[0], rect.at[1], rect.size[0], rect.size[1], rect.step[0], rect.step[1]);
}

void Assembler::machine() {
  machineToken_ = in_.token();
  if (in_.token().kind == TokenKind::String) {
    program_.machine = in_.take().text;
    return;
  }
  if (in_.token().kind != TokenKind::Identifier)
    failAt(in_.token(), "the name of a machine, or its description in quotes or after '<<'");
  try {
    program_.machine = Machine::load(in_.take().text).toJson();
  } catch (const MachineError &error) {
    failAt(machineToken_.line, machineToken_.column, error.what());
  }
}

void Assembler::region() {
  auto region = std::make_unique<wexe::RegionT>();
  unsigned index = unsigned(program_.regions.size());
  region->name = in_.name("a region's name");
  RectFields rect;
  LineReader::Handlers handlers = {{"image", referenceInto(Space::Image, "an image", region->image)}};
  addRectFields(handlers, rect);
  in_.fields(handlers);
  region->rect = makeRect(rect);
  program_.regions.push_back(std::move(region));

  in_.block([&] {
    if (!in_.at(TokenKind::Identifier, "override"))
      failAt(in_.token(), "'override' or '}'");
    in_.take();
    OverrideLine line;
    line.region = index;
    line.descriptor = in_.token();
    if (in_.token().kind == TokenKind::Number)
      line.descriptor.text = std::to_string(in_.integer<uint16_t>("a descriptor"));
    else
      in_.name("a descriptor");
    LineReader::Handlers fields = {
        // How a field without a word is written.
        {"number", [&] { line.field = static_cast<wexe::DescField>(in_.integer<uint8_t>("a field's number")); }},
        {"value", integerInto("a value", line.base)},
        {"dx", integerInto("a difference", line.dx)},
        {"dy", integerInto("a difference", line.dy)},
    };
    for (unsigned f = 0; f < fieldWords().size(); ++f)
      fields[fieldWords()[f]] = [&, f] {
        line.field = static_cast<wexe::DescField>(f);
        line.value = in_.token();
        line.baseIsColour = line.field == wexe::DescField::Colour && line.value.kind != TokenKind::Number;
        if (line.baseIsColour)
          in_.name("a colour");
        else if (line.field == wexe::DescField::Kind && line.value.kind != TokenKind::Number)
          line.base = in_.enumerator(kindWords(), "a kind");
        else
          line.base = in_.integer<uint32_t>("a value");
      };
    in_.fields(fields);
    in_.endLine();
    overrides_.push_back(std::move(line));
  });
}

void Assembler::route() {
  auto route = std::make_unique<wexe::RouteT>();
  route->channel = in_.name("a channel's name");
  RectFields rect;
  LineReader::Handlers handlers = {
      {"colour", referenceInto(Space::Colour, "a colour", route->colour)},
      {"load", integerInto("a load", route->load)},
      {"rx", enumeratorInto(directionWords(), "a direction", route->rx)},
      {"tx",
       [&] {
         if (in_.token().kind == TokenKind::Number) {
           route->tx = in_.integer<uint8_t>("direction bits");
           return;
         }
         in_.list([&] {
           Token token = in_.token();
           unsigned direction = in_.enumerator(directionWords(), "a direction");
           if (direction >= directionWords().size())
             failAt(token, "a direction");
           route->tx |= uint8_t(1u << direction);
         });
       }},
  };
  addRectFields(handlers, rect);
  in_.fields(handlers);
  in_.endLine();
  route->rect = makeRect(rect);
  program_.routes.push_back(std::move(route));
}

void Assembler::tensor() {
  auto tensor = std::make_unique<wexe::TensorT>();
  tensor->name = in_.name("a tensor's name");
  tensor->role = static_cast<wexe::Role>(in_.enumerator(roleWords(), "a role"));
  tensor->type = static_cast<wexe::ElemType>(in_.enumerator(typeWords(), "a type"));
  tensor->shape = in_.integers<uint64_t>("a size");
  in_.fields({{"nonzeros", integerInto("a count", tensor->dense_nonzeros)}, {"updates", referenceInto(Space::Tensor, "state", tensor->updates)}});
  in_.endLine();
  program_.tensors.push_back(std::move(tensor));
}

void Assembler::function() {
  auto function = std::make_unique<wexe::FunctionT>();
  function->name = in_.name("a function's name");
  in_.fields({{"reason", stringInto("a reason", function->reason)},
              {"location", stringInto("a location", function->location)},
              {"mlir", stringInto("the function's text", function->mlir)}});
  in_.endLine();
  program_.functions.push_back(std::move(function));
}

void Assembler::report() {
  auto op = std::make_unique<wexe::OpReportT>();
  op->name = in_.name("an operation's name");
  in_.fields({{"placement", stringInto("a placement", op->placement)},
              {"location", stringInto("a location", op->location)},
              {"reason", stringInto("a reason", op->reason)},
              {"macs", integerInto("a count", op->macs)},
              {"entry", integerInto("an entry", op->entry)}});
  in_.endLine();
  program_.report.push_back(std::move(op));
}

void Assembler::section() {
  static const std::map<std::string, void (Assembler::*)()> sections = {
      {"image", &Assembler::image}, {"region", &Assembler::region},     {"route", &Assembler::route},   {"tensor", &Assembler::tensor},
      {"entry", &Assembler::entry}, {"function", &Assembler::function}, {"report", &Assembler::report},
  };
  Token word = in_.token();
  if (word.kind != TokenKind::Identifier)
    failAt(word, "the name of a section");
  in_.take();
  if (auto it = sections.find(word.text); it != sections.end()) {
    (this->*it->second)();
    return;
  }
  if (word.text == "machine") {
    machine();
  } else if (word.text == "machine_hash") {
    program_.machine_hash = in_.integer<uint64_t>("a hash");
    machineHashGiven_ = true;
  } else if (word.text == "format") {
    program_.format_version = in_.integer<uint32_t>("a version");
  } else if (word.text == "isa") {
    program_.isa_hash = in_.integer<uint64_t>("a hash");
  } else if (word.text == "producer") {
    program_.producer = in_.string("the producer");
  } else if (word.text == "colour") {
    auto colour = std::make_unique<wexe::ColourT>();
    colour->number = in_.integer<uint8_t>("a colour's number");
    colour->name = in_.name("a colour's name");
    in_.fields({}, {{"weight", [&] { colour->weight = true; }}});
    program_.colours.push_back(std::move(colour));
  } else {
    std::string known = "colour, format, isa, machine, machine_hash, producer";
    for (const auto &[name, ignored] : sections)
      known += ", " + name;
    failAt(word, "one of " + known);
  }
  in_.endLine();
}

wexe::ProgramT Assembler::run() {
  program_.format_version = executableFormatVersion;
  program_.isa_hash = isaHash();
  in_.skipEmptyLines();
  if (!in_.at(TokenKind::Identifier, "wexe"))
    failAt(in_.token(), "'wexe' on the first line");
  in_.take();
  in_.endLine();
  for (in_.skipEmptyLines(); in_.token().kind != TokenKind::FileEnd; in_.skipEmptyLines())
    section();
  resolveReferences();
  resolveOverrides();
  if (!machineHashGiven_) {
    if (program_.machine.empty())
      failAt(in_.token(), "a 'machine' line");
    try {
      program_.machine_hash = Machine::fromJson(program_.machine, "machine").hash();
    } catch (const MachineError &error) {
      failAt(machineToken_.line, machineToken_.column, error.what());
    }
  }
  return std::move(program_);
}

} // namespace text

wexe::ProgramT assembleProgram(const std::string &text) { return text::Assembler(text).run(); }

} // namespace wafer
