#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace musaic {

class Generation;

// The generations under way, so that POST /abort_request finds them. Any thread.
class GenerationRegistry {
 public:
  void add(const std::shared_ptr<Generation>& generation);
  void remove(const Generation* generation);
  void abort(const std::string& rid);  // an empty rid: all

 private:
  std::mutex mutex_;
  std::unordered_map<const Generation*, std::weak_ptr<Generation>> live_;
};

// A new random name: 32 hexadecimal digits.
std::string make_rid();

}  // namespace musaic
