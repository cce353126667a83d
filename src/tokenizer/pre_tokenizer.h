#pragma once

#include <optional>
#include <string_view>

namespace musaic {

// How text is cut before the merges of BPE; no merge crosses a cut. Behaves as these patterns do:
// gpt2:   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// smollm: every \p{N} character alone first, then gpt2 on each stretch between them
// llama3: (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ qwen2:  llama3 with one \p{N} at a time
enum class PreTokenizer { kGpt2, kSmollm, kLlama3, kQwen2 };

// nullopt for an unknown name.
std::optional<PreTokenizer> parse_pre_tokenizer(std::string_view name);

// End of the piece that begins at `begin`; the pieces of a text are found from 0 on, one after the other.
// Ill-formed bytes count as symbols. REQUIRES: begin < text.size() and begin is a piece's beginning.
size_t piece_end(PreTokenizer pre_tokenizer, std::string_view text, size_t begin);

}  // namespace musaic
