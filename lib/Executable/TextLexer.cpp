//===- TextLexer.cpp - text to tokens, lines and fields -------------------===//

#include "Text.h"

#include <cctype>

namespace wafer::text {

void failAt(unsigned line, unsigned column, const std::string &what) {
  throw ExecutableError(std::to_string(line) + ":" + std::to_string(column) + ": " + what);
}

void failAt(const Token &token, const std::string &expected) {
  std::string found;
  switch (token.kind) {
  case TokenKind::LineEnd:
    found = "the end of the line";
    break;
  case TokenKind::FileEnd:
    found = "the end of the text";
    break;
  case TokenKind::String:
    found = quote(token.text.size() > 60 ? token.text.substr(0, 60) + "..." : token.text);
    break;
  default:
    found = "'" + token.text + "'";
  }
  failAt(token.line, token.column, "found " + found + ", expected " + expected);
}

void Lexer::step() {
  if (text_[place_++] == '\n') {
    ++line_;
    column_ = 1;
  } else {
    ++column_;
  }
}

Token Lexer::take() {
  Token taken = std::move(token_);
  advance();
  return taken;
}

Token Lexer::takeRestOfLine() {
  Token rest = token_;
  size_t end = std::min(text_.find_first_of("#\n", tokenStart_), text_.size());
  rest.text = text_.substr(tokenStart_, end - tokenStart_);
  while (!rest.text.empty() && std::isspace(static_cast<unsigned char>(rest.text.back())))
    rest.text.pop_back();
  // The token that was looked at may lie before or at the end of the rest; go on from there.
  while (place_ < end)
    step();
  advance();
  return rest;
}

void Lexer::lexString() {
  step();
  std::string value;
  for (;;) {
    if (atEnd() || peek() == '\n')
      failAt(line_, column_, "found the end of the line in a string, expected '\"'");
    char c = peek();
    if (c == '"')
      break;
    if (c != '\\') {
      value += c;
      step();
      continue;
    }
    step();
    char escape = peek();
    if (escape == 'n' || escape == 't') {
      value += escape == 'n' ? '\n' : '\t';
    } else if (escape == '"' || escape == '\\') {
      value += escape;
    } else if (escape == 'x' && std::isxdigit(static_cast<unsigned char>(peek(1))) && std::isxdigit(static_cast<unsigned char>(peek(2)))) {
      value += static_cast<char>(std::stoi(text_.substr(place_ + 1, 2), nullptr, 16));
      step();
      step();
    } else {
      failAt(line_, column_, "found an unknown escape in a string, expected \\n, \\t, \\\", \\\\ or \\xNN");
    }
    step();
  }
  step();
  token_.kind = TokenKind::String;
  token_.text = std::move(value);
}

/// `<<word`, then lines up to one that holds only `word`. The rest of the line that begins it is read first.
void Lexer::lexHeredoc() {
  step();
  step();
  std::string word;
  while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_') {
    word += peek();
    step();
  }
  if (word.empty())
    failAt(line_, column_, "found no word after '<<', expected the word that ends the lines");
  if (afterHeredoc_ != 0)
    failAt(token_.line, token_.column, "found a second '<<' in one line, expected one");
  size_t lineEnd = text_.find('\n', place_);
  size_t begin = lineEnd == std::string::npos ? text_.size() : lineEnd + 1;
  std::string value;
  for (unsigned lines = 1; begin < text_.size(); ++lines) {
    size_t end = std::min(text_.find('\n', begin), text_.size());
    std::string line = text_.substr(begin, end - begin);
    begin = std::min(end + 1, text_.size());
    if (line.size() >= word.size() && line.find_first_not_of(" \t") == line.size() - word.size() &&
        line.compare(line.size() - word.size(), word.size(), word) == 0) {
      token_.kind = TokenKind::String;
      token_.text = std::move(value);
      afterHeredoc_ = begin;
      heredocLines_ = lines;
      return;
    }
    value += line + "\n";
  }
  failAt(token_.line, token_.column, "found the end of the text, expected a line '" + word + "'");
}

void Lexer::advance() {
  while (!atEnd() && (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '#')) {
    if (peek() == '#')
      while (!atEnd() && peek() != '\n')
        step();
    else
      step();
  }
  token_ = Token();
  token_.line = line_;
  token_.column = column_;
  tokenStart_ = place_;
  if (atEnd())
    return;
  char c = peek();
  if (c == '\n') {
    token_.kind = TokenKind::LineEnd;
    step();
    if (afterHeredoc_ != 0) {
      place_ = afterHeredoc_;
      line_ += heredocLines_;
      afterHeredoc_ = 0;
    }
  } else if (c == '"') {
    lexString();
  } else if (c == '<' && peek(1) == '<') {
    lexHeredoc();
  } else if (std::isalpha(static_cast<unsigned char>(c)) || c == '_') {
    token_.kind = TokenKind::Identifier;
    while (isIdentifierPart(peek())) {
      token_.text += peek();
      step();
    }
  } else if (std::isdigit(static_cast<unsigned char>(c)) || (c == '-' && std::isalnum(static_cast<unsigned char>(peek(1))))) {
    token_.kind = TokenKind::Number;
    do {
      token_.text += peek();
      step();
      // The sign of an exponent belongs to the number.
    } while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '.' ||
             ((peek() == '-' || peek() == '+') && token_.text.back() == 'e' && token_.text.compare(0, 2, "0x") != 0));
  } else {
    token_.kind = TokenKind::Punctuation;
    token_.text = c;
    step();
  }
}

bool LineReader::accept(std::string_view punctuation) {
  if (!at(TokenKind::Punctuation, punctuation))
    return false;
  take();
  return true;
}

void LineReader::expect(std::string_view punctuation) {
  if (!accept(punctuation))
    failAt(token(), "'" + std::string(punctuation) + "'");
}

void LineReader::endLine() {
  if (token().kind == TokenKind::FileEnd)
    return;
  if (token().kind != TokenKind::LineEnd)
    failAt(token(), "the end of the line");
  take();
}

void LineReader::skipEmptyLines() {
  while (token().kind == TokenKind::LineEnd)
    take();
}

std::string LineReader::name(const char *what) {
  if (token().kind != TokenKind::Identifier && token().kind != TokenKind::String)
    failAt(token(), what);
  return take().text;
}

std::string LineReader::string(const char *what) {
  if (token().kind != TokenKind::String)
    failAt(token(), std::string(what) + " in quotes");
  return take().text;
}

__int128 LineReader::integerBetween(const char *what, __int128 least, __int128 most) {
  auto digitOf = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
  };
  std::string_view digits = token().text;
  bool negative = !digits.empty() && digits[0] == '-';
  if (negative)
    digits.remove_prefix(1);
  int base = 10;
  if (digits.substr(0, 2) == "0x") {
    base = 16;
    digits.remove_prefix(2);
  }
  // Twenty digits hold every 64-bit number and leave the sum far from overflow.
  bool valid = token().kind == TokenKind::Number && !digits.empty() && digits.size() <= 20;
  __int128 value = 0;
  for (char c : digits) {
    valid &= digitOf(c) < base;
    if (!valid)
      break;
    value = value * base + digitOf(c);
  }
  if (negative)
    value = -value;
  if (!valid || value < least || value > most) {
    auto decimal = [](__int128 n) { return n < 0 ? std::to_string(static_cast<int64_t>(n)) : std::to_string(static_cast<uint64_t>(n)); };
    failAt(token(), std::string(what) + ", an integer from " + decimal(least) + " to " + decimal(most));
  }
  take();
  return value;
}

unsigned LineReader::enumerator(const Words &words, const char *what) {
  if (token().kind == TokenKind::Number)
    return integer<uint8_t>(what);
  if (token().kind == TokenKind::Identifier)
    for (size_t i = 0; i < words.size(); ++i)
      if (words[i] == token().text) {
        take();
        return unsigned(i);
      }
  std::string list;
  for (const std::string &word : words)
    list += (list.empty() ? "" : ", ") + word;
  failAt(token(), std::string(what) + ", one of " + list);
}

void LineReader::list(const std::function<void()> &item) {
  expect("[");
  if (accept("]"))
    return;
  do
    item();
  while (accept(","));
  expect("]");
}

void LineReader::fields(const Handlers &handlers, const Handlers &flags) {
  while (token().kind == TokenKind::Identifier) {
    Token key = take();
    if (auto flag = flags.find(key.text); flag != flags.end()) {
      flag->second();
      continue;
    }
    auto handler = handlers.find(key.text);
    if (handler == handlers.end()) {
      std::string known;
      for (const Handlers *list : {&handlers, &flags})
        for (const auto &[name, ignored] : *list)
          known += (known.empty() ? "" : ", ") + name;
      failAt(key, "one of " + known);
    }
    expect("=");
    handler->second();
  }
}

void LineReader::block(const std::function<void()> &line) {
  if (at(TokenKind::Punctuation, "{"))
    requiredBlock(line);
  else
    endLine();
}

void LineReader::requiredBlock(const std::function<void()> &line) {
  expect("{");
  endLine();
  for (skipEmptyLines(); !accept("}"); skipEmptyLines()) {
    if (token().kind == TokenKind::FileEnd)
      failAt(token(), "'}'");
    line();
  }
  endLine();
}

} // namespace wafer::text
