#pragma once

#include "formats/byte_cursor.h"
#include "formats/gguf.h"

namespace musaic {

// Reads one metadata value: its type, then its bytes. Throws LoadError naming the cursor's subject.
GgufValue read_gguf_value(ByteCursor& cursor);

}  // namespace musaic
