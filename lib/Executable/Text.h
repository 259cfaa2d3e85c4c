//===- Text.h - tokens and names of the text format -----------------------===//
//
// What the assembler and the disassembler share, so that they cannot drift: words for enumerators, quoting, and the lexer. Grammar:
// docs/spec/executable.md. Private to lib/Executable.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_LIB_EXECUTABLE_TEXT_H
#define WAFER_LIB_EXECUTABLE_TEXT_H

#include "wafer/Executable/Executable.h"

#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string_view>

namespace wafer::text {

/// Words for the values 0, 1, ... of an enumeration.
using Words = std::vector<std::string>;
const Words &kindWords();
const Words &typeWords();
const Words &directionWords();
const Words &fieldWords();
const Words &roleWords();
const Words &wireWords();
const Words &linkWords();
const Words &stepWords();
const Words &phaseWords();

/// The word, or the number of a value that has none.
std::string wordOf(const Words &words, unsigned value);

bool isIdentifierPart(char c);
bool isIdentifier(std::string_view text);
/// `text` in quotes, whatever bytes it has, on one line.
std::string quote(std::string_view text);
/// `text` bare if it is an identifier, else quoted.
std::string nameOf(std::string_view text);
/// Whether `text` can stand as lines between `<<word` and `word`.
bool fitsHeredoc(std::string_view text, std::string_view word);

/// Which names stand for which number: a name that two things share stands for none.
class Names {
public:
  void add(const std::string &name, unsigned number);
  std::optional<unsigned> find(const std::string &name) const;
  /// The name that stands for `number`, or the number itself.
  std::string refer(unsigned number) const;
  /// The same where only a bare word can stand.
  std::string referBare(unsigned number) const;

private:
  std::map<std::string, std::optional<unsigned>> numbers_;
  std::map<unsigned, std::string> names_; ///< the first name of a number
};
Names colourNames(const wexe::ProgramT &program);
Names imageNames(const wexe::ProgramT &program);
Names tensorNames(const wexe::ProgramT &program);
Names functionNames(const wexe::ProgramT &program);
/// Control tasks of all images, by their number.
Names controlTaskNames(const wexe::ProgramT &program);
Names descriptorNames(const wexe::ImageT &image);
/// Data tasks by the instruction they begin at.
Names dataTaskNames(const wexe::ImageT &image);

enum class TokenKind { Identifier, Number, String, Punctuation, LineEnd, FileEnd };

struct Token {
  TokenKind kind = TokenKind::FileEnd;
  std::string text; ///< of a string: its value
  unsigned line = 1, column = 1;
};

[[noreturn]] void failAt(unsigned line, unsigned column, const std::string &what);
[[noreturn]] void failAt(const Token &token, const std::string &expected);

/// Cuts text into tokens; one token of look-ahead.
class Lexer {
public:
  explicit Lexer(const std::string &text) : text_(text) { advance(); }

  const Token &token() const { return token_; }
  Token take();
  /// The rest of the line without comment, from the current token on; then the current token is the line's end.
  Token takeRestOfLine();

private:
  void advance();
  bool atEnd() const { return place_ >= text_.size(); }
  char peek(size_t ahead = 0) const { return place_ + ahead < text_.size() ? text_[place_ + ahead] : '\0'; }
  void step();
  void lexString();
  void lexHeredoc();

  const std::string &text_;
  size_t place_ = 0, tokenStart_ = 0;
  unsigned line_ = 1, column_ = 1;
  Token token_;
  size_t afterHeredoc_ = 0; ///< where the text goes on after the line that began a heredoc; 0: no heredoc in this line
  unsigned heredocLines_ = 0;
};

/// Reads the pieces that lines are made of.
class LineReader {
public:
  explicit LineReader(const std::string &text) : lexer_(text) {}

  const Token &token() const { return lexer_.token(); }
  Token take() { return lexer_.take(); }
  Token takeRestOfLine() { return lexer_.takeRestOfLine(); }
  bool at(TokenKind kind, std::string_view text) const { return token().kind == kind && token().text == text; }
  bool accept(std::string_view punctuation);
  void expect(std::string_view punctuation);
  void endLine();
  void skipEmptyLines();

  /// An identifier or string.
  std::string name(const char *what);
  std::string string(const char *what);
  template <typename T> T integer(const char *what) {
    return static_cast<T>(integerBetween(what, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  }
  /// A word of the enumeration or a number.
  unsigned enumerator(const Words &words, const char *what);
  template <typename T> std::vector<T> integers(const char *what) {
    std::vector<T> values;
    list([&] { values.push_back(integer<T>(what)); });
    return values;
  }
  /// "[" item "," ... "]"
  void list(const std::function<void()> &item);
  /// key=value pairs and flags up to the end of the line or a "{". A handler reads the value; flags have no "=".
  using Handlers = std::map<std::string, std::function<void()>>;
  void fields(const Handlers &handlers, const Handlers &flags = {});
  /// Lines up to "}", if the line ends with "{".
  void block(const std::function<void()> &line);
  /// As block, where the braces must be there.
  void requiredBlock(const std::function<void()> &line);

private:
  __int128 integerBetween(const char *what, __int128 least, __int128 most);
  Lexer lexer_;
};

} // namespace wafer::text

#endif // WAFER_LIB_EXECUTABLE_TEXT_H
