#pragma once

#include <fmt/format.h>

#include <string_view>

namespace musaic {

// Prints the message with its place and aborts: for our own bugs, never for a user's input.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view message);

}  // namespace musaic

// CHECK(condition) or CHECK(condition, "format {}", args...).
#define CHECK(condition, ...)                                                                \
  do {                                                                                       \
    if (!(condition)) [[unlikely]]                                                           \
      ::musaic::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)
