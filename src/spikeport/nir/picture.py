"""A NIR graph as an SVG: layers from left to right, edges of loops backwards below, nested graphs as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from spikeport.nir.graph import Edge, NirGraph, NirNode
from spikeport.nir.show import Shown

GAP_X, GAP_Y, PAD, HEAD, CHARACTER, LINE = 60.0, 26.0, 18.0, 20.0, 7.2, 16.0
SWEEPS = 8
MAX_NAME = 28
"""Characters of a name that are drawn."""
COLORS = {"Input": "#d7ecd9", "Output": "#d7ecd9", "NIRGraph": "#f6f6f6"}
NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A graph drawn from its own corner on."""

    width: float
    height: float
    parts: tuple[str, ...]


def svg(shown: Shown) -> str:
    """The picture as a text; names are escaped."""
    made = _graph(shown.graph, "", shown)
    arrow = '<path d="M0 0 8 4 0 8z" fill="#555"/>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{made.width:.0f}" height="{made.height:.0f}" '
        f'viewBox="0 0 {made.width:.0f} {made.height:.0f}" font-family="monospace" font-size="12">'
        f'<defs><marker id="end" markerWidth="8" markerHeight="8" refX="8" refY="4" orient="auto">{arrow}</marker></defs>'
        '<rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join((head, *made.parts, "</svg>\n"))


def layers(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """How far each node is from where the graph begins, along edges that close no loop."""
    forward, depth = _forward(names, edges), dict.fromkeys(names, 0)
    arriving = dict.fromkeys(names, 0)
    leaving: dict[str, list[str]] = {name: [] for name in names}
    for a, b in forward:
        arriving[b] += 1
        leaving[a].append(b)
    ready = [name for name in names if not arriving[name]]
    while ready:
        name = ready.pop()
        for target in leaving[name]:
            depth[target] = max(depth[target], depth[name] + 1)
            arriving[target] -= 1
            if not arriving[target]:
                ready.append(target)
    return depth


def _forward(names: Sequence[str], edges: Sequence[Edge]) -> list[Edge]:
    """Edges without those that lead back to where a walk from the beginning came from."""
    leaving: dict[str, list[str]] = {name: [] for name in names}
    entered = {b for a, b in edges if a != b}
    for a, b in edges:
        if a in leaving and b in leaving:
            leaving[a].append(b)
    state = dict.fromkeys(names, "new")
    kept = []
    for start in (*(n for n in names if n not in entered), *names):
        if state[start] != "new":
            continue
        state[start] = "open"
        path = [(start, iter(leaving[start]))]
        while path:
            name, rest = path[-1]
            target = next(rest, None)
            if target is None:
                state[name] = "done"
                path.pop()
            elif state[target] != "open":
                kept.append((name, target))
                if state[target] == "new":
                    state[target] = "open"
                    path.append((target, iter(leaving[target])))
    return kept


def _graph(graph: NirGraph, prefix: str, shown: Shown) -> _Placed:
    names = list(graph.nodes)
    edges = [(a, b) for a, b in graph.edges if a in graph.nodes and b in graph.nodes]
    boxes = {name: _box(name, node, prefix, shown) for name, node in graph.nodes.items()}
    depth = layers(names, edges)
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for name in names:
        columns[depth[name]].append(name)
    _order(columns, edges)
    tallest = max((_height(column, boxes) for column in columns), default=0.0)
    places, x = {}, PAD
    for column in columns:
        y, width = PAD + (tallest - _height(column, boxes)) / 2, max((boxes[n].width for n in column), default=0.0)
        for name in column:
            places[name] = (x + (width - boxes[name].width) / 2, y)
            y += boxes[name].height + GAP_Y
        x += width + GAP_X
    bottom = PAD + tallest
    parts, below = [], 0
    for a, b in edges:
        (ax, ay), (bx, by) = places[a], places[b]
        start, end = (ax + boxes[a].width, ay + boxes[a].height / 2), (bx, by + boxes[b].height / 2)
        if depth[b] == depth[a] + 1:
            middle = (start[0] + end[0]) / 2
            path = f"M{start[0]:.1f} {start[1]:.1f}C{middle:.1f} {start[1]:.1f} {middle:.1f} {end[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
        else:  # around what lies between, or back
            below += 1
            low, off = bottom + 12.0 * below, min(8.0 + 3.0 * below, GAP_X / 2)
            path = f"M{start[0]:.1f} {start[1]:.1f}h{off:.1f}V{low:.1f}H{end[0] - off:.1f}V{end[1]:.1f}H{end[0]:.1f}"
        dash = "" if depth[b] > depth[a] else ' stroke-dasharray="5 3"'
        parts.append(f'<path d="{path}" fill="none" stroke="#555"{dash} marker-end="url(#end)"/>')
    for name in names:
        parts.append(f'<g transform="translate({places[name][0]:.1f} {places[name][1]:.1f})">')
        parts += (*boxes[name].parts, "</g>")
    return _Placed(x - GAP_X + PAD, bottom + 12.0 * below + PAD, tuple(parts))


def _height(column: Sequence[str], boxes: Mapping[str, _Placed]) -> float:
    return sum(boxes[name].height for name in column) + GAP_Y * max(len(column) - 1, 0)


def _order(columns: list[list[str]], edges: Sequence[Edge]) -> None:
    """Put nodes near the middle of their neighbours, forth and back, so that few edges cross."""
    beside: dict[str, list[str]] = {name: [] for column in columns for name in column}
    for a, b in edges:
        beside[a].append(b)
        beside[b].append(a)
    for sweep in range(SWEEPS):
        place = {name: (i + 0.5) / len(column) for column in columns for i, name in enumerate(column)}
        for column in columns if sweep % 2 == 0 else columns[::-1]:
            mean = {n: sum(place[m] for m in beside[n]) / len(beside[n]) if beside[n] else place[n] for n in column}
            column.sort(key=mean.__getitem__)
            place |= {name: (i + 0.5) / len(column) for i, name in enumerate(column)}


def _box(name: str, node: NirNode, prefix: str, shown: Shown) -> _Placed:
    short = name if len(name) <= MAX_NAME else name[: MAX_NAME - 3] + "..."
    here = shown.shapes.get(f"{prefix}{name}")
    said = "" if here is None else "x".join(map(str, here.target))
    texts = [short, f"{node.kind} {said}".rstrip()]
    inner = None if node.graph is None else _graph(node.graph, f"{prefix}{name}.", shown)
    width = max(CHARACTER * max(map(len, texts)) + 2 * 8, 0.0 if inner is None else inner.width)
    height = LINE * 2 + 8 if inner is None else inner.height + HEAD
    fill = COLORS.get(node.kind, "#fde3c8" if node.kind in NEURONS else "#dce6f5")
    parts = [
        f'<rect width="{width:.1f}" height="{height:.1f}" rx="5" fill="{fill}" stroke="#555"/>',
        f"<title>{_text(prefix + name)}</title>",
    ]
    if inner is None:
        parts += (f'<text x="8" y="{LINE * (i + 1):.0f}">{_text(text)}</text>' for i, text in enumerate(texts))
    else:
        parts += (f'<text x="8" y="15">{_text(short)}</text>', f'<g transform="translate(0 {HEAD:.0f})">')
        parts += (*inner.parts, "</g>")
    return _Placed(width, height, tuple(parts))


def _text(text: str) -> str:
    """Text that XML may hold."""
    return escape("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))
