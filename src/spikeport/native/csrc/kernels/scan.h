#pragma once

#include "dispatch.h"

namespace sp {

// One population over a window of time. Arrays are C-ordered; `arriving` holds whole numbers and is replaced by the spikes sent.
struct ScanJob {
    int32_t rule;         // 0 signed, 1 binary, 2 climb
    int32_t wide_values;  // arriving is double, not float
    int32_t wide_state;   // v, sent, threshold, release, table and potentials are int64, not int32
    int32_t threads;
    int64_t steps, batch, neurons;
    void* arriving;         // [steps][batch][neurons]
    void* v;                // [batch][neurons]
    void* sent;             // [batch][neurons]
    const void* threshold;  // [neurons]; signed and binary
    const void* release;    // [neurons]; binary, may be null where charge is 0 throughout
    const int64_t* charge;  // [steps]; binary: how often release is added
    const int64_t* worth;   // [steps]; binary: value of a spike, 0 where none can be sent
    int64_t low, high;      // signed: ends of the counter; climb: its lower end
    const void* table;      // [levels][rows]; climb
    const int64_t* row;     // [neurons]; climb: each neuron's column of the table
    int64_t levels, rows;
    void* potentials;  // [steps][batch][neurons] or null: v after each step
    int64_t* events;   // [steps][batch]: neurons that sent something are added
};

}  // namespace sp

SP_DECLARE(void, scan_piece, (const ScanJob& job, int64_t index))
