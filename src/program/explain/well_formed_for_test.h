#pragma once

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace musaic {

// What is wrong with an XML document without declarations and comments: tags that do not match, attributes
// without quotes or twice, stray characters and entities, no single root. Empty: nothing.
class WellFormedness {
 public:
  static std::string problem(std::string_view document) { return WellFormedness(document).check(); }

 private:
  explicit WellFormedness(std::string_view document) : rest_(document) {}

  std::string check() {
    while (!rest_.empty() && problem_.empty()) rest_[0] == '<' ? take_tag() : take_text();
    if (problem_.empty() && !open_.empty()) problem_ = "not closed: " + open_.back();
    if (problem_.empty() && num_roots_ != 1) problem_ = "no single root element";
    return problem_;
  }

  static bool is_name(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == ':';
  }

  std::string take_name() {
    size_t length = 0;
    while (length < rest_.size() && is_name(rest_[length])) ++length;
    std::string name(rest_.substr(0, length));
    rest_.remove_prefix(length);
    if (name.empty()) problem_ = "a name is missing before: " + std::string(rest_.substr(0, 20));
    return name;
  }

  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  void skip_spaces() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_[0])) != 0) rest_.remove_prefix(1);
  }

  void take_tag() {
    if (take("</")) {
      const std::string name = take_name();
      if (open_.empty() || open_.back() != name || !take(">")) {
        problem_ = "a closing tag that does not match: " + name;
      } else {
        open_.pop_back();
      }
      return;
    }
    take("<");
    if (open_.empty()) ++num_roots_;
    open_.push_back(take_name());
    take_attributes();
  }

  void take_attributes() {
    std::vector<std::string> names;
    while (problem_.empty()) {
      skip_spaces();
      if (take(">")) return;
      if (take("/>")) return open_.pop_back();
      names.push_back(take_name());
      for (size_t i = 0; i + 1 < names.size(); ++i) {
        if (names[i] == names.back()) problem_ = "an attribute twice: " + names.back();
      }
      if (!take("=\"")) problem_ = "an attribute without a quoted value: " + names.back();
      const size_t end = rest_.find('"');
      if (end == std::string_view::npos || rest_.substr(0, end).find('<') != std::string_view::npos) {
        problem_ = "an attribute that does not end: " + names.back();
        return;
      }
      check_characters(rest_.substr(0, end));
      rest_.remove_prefix(end + 1);
    }
  }

  void take_text() {
    const std::string_view text = rest_.substr(0, rest_.find('<'));
    for (const char c : text) {
      if (open_.empty() && std::isspace(static_cast<unsigned char>(c)) == 0)
        problem_ = "text outside of the root";
    }
    check_characters(text);
    rest_.remove_prefix(text.size());
  }

  void check_characters(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      if (byte < 0x20 && byte != '\n' && byte != '\t') problem_ = "a control character";
      if (byte != '&') continue;
      bool known = false;
      for (const std::string_view entity : {"&amp;", "&lt;", "&gt;", "&quot;"})
        known |= text.substr(i).starts_with(entity);
      if (!known) problem_ = "an unknown entity";
    }
  }

  std::string_view rest_;
  std::vector<std::string> open_;
  std::string problem_;
  int num_roots_ = 0;
};

}  // namespace musaic
