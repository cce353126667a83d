#pragma once

#include <ctime>
#include <vector>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

// The functions that every template may call: range, dict, raise_exception, strftime_now. `budget` must
// outlive them.
std::vector<Callable> make_globals(std::time_t now, Budget& budget);

}  // namespace musaic::jinja
