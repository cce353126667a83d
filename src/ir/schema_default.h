#pragma once

#include <optional>
#include <string>

#include "ir/schema.h"
#include "ir/schema_cursor.h"

namespace musaic {

// The value after `=` of an argument of this type, but for None; nullopt: none of its type is there.
std::optional<Attribute> read_default(SchemaCursor& cursor, const SchemaArgument& argument);
// What may stand after `=` of an argument of this type, for messages.
std::string expected_default(const SchemaArgument& argument);

std::optional<int64_t> read_whole_number(SchemaCursor& cursor);

}  // namespace musaic
