#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "tokenizer/detokenizer.h"
#include "tokenizer/regex.h"
#include "tokenizer/tokenizer.h"

namespace musaic {

// How generated tokens become an answer's text.
struct TextRules {
  std::vector<std::string> stop;        // the text ends before the first of them that gets complete
  std::vector<std::string> stop_regex;  // the same for patterns, searched after each token
  bool no_stop_trim = false;            // the matched text, and that of a stop token, stays
  bool skip_special_tokens = true;
  // Without effect: byte-level tokens carry their own spaces, and Hugging Face's fast tokenizers ignore it
  // too.
  bool spaces_between_special_tokens = true;
};

struct StopMatch {
  std::string rule;  // the stop string or the pattern
  std::string text;  // what it matched
};

// What a push or finish added.
struct TextUpdate {
  std::string text;                // new text that no stop can take back
  int tokens = 0;                  // how many of the given tokens belong to the answer
  std::optional<StopMatch> match;  // set once, by the token that completed it: the answer ends here
};

// The text of one answer, token by token. What it says does not depend on how many tokens come in a call:
// each is looked at alone, and all after a stop are ignored. Used by one thread at a time.
class TextStream {
 public:
  // Fails for an empty stop string or a bad pattern. The tokenizer is shared: it must live as long as the
  // stream.
  static Result<TextStream> create(std::shared_ptr<const Tokenizer> tokenizer, TextRules rules);

  // Text that may be the beginning of a stop is held back. `ends_with_stop_token`: the engine ended the
  // sequence at the last token (an end token or one of stop_token_ids); it counts, but has no text unless
  // no_stop_trim. Fails when a pattern takes too many steps; the stream is stopped then.
  Result<TextUpdate> push(std::span<const TokenId> tokens, bool ends_with_stop_token = false);

  // No more tokens come: gives out what was held back. Nothing after a stop.
  TextUpdate finish();

  const std::string& text() const { return released_; }  // all that was given out so far
  int num_tokens() const { return num_tokens_; }         // of the answer
  bool stopped() const { return stopped_; }

 private:
  struct Found {
    size_t begin = 0;
    size_t end = 0;
    const std::string* rule = nullptr;
  };
  TextStream(std::shared_ptr<const Tokenizer> tokenizer, TextRules rules, std::vector<Regex> patterns);

  Result<std::optional<StopMatch>> add(std::string_view text);
  std::optional<Found> find_stop_string(size_t old_size) const;
  Result<std::optional<Found>> find_pattern();
  StopMatch stop_at(const Found& found);
  size_t safe_size() const;
  std::string release(size_t size);

  std::shared_ptr<const Tokenizer> tokenizer_;
  TextRules rules_;
  std::vector<Regex> patterns_;
  std::vector<size_t> searched_;  // by pattern: no match can begin before
  Detokenizer detokenizer_;
  std::string text_;      // complete characters so far
  std::string released_;  // a prefix of text_
  int num_tokens_ = 0;
  bool stopped_ = false;
};

}  // namespace musaic
