#pragma once

#include "dispatch.h"

namespace sp {

// Outputs of a block of weights: one 64-byte line holds 4 bytes (or 2 words) of each.
constexpr int64_t BLOCK = 16;
constexpr int64_t MOST_BLOCKS = 4;
// Rows beyond the last one that a call may read of its panel, and write of its sums.
constexpr int64_t ROWS_BEYOND = 16;

struct Product {
    const uint8_t* panel;    // rows of operands, unsigned bytes or signed words, row_bytes apart
    int64_t row_bytes;       // a multiple of 64, filled up with zero weights
    int64_t steps;           // groups of 4 bytes that hold something
    const uint8_t* weights;  // [block][row_bytes / 4][16 outputs][4 signed bytes or 2 signed words]
    int32_t blocks;          // 1 .. MOST_BLOCKS
    int32_t words;           // 0: bytes, 1: words
    int32_t most;            // largest operand
};

}  // namespace sp

// sums[row][output] = sum over k of panel[row][k] * weights[k][output], in 32 bits, rows MOST_BLOCKS * 16 apart.
SP_DECLARE(void, product, (const Product& p, int64_t rows, int32_t* sums))
// Tiles of this thread are configured and given back around many products.
SP_DECLARE(void, begin_products, ())
SP_DECLARE(void, end_products, ())
