#pragma once

#include "tensor/dtype.h"

namespace musaic {

// Calls visit.operator()<kType>() for each type whose weights are packed into panels (q8_panel.h).
template <class Visit>
void for_each_panel_type(const Visit& visit) {
  visit.template operator()<DType::kQ4_0>();
  visit.template operator()<DType::kQ4_1>();
  visit.template operator()<DType::kQ5_0>();
  visit.template operator()<DType::kQ5_1>();
  visit.template operator()<DType::kQ8_0>();
  visit.template operator()<DType::kQ4_K>();
  visit.template operator()<DType::kQ5_K>();
  visit.template operator()<DType::kQ6_K>();
}

}  // namespace musaic
