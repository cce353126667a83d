#pragma once

#include <string>
#include <string_view>

namespace musaic {

// How the text form spells names and strings; print writes what parse reads.

// 'text', with \\, \', \n, \r, \t and \xNN for every byte that is not printable ASCII.
std::string quote(std::string_view text);

// Letters, digits and _ . + / - stand bare in a name; operators have ':' too.
bool is_name_char(char c);
bool is_operator_char(char c);

// The name as it stands, in quotes where a character or the empty name asks for them.
std::string spell_name(std::string_view name);
std::string spell_operator(std::string_view name);   // bare: ns::op
std::string spell_attribute(std::string_view name);  // None in quotes

}  // namespace musaic
