//===- Assembler.h - text to a program ------------------------------------===//
//
// A line names what it adds to; names may be used before the line that gives them, so what they stand for is filled in at the end
// ("fixups"). Private to lib/Executable.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EXECUTABLE_ASSEMBLER_H
#define WAFER_LIB_EXECUTABLE_ASSEMBLER_H

#include "Text.h"

namespace wafer::text {

class Assembler {
public:
  explicit Assembler(const std::string &text) : in_(text) {}
  wexe::ProgramT run();

private:
  /// Which numbers the names of a reference are looked up in.
  enum class Space { Colour, Image, Tensor, Function, ControlTask };
  struct Reference {
    Space space;
    Token token;
    std::function<void(unsigned)> store;
  };
  struct CodeLine {
    Token token;
    bool isWord = false;
    uint64_t word = 0;
  };
  struct OverrideLine {
    unsigned region = 0;
    Token descriptor;
    wexe::DescField field = wexe::DescField::Kind;
    Token value;
    uint32_t base = 0;
    bool baseIsColour = false;
    int32_t dx = 0, dy = 0;
  };
  /// Where a rect is collected until all of its fields are there.
  struct RectFields {
    bool given = false;
    std::vector<uint16_t> at = {0, 0}, size = {1, 1}, step = {1, 1};
  };

  // Sections (Assemble.cpp).
  void section();
  void machine();
  void region();
  void route();
  void tensor();
  void function();
  void report();
  // Images (AssembleImage.cpp).
  void image();
  void imageLine(wexe::ImageT &image, std::vector<CodeLine> &code);
  void descriptor(wexe::ImageT &image);
  void buffer(wexe::ImageT &image);
  void task(wexe::ImageT &image, size_t pc);
  void finishCode(wexe::ImageT &image, const std::vector<CodeLine> &code);
  // Schedule (AssembleSchedule.cpp).
  void entry();
  void phase(wexe::EntryT &entry);
  void grid(wexe::PhaseT &phase);
  void step(wexe::PhaseT &phase);

  /// A name, which `store` gets the number of once all names are known, or a number.
  void reference(Space space, const char *what, std::function<void(unsigned)> store);
  template <typename T> std::function<void()> referenceInto(Space space, const char *what, T &field) {
    return [this, space, what, &field] { reference(space, what, [&field](unsigned number) { field = static_cast<T>(number); }); };
  }
  /// A list of references, which keep their order.
  void tensorList(std::vector<uint32_t> &list);
  template <typename T> std::function<void()> integerInto(const char *what, T &field) {
    return [this, what, &field] { field = in_.integer<T>(what); };
  }
  std::function<void()> stringInto(const char *what, std::string &field) {
    return [this, what, &field] { field = in_.string(what); };
  }
  template <typename Enum> std::function<void()> enumeratorInto(const Words &words, const char *what, Enum &field) {
    return [this, &words, what, &field] { field = static_cast<Enum>(in_.enumerator(words, what)); };
  }
  void addRectFields(LineReader::Handlers &handlers, RectFields &rect);
  static std::unique_ptr<wexe::Rect> makeRect(const RectFields &rect);
  void resolveReferences();
  void resolveOverrides();
  unsigned resolve(const Names &names, const Token &token, const char *what) const;

  LineReader in_;
  wexe::ProgramT program_;
  std::vector<Reference> references_;
  std::vector<OverrideLine> overrides_;
  Token machineToken_;
  bool machineHashGiven_ = false;
};

} // namespace wafer::text

#endif // WAFER_LIB_EXECUTABLE_ASSEMBLER_H
