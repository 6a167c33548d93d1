#pragma once

#include "dispatch.h"

SP_DECLARE(void, widen_transposed,
           (const int32_t* from, int64_t stride, int64_t rows, int64_t columns, int64_t* to, int64_t to_stride))
