#pragma once

#include "tensor/dequantize.h"
