#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace musaic {
namespace {

constexpr int kWidth = 30;
constexpr std::chrono::milliseconds kPause{50};   // between redraws
constexpr std::chrono::milliseconds kQuiet{200};  // what is faster shows no bar

}  // namespace

std::string progress_line(const std::string& what, ProgressUnit unit, size_t done, size_t total,
                          double seconds) {
  constexpr double kGB = 1e9;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const double left = share > 0 ? seconds / share - seconds : 0;
  const std::string bar(static_cast<size_t>(share * kWidth), '#');
  const std::string amount = unit == ProgressUnit::kBytes
                                 ? fmt::format(", {:.1f} of {:.1f} GB", static_cast<double>(done) / kGB,
                                               static_cast<double>(total) / kGB)
                                 : "";
  return fmt::format("{} [{:<{}}] {:3.0f} %{}, {:.1f} s left", what, bar, kWidth, share * 100, amount, left);
}

LoadBar::LoadBar(std::string what, bool enabled, ProgressUnit unit)
    : what_(std::move(what)),
      enabled_(enabled && isatty(STDERR_FILENO) != 0),
      unit_(unit),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

void LoadBar::show(size_t done, size_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!enabled_ || total == 0 || now - start_ < kQuiet || now - last_ < kPause) return;
  last_ = now;
  shown_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::fputs(fmt::format("\r{} ", progress_line(what_, unit_, done, total, seconds)).c_str(), stderr);
}

void LoadBar::finish() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

}  // namespace musaic
