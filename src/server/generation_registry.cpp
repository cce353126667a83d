#include "server/generation_registry.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "server/generation.h"

namespace musaic {

void GenerationRegistry::add(const std::shared_ptr<Generation>& generation) {
  const std::lock_guard lock(mutex_);
  live_.emplace(generation.get(), generation);
}

void GenerationRegistry::remove(const Generation* generation) {
  const std::lock_guard lock(mutex_);
  live_.erase(generation);
}

void GenerationRegistry::abort(const std::string& rid) {
  std::vector<std::shared_ptr<Generation>>
      found;  // aborted outside the lock: the last reference may drop here
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, weak] : live_) {
      if (auto generation = weak.lock()) found.push_back(std::move(generation));
    }
  }
  for (const auto& generation : found) generation->abort(rid);
}

std::string make_rid() {
  std::array<uint64_t, 2> bits{};
  CHECK(getrandom(bits.data(), sizeof(bits), 0) == sizeof(bits));
  return fmt::format("{:016x}{:016x}", bits[0], bits[1]);
}

}  // namespace musaic
