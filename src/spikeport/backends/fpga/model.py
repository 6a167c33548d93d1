"""The core in numpy: it reads the same memories, word by word, and keeps numbers in the same widths. It has no clock.

It is what golden beats are made of, and runs programs where no simulator is installed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikeport.backends.fpga.answer import Answer, is_leaky, told
from spikeport.backends.fpga.beats import Frame
from spikeport.backends.fpga.machine import KINDS, Machine
from spikeport.errors import BackendError, Problem

Whole = NDArray[np.int64]


def wrapped(x: Whole, bits: int) -> Whole:
    """Two's complement of so many bits."""
    half = 1 << (bits - 1)
    return (x + half) % (2 * half) - half


def leaked(x: Whole, factor: Whole) -> Whole:
    """So many 4096ths, rounded towards zero."""
    product = x * factor
    found: Whole = np.sign(product) * (np.abs(product) >> 12)
    return found


class Model:
    """A machine and the state of a batch of samples."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        m, p = machine.memories, machine.parameters
        self._p = p
        self._registers = {f.name: f.values[m["classes"]["class"]] for f in m["parameters"].fields}
        self.reset(1)

    def reset(self, batch: int) -> None:
        """The state with which samples begin."""
        n = self._p["NEURONS"]
        self.batch, self.step = batch, 0
        self.v = np.repeat(self._registers["initial"][None], batch, axis=0)
        self.sent, self.phase, self.deaf, self.u = (np.zeros((batch, n), np.int64) for _ in range(4))
        self.arrived = np.zeros((self._p["SLOTS"], batch, n), np.int64)

    def close(self) -> None:
        """There is nothing to free."""

    def advance(self, frame: Frame) -> Answer:
        """Some steps of all samples."""
        first, end = self._p["FIRST_POPULATION"], self._p["PLACES"]
        spikes: dict[int, list[Whole]] = {place: [] for place in range(first, end)}
        potentials: dict[int, list[Whole]] = {place: [] for place in told(self.machine, frame.report)}
        seconds: dict[int, list[Whole]] = {place: [] for place in potentials if is_leaky(self.machine, place)}
        for step in range(frame.steps):
            for place, values in frame.events.items():
                self._require(values[step], self._p["PW"], f"payload of place {place}")
                self._send(place, values[step])
            for place, values in frame.currents.items():
                here = self._at(place)
                self.arrived[self.slot][:, here] += values[step]
            for place in range(first, end):
                sent = self._update(place)
                spikes[place].append(sent)
                self._require(sent, self._p["PW"], f"payload of place {place}")
                self._send(place, sent)
                if place in potentials:
                    potentials[place].append(self.v[:, self._at(place)].copy())
                if place in seconds:
                    seconds[place].append(self.u[:, self._at(place)].copy())
            self.step += 1
        return Answer(
            {place: np.array(values) for place, values in spikes.items()},
            {place: np.array(values) for place, values in potentials.items()},
            {place: np.array(values) for place, values in seconds.items()},
        )

    @property
    def slot(self) -> int:
        """Where what arrives in this step is."""
        return self.step % self._p["SLOTS"]

    def _place(self, place: int) -> Mapping[str, int]:
        return {f.name: int(f.values[place]) for f in self.machine.memories["places"].fields}

    def _at(self, place: int) -> slice:
        word = self._place(place)
        return slice(word["first"], word["first"] + word["count"])

    def _row(self, number: int) -> tuple[Whole, Whole]:
        """Targets and weights of a row."""
        rows, patterns = self.machine.memories["rows"], self.machine.memories["patterns"]
        begin, length = int(rows["pattern"][number]), int(rows["length"][number])
        part = slice(begin, begin + length)
        weights = self.machine.memories["weights"]["weight"]
        numbers = rows["weight"][number] + patterns["weight"][part]
        return rows["target"][number] + patterns["target"][part], weights[numbers] if len(weights) else 0 * numbers

    def _send(self, place: int, payloads: Whole) -> None:
        word, projections = self._place(place), self.machine.memories["projections"]
        for number in range(word["projection"], word["projection"] + word["projections"]):
            into = (self.slot + int(projections["delay"][number])) % self._p["SLOTS"]
            for neuron in np.flatnonzero(payloads.any(axis=0)):
                targets, weights = self._row(int(projections["row"][number]) + int(neuron))
                self.arrived[into][:, targets] += payloads[:, neuron, None] * weights
                if self._p.get("WRAPS", 0):
                    self.arrived[into][:, targets] = wrapped(self.arrived[into][:, targets], self._p["AW"])
                self._require(self.arrived[into][:, targets], self._p["AW"], f"what arrives from place {place}")

    def _require(self, values: Whole, width: int, what: str) -> None:
        """No number leaves its width: the testbench looks at the same."""
        if values.size and (values.max() >= 2 ** (width - 1) or values.min() < -(2 ** (width - 1))):
            why = f"{what} leaves {width} bits: {values.min():,} to {values.max():,}"
            raise BackendError(Problem(self.machine.name, why, "report it: the width was proved to hold it"))

    def _share(self, here: slice) -> Whole:
        """Of the bias, in this step."""
        present, share = self._p["PRESENT"], np.broadcast_to(self._registers["share"][here], self.v[:, here].shape)
        if present == 0:
            return share
        if self.step >= present:
            return np.zeros_like(share)
        total = self.phase[:, here] + self._registers["rest"][here]
        carries = total >= present
        self.phase[:, here] = np.where(carries, total - present, total)
        return share + carries

    def _fit(self, v: Whole) -> Whole:
        """A potential in its width: saturated, or wrapped."""
        half = 1 << (self._p["VW"] - 1)
        return v.clip(-half, half - 1) if self._p.get("SATURATE", 1) else wrapped(v, self._p["VW"])

    def _update(self, place: int) -> Whole:
        word = self._place(place)
        kind, here = KINDS[word["kind"]], self._at(place)
        arrived = self.arrived[self.slot]
        self._require(arrived, self._p["AW"], "what arrives")
        if kind == "maximum":
            return self._maximum(word, here, arrived)
        x = arrived[:, here] + self._share(here)
        arrived[:, here] = 0
        r = {name: values[here] for name, values in self._registers.items()}
        if kind == "leaky":
            payload = self._leaky(word, here, x, r)
        elif kind in ("fires", "memoryless"):
            payload = self._hand_made(kind, here, x, r)
        else:
            payload = self._converted(kind, word, here, x, r)
        self._require(self.v[:, here], self._p["VW"], f"a potential of place {place}")
        return payload

    def _maximum(self, word: Mapping[str, int], here: slice, arrived: Whole) -> Whole:
        sent = np.zeros((self.batch, word["count"]), np.int64)
        if word["closes"] and self.step != word["opens"]:
            return sent
        for neuron in range(word["count"]):
            targets, _ = self._row(word["windows"] + neuron)
            sent[:, neuron] = arrived[:, targets].max(axis=1)
        payload = sent - self.sent[:, here]
        self.sent[:, here] = sent
        return payload

    def _leaky(self, word: Mapping[str, int], here: slice, x: Whole, r: Mapping[str, Whole]) -> Whole:
        steps, size = self.machine.memories["steps"]["threshold"], word["count"]
        for port in range(1, word["range"]):
            there = slice(here.start + port * size, here.stop + port * size)
            x = x + (self.arrived[self.slot][:, there] >> steps[r["table"] + port])
            self.arrived[self.slot][:, there] = 0
        u = wrapped(leaked(self.u[:, here], r["leak_u"]) + (wrapped(x, 32) << 6), 32)
        u = np.where(u > 2**23, u - 2**24, np.where(u <= -(2**23), u + 2**24, u))
        v = (leaked(self.v[:, here], r["leak_v"]) + u + r["extra"]).clip(1 - 2**23, 2**23 - 1)
        fires = v > r["threshold"]
        self.u[:, here], self.v[:, here] = u, np.where(fires, 0, v)
        return fires.astype(np.int64)

    def _hand_made(self, kind: str, here: slice, x: Whole, r: Mapping[str, Whole]) -> Whole:
        greater = self._p.get("GREATER", 0)
        active = self.deaf[:, here] == 0
        if kind == "memoryless":
            self.v[:, here] = v = self._fit(x)
            return np.where(v > r["threshold"] if greater else v >= r["threshold"], 1, 0)
        v = np.where(active, self._fit(self.v[:, here] + x), self.v[:, here])
        deaf = np.where(active, 0, self.deaf[:, here] - 1)
        fires = (v > r["threshold"] if greater else v >= r["threshold"]) & active
        after = r["extra"] if self._p.get("TO_VALUE", 0) else self._fit(v - r["threshold"])
        self.v[:, here] = np.where(fires, after, v)
        self.deaf[:, here] = np.where(fires, r["deaf_for"], deaf)
        return fires.astype(np.int64)

    def _converted(self, kind: str, word: Mapping[str, int], here: slice, x: Whole, r: Mapping[str, Whole]) -> Whole:
        v, sent, t = self.v[:, here] + x, self.sent[:, here], self.step
        opens, closes, low, span = word["opens"], word["closes"], word["low"], word["range"]
        threshold, k = r["threshold"], t - opens
        payload: Whole = np.zeros_like(v)
        is_open, in_phase = t == opens, opens <= t < closes
        if kind == "phased":
            v = v + r["extra"] * (int(is_open) - int(t == closes))
        match kind:
            case "signed":
                up = (v >= threshold) & (sent < span)
                payload = np.where(up, 1, np.where((v < 0) & (sent > low), -1, 0))
                v = v - payload * threshold
            case "plain" | "phased":
                payload = np.where(v >= threshold, 1, 0)
                v = v - payload * threshold
            case "graded" | "bank" if is_open:
                left = v - r["extra"] if kind == "graded" else v
                count: Whole = np.floor_divide(left, threshold, dtype=np.int64).clip(0, span)
                payload = count + low
                if kind == "graded":
                    v = left - count * threshold
            case "radix" if in_phase:
                worth = 1 << (span - 1 - k)
                fires = v >= threshold * worth
                payload = np.where(fires, worth, 0)
                v = v - threshold * payload
            case "staircase" | "levels" | "thermometer" | "digits":
                payload = (
                    self._by_table(kind, word, v, sent, r["table"], k) if kind == "staircase" or in_phase else payload
                )
        if kind in ("signed", "staircase", "digits"):
            self.sent[:, here] = sent + payload
        self.v[:, here] = v
        return payload

    def _by_table(self, kind: str, word: Mapping[str, int], v: Whole, sent: Whole, table: Whole, k: int) -> Whole:
        steps, low, span = self.machine.memories["steps"]["threshold"], word["low"], word["range"]

        def at(index: Whole) -> Whole:
            found: Whole = steps[(table + index).clip(0, len(steps) - 1)]
            return found

        match kind:
            case "staircase":
                climbed = sent - low
                up = (climbed < span) & (v >= at(climbed))
                down = ~up & (climbed > 0) & (v < at(climbed - 1))
                return up.astype(np.int64) - down
            case "levels":
                reached = np.zeros_like(v)
                for i in range(span):
                    reached += v >= at(np.full_like(v, i))
                return reached + low
            case "thermometer":
                return (v >= at(np.full_like(v, k))).astype(np.int64)
            case _:
                worth = 1 << (word["closes"] - word["opens"] - 1 - k)
                digit = sent + worth
                return worth * ((digit <= span) & (v >= at(digit - 1)))
