#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

namespace musaic::jinja {

inline constexpr size_t kMaxSourceBytes = size_t{1} << 20;
inline constexpr size_t kMaxValueBytes = 64 << 20;  // of one string, or the output; a request has 32 MiB
inline constexpr size_t kMaxItems = 1'000'000;      // of one list
inline constexpr uint64_t kMaxWork = 20'000'000;    // evaluated nodes and handled bytes / kBytesPerWork
inline constexpr uint64_t kBytesPerWork = 32;
inline constexpr int kMaxDepth = 800;       // nested evaluations: a macro's recursion takes about eight each
inline constexpr int kMaxNesting = 200;     // of lists and dicts in one another
inline constexpr int kMaxBlockDepth = 100;  // nested blocks in a source
inline constexpr int kMaxExpressionNodes = 1000;  // also bounds how deep an expression is

// A mistake in a template, or in what it was given. Never leaves chat_template.cpp.
class TemplateError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One that names its line already.
class PlacedError : public TemplateError {
 public:
  using TemplateError::TemplateError;
};

// What the template itself raised for the user.
class RaisedException : public TemplateError {
 public:
  using TemplateError::TemplateError;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw TemplateError(fmt::format(format, std::forward<Args>(args)...));
}

inline void check_value_bytes(size_t bytes) {
  if (bytes > kMaxValueBytes) fail("a text of {} bytes, at most {} are allowed", bytes, kMaxValueBytes);
}

// Counts what a rendering does, so that no template runs away.
class Budget {
 public:
  void spend(uint64_t work) {
    spent_ += work;
    if (spent_ > kMaxWork) fail("the template does too much work");
  }
  void spend_bytes(size_t bytes) { spend(1 + bytes / kBytesPerWork); }

 private:
  uint64_t spent_ = 0;
};

}  // namespace musaic::jinja
