#pragma once

#include <string>
#include <string_view>

namespace musaic {

// A place in a text, counted from 1; columns are bytes.
struct TextPosition {
  int line = 1;
  int column = 1;
};

// Reads the tokens of the text form, line by line. Blanks between tokens do not matter; ends of lines do, and
// `#` starts a comment. Every error is a LoadError: "file:line:column: expected ..., got ...".
class TextCursor {
 public:
  // REQUIRES: the text outlives the cursor.
  TextCursor(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  TextPosition position();  // of the next token
  bool at_end_of_line();
  bool at_end();
  char peek();  // the next token's first character; '\0' at the end of a line

  bool take(std::string_view token);      // punctuation
  bool take_word(std::string_view word);  // a whole word
  void expect(std::string_view token);    // punctuation
  void expect_word(std::string_view word);
  void end_line();  // and the empty lines that follow

  std::string name(const char* what);           // bare or in quotes
  std::string operator_name(const char* what);  // likewise, with ':'
  std::string string(const char* what);         // in quotes
  std::string_view word();                      // of name characters, perhaps empty
  std::string_view device();                    // a word with ':', or one with parentheses
  // Up to one of `ends` outside parentheses, or the end of the line; blanks around it are cut off.
  std::string_view until(std::string_view ends);

  [[noreturn]] void fail(std::string_view expected);  // at the next token
  [[noreturn]] void fail_at(TextPosition at, std::string_view message) const;

 private:
  void skip_blanks();
  void advance(size_t count);
  std::string_view take_while(bool (*holds)(char));
  char escaped();
  char hex_byte();
  std::string found();

  std::string_view text_;
  std::string_view file_;
  size_t next_ = 0;
  TextPosition at_;
};

}  // namespace musaic
