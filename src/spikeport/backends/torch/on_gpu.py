"""The scan over time as one Triton kernel: no launch inside the loop over steps, state in registers throughout.

Imported only where triton is installed. The rules are those of `spikeport.native.scanning`, whose arguments it takes.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from spikeport.backends.torch.scan import Binary, Climb, Signed

BLOCK = 256
RULES = {Signed: 0, Binary: 1, Climb: 2}


def scan(
    rule: Signed | Binary | Climb, v: Tensor, sent: Tensor, arriving: Tensor, start: int, potentials: Tensor | None
) -> Tensor:
    """As `spikeport.backends.torch.scan.scan`; returns how many neurons sent something, int32, shape (time, batch)."""
    steps, batch = arriving.shape[:2]
    neurons = v.shape[1:].numel()
    events = torch.zeros((steps, batch), dtype=torch.int32, device=v.device)
    if not steps * batch * neurons:
        return events
    clock = torch.zeros((2, steps), dtype=torch.int64)
    threshold = release = table = v
    column = clock
    levels, columns, low, high = 1, 1, 0, 0
    match rule:
        case Signed():
            threshold, low, high = rule.threshold, rule.low, rule.high
        case Binary():
            threshold = rule.threshold
            release = threshold if rule.release is None else rule.release
            moments = range(start, start + steps)
            clock = torch.tensor([[rule.charge(t) for t in moments], [rule.worth(t) for t in moments]])
        case Climb():
            table, column, low = rule.rows, rule.column, rule.low
            levels, columns = table.shape
    grid = (batch, triton.cdiv(neurons, BLOCK))
    _kernel[grid](
        arriving,
        v,
        sent,
        threshold,
        release,
        clock.to(device=v.device),
        table,
        column.to(device=v.device),
        v if potentials is None else potentials,
        events,
        steps,
        batch,
        neurons,
        low,
        high,
        levels,
        columns,
        RULE=RULES[type(rule)],
        KEEP=potentials is not None,
        BLOCK=BLOCK,
    )
    return events


@triton.jit(do_not_specialize=["steps", "batch", "low", "high", "levels", "columns"])  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def] # triton's own types
    arriving,
    v_at,
    sent_at,
    threshold_at,
    release_at,
    clock,
    table,
    column_at,
    potentials,
    events,
    steps,
    batch,
    neurons,
    low,
    high,
    levels,
    columns,
    RULE: tl.constexpr,
    KEEP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    sample = tl.program_id(0).to(tl.int64)
    neuron = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = neuron < neurons
    place = sample * neurons + neuron
    stride = (tl.program_id(0).to(tl.int64) * 0 + batch) * neurons  # 64 bits, whatever the arguments were made
    v = tl.load(v_at + place, mask=inside, other=0)
    sent = tl.load(sent_at + place, mask=inside, other=0)
    if RULE == 2:
        column = tl.load(column_at + neuron, mask=inside, other=0)
    else:
        threshold = tl.load(threshold_at + neuron, mask=inside, other=1)
    if RULE == 1:
        release = tl.load(release_at + neuron, mask=inside, other=0)
    now_at = arriving + place
    kept_at = potentials + place
    for t in range(steps):
        now = tl.load(now_at, mask=inside, other=0)
        v += now.to(v.dtype)
        if RULE == 0:
            up = ((v >= threshold) & (sent < high) & inside).to(v.dtype)
            down = ((v < 0) & (sent > low) & inside).to(v.dtype)
            spike = up - down
            v -= spike * threshold
        elif RULE == 1:
            v += release * tl.load(clock + t).to(v.dtype)
            worth = tl.load(clock + steps + t).to(v.dtype)
            fires = ((v >= threshold * worth) & (worth > 0) & inside).to(v.dtype)
            spike = fires * worth
            v -= spike * threshold
        else:
            climbed = sent.to(tl.int64) - low
            following = tl.minimum(climbed, levels - 1)
            reached = tl.maximum(climbed - 1, 0)
            above = tl.load(table + following * columns + column, mask=inside, other=0)
            below = tl.load(table + reached * columns + column, mask=inside, other=0)
            up = ((climbed < levels) & (v >= above) & inside).to(v.dtype)
            down = ((climbed > 0) & (v < below) & inside).to(v.dtype)
            spike = up - down
        sent += spike
        tl.store(now_at, spike.to(now.dtype), mask=inside)
        now_at += stride
        if KEEP:
            tl.store(kept_at, v, mask=inside)
            kept_at += stride
        fired = tl.sum((spike != 0).to(tl.int32), axis=0)
        tl.atomic_add(events + t * batch + sample, fired)
    tl.store(v_at + place, v, mask=inside)
    tl.store(sent_at + place, sent, mask=inside)
