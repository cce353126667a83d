#pragma once

#include "musaic/plugin.h"

namespace musaic {

// The table that plugins call through. None of its functions throws: what goes wrong is in the context.
const MusaicHost& host_functions();

// Its parts, by what they are about.
void add_registration_functions(MusaicHost& host);
void add_dim_functions(MusaicHost& host);
void add_attribute_functions(MusaicHost& host);
void add_launch_functions(MusaicHost& host);
void add_sample_functions(MusaicHost& host);

}  // namespace musaic
