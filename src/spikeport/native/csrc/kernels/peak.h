#pragma once

#include "dispatch.h"

// Multiplies bytes in registers alone, `rounds` times on every thread; gives back the multiplications done.
SP_DECLARE(int64_t, multiply_in_registers, (int64_t rounds, int32_t threads))
