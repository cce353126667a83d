#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace musaic {

// Byte-level vocabularies spell every byte as one printable character ("Ġ" is a space). Text that holds a
// character outside of that alphabet is not byte-level: nullopt.
std::optional<std::string> bytes_from_alphabet(std::string_view text);
std::string alphabet_from_bytes(std::string_view bytes);

}  // namespace musaic
