#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace musaic {

enum class StatusCode { kOk, kInvalidArgument, kNotFound, kBusy, kOverloaded, kUnavailable, kInternal };

// The outcome of an operation at a border (file, request, device): fine, or a code with one sentence.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

template <class... Args>
Status invalid_argument(fmt::format_string<Args...> format, Args&&... args) {
  return Status(StatusCode::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
}

// A value, or the status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : value_(std::move(status)) { CHECK(!std::get<Status>(value_).ok()); }

  bool ok() const { return std::holds_alternative<T>(value_); }
  Status status() const { return ok() ? Status() : std::get<Status>(value_); }

  // REQUIRES: ok().
  T& value() & {
    CHECK(ok(), "{}", std::get<Status>(value_).message());
    return std::get<T>(value_);
  }
  const T& value() const& { return const_cast<Result*>(this)->value(); }
  T&& value() && { return std::move(value()); }
  T* operator->() { return &value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(value()); }

 private:
  std::variant<T, Status> value_;
};

// Thrown while loading or starting only, and caught in main: one sentence for the user.
class LoadError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

template <class... Args>
[[noreturn]] void fail_load(fmt::format_string<Args...> format, Args&&... args) {
  throw LoadError(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace musaic
