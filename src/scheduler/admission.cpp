#include <algorithm>
#include <cmath>

#include "scheduler/scheduler.h"

namespace musaic {
namespace {

constexpr size_t kMaxRankedRequests = 128;  // longer queues are served in order: ranking reads every prompt
constexpr int kMaxPassedOver = 64;          // then a request goes first, however little of it is cached
constexpr int kMaxLookAhead = 32;           // requests that may wait for a prefix before the search ends
constexpr int kLeastSharedTokens = 64;  // below, waiting a step for the prefix costs more than computing it

int common_prefix(const std::vector<TokenId>& a, const std::vector<TokenId>& b) {
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<int>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

}  // namespace

void Scheduler::admit_requests() {
  if (waiting_.empty() || budget_ <= 0 || free_slots_.empty()) return;
  int looked_past = 0;
  for (Sequence* candidate : admission_order()) {
    if (budget_ <= 0 || free_slots_.empty() || looked_past >= kMaxLookAhead) break;
    if (waits_for_shared_prefix(*candidate)) {
      ++looked_past;
      continue;
    }
    // Nobody overtakes for want of memory: a large request would wait for ever.
    if (!admit(*candidate)) break;
    add_prompt_row(*candidate);
  }
}

// The retracted first, then by the policy.
std::vector<Sequence*> Scheduler::admission_order() const {
  std::vector<Sequence*> order(waiting_.begin(), waiting_.end());
  if (options_.schedule_policy == SchedulePolicy::kFcfs || order.size() > kMaxRankedRequests) return order;
  struct Ranked {
    bool first;
    int matched;
    Sequence* sequence;
  };
  std::vector<Ranked> ranked;
  for (Sequence* sequence : order) {
    const std::span<const TokenId> tokens(sequence->tokens);
    const int matched =
        cache_.matched_tokens(tokens.first(static_cast<size_t>(sequence->cacheable_tokens())));
    ranked.push_back({sequence->retracted || sequence->passed_over >= kMaxPassedOver, matched, sequence});
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    if (a.first != b.first) return a.first;
    return !a.first && a.matched > b.matched;
  });
  for (size_t i = 0; i < order.size(); ++i) order[i] = ranked[i].sequence;
  return order;
}

// Whether most of the candidate's prompt is just being computed for a running request.
bool Scheduler::waits_for_shared_prefix(const Sequence& candidate) const {
  if (options_.disable_radix_cache) return false;
  const int page_size = cache_.page_size();
  for (const Sequence* other : running_) {
    if (other->computed >= other->prompt_length) continue;
    const int common = std::min(common_prefix(candidate.tokens, other->tokens), candidate.cacheable_tokens());
    const int shared = common / page_size * page_size;
    if (shared < kLeastSharedTokens || shared <= other->computed) continue;
    const int matched = cache_.matched_tokens(std::span<const TokenId>(candidate.tokens).first(shared));
    const int gain = shared - matched;
    const int rest = static_cast<int>(candidate.tokens.size()) - matched;
    if (gain >= kLeastSharedTokens && 2 * gain >= rest) return true;
  }
  return false;
}

// Moves a waiting request to the running ones if its prompt fits beside what those will still need.
bool Scheduler::admit(Sequence& candidate) {
  const std::span<const TokenId> tokens(candidate.tokens);
  const int matched =
      cache_.attach(candidate.pages, tokens.first(static_cast<size_t>(candidate.cacheable_tokens())));
  const int needed = reserve_of(candidate) + reserved_pages();
  if (!running_.empty() && needed > cache_.available_pages()) {
    cache_.release(candidate.pages);
    return false;
  }
  std::erase(waiting_, &candidate);
  running_.push_back(&candidate);
  candidate.slot = free_slots_.back();
  free_slots_.pop_back();
  candidate.slot_is_new = true;
  candidate.retracted = false;
  candidate.scheduled = matched;
  candidate.computed = matched;
  note_admission(candidate, matched);
  return true;
}

int Scheduler::reserved_pages() const {
  int pages = 0;
  for (const Sequence* sequence : running_) pages += reserve_of(*sequence);
  return pages;
}

// Pages that a request is expected to take yet: all of its prompt and a share of what it may draw.
int Scheduler::reserve_of(const Sequence& sequence) const {
  const int to_draw = std::max(0, sequence.sampling.max_new_tokens - sequence.generated());
  const int expected = static_cast<int>(std::ceil(reserve_.value() * to_draw));
  return cache_.missing_pages(sequence.pages, sequence.length() + expected);
}

void Scheduler::note_admission(Sequence& sequence, int matched_tokens) {
  for (Sequence* other : waiting_) {
    if (other->id < sequence.id) ++other->passed_over;
  }
  ++contents_.new_requests;
  contents_.cached_tokens += matched_tokens;
  if (sequence.queue_seconds >= 0.0) return;  // a resumed one
  sequence.queue_seconds = std::chrono::duration<double>(Clock::now() - sequence.submitted).count();
  sequence.cached_tokens = matched_tokens;
  sums_.prompt_tokens += static_cast<uint64_t>(sequence.prompt_length);
  sums_.cached_prompt_tokens += static_cast<uint64_t>(matched_tokens);
}

}  // namespace musaic
