#pragma once

#include "dispatch.h"

SP_DECLARE(int64_t, count_active, (const uint8_t* values, int64_t size))
