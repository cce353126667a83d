#pragma once

#include "tokenizer/jinja/evaluator.h"

namespace musaic::jinja {

// Counts nested evaluations.
class Evaluator::Depth {
 public:
  explicit Depth(Evaluator& evaluator) : depth_(evaluator.depth_) {
    if (++depth_ > kMaxDepth) {
      --depth_;
      fail("the template recurses more than {} deep", kMaxDepth);
    }
  }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& depth_;
};

// A scope for the time of a block. A macro remembers its id, so that it is not called once the block has
// ended.
class Evaluator::Frame {
 public:
  Frame(Evaluator& evaluator, const Scope& parent)
      : evaluator_(evaluator), scope_(&parent, evaluator.next_scope_id_++) {
    evaluator_.live_scopes_.push_back(scope_.id());
  }
  ~Frame() { evaluator_.live_scopes_.pop_back(); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  Scope& scope() { return scope_; }

 private:
  Evaluator& evaluator_;
  Scope scope_;
};

}  // namespace musaic::jinja
