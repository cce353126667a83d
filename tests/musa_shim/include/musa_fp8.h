#pragma once

#include <cuda_fp8.h>

#include "mcc_functions.h"  // mcc has them without a header; who calls them includes this one too

using __mt_fp8x2_storage_t = __nv_fp8x2_storage_t;
using __mt_fp8x2_e4m3 = __nv_fp8x2_e4m3;
