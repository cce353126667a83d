#pragma once

#include_next <mma.h>

namespace mtmusa {
namespace wmma = nvcuda::wmma;
}
