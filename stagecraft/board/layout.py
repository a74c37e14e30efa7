"""Where the perches and movers of a board go in a picture: columns of boxes and Bézier arcs, in points."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from stagecraft.board.graph import Edge, in_order

_HEIGHT, _LETTER, _GAP, _ROW, _PAD, _TITLE = 26.0, 7.2, 48.0, 34.0, 16.0, 16.0

Point = tuple[float, float]
Arc = tuple[Point, ...]


class Box(NamedTuple):
    """A rectangle with a text: its centre and its size."""

    text: str
    x: float
    y: float
    width: float
    height: float


class Layout(NamedTuple):
    """Where everything goes: `perches` and `groups` by name, and a cubic Bézier arc for each mover."""

    perches: dict[str, Box]
    groups: dict[str, Box]
    arcs: list[tuple[str, Edge, Arc]]

    @property
    def kinds(self) -> set[str]:
        """The directions that occur."""
        return {kind for kind, _, _ in self.arcs}

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the whole picture."""
        boxes = [*self.perches.values(), *self.groups.values()]
        middles = [_at(arc, 0.5) for _, _, arc in self.arcs]
        xs = [b.x + s * b.width / 2 for b in boxes for s in (-1, 1)] + [x for x, _ in middles]
        ys = [b.y + s * b.height / 2 for b in boxes for s in (-1, 1)] + [y for _, y in middles]
        return min(xs) - 8, min(ys) - 8, max(xs) + 8, max(ys) + 8


def arrange(board: Any) -> Layout:
    """Groups in columns along the forward graph, and inside each group its perches likewise."""
    group_of = dict(zip(board.perches, board.groups, strict=True))
    # A backward mover points against the picture; where it is some forward mover's transpose it says nothing new.
    pairs = dict.fromkeys([e[1:] for e in board.forward] + [(e.target, e.source) for e in board.backward])
    blocks: dict[tuple, list[str]] = {}
    for name, group in group_of.items():
        blocks.setdefault(("perch", name) if group is None else ("group", group), []).append(name)
    block_of = {name: block for block, names in blocks.items() for name in names}

    sizes, offsets = {}, {}
    for (kind, text), names in blocks.items():
        pills = {n: (max(len(label(n, group_of[n])) * _LETTER + 18, 44), _HEIGHT) for n in names}
        within = [(s, t, 0.0) for s, t in pairs if s in pills and t in pills]
        places, (width, height) = _in_columns(pills, within, _GAP, _ROW)
        boxed = kind == "group"
        if boxed:
            width, height = max(width, len(text) * _LETTER + 4) + 2 * _PAD, height + 2 * _PAD + _TITLE
        sizes[kind, text] = width, height
        offsets |= {n: (x, y + boxed * _TITLE / 2, pills[n]) for n, (x, y) in places.items()}

    between = [(block_of[s], block_of[t], offsets[s][1] - offsets[t][1]) for s, t in pairs if block_of[s] != block_of[t]]
    centres, _ = _in_columns(sizes, between, _GAP, _ROW)
    perches = {}
    for name, (x, y, size) in offsets.items():
        centre = centres[block_of[name]]
        perches[name] = Box(label(name, group_of[name]), centre[0] + x, centre[1] + y, *size)
    groups = {text: Box(text, *centres[k, text], *sizes[k, text]) for k, text in blocks if k == "group"}
    return Layout(perches, groups, list(_arcs(board, perches)))


def _in_columns(sizes: dict, pairs: list[tuple], gap: float, row: float) -> tuple[dict, Point]:
    """Centres of boxes of given sizes in columns, every pair (source, target, descent) pointing right.

    Inside a column the boxes follow the heights from which they are reached (the barycentre rule of Sugiyama, 1981).
    """
    layer = {}
    for key in in_order(sizes, [pair[:2] for pair in pairs])[0]:
        layer[key] = 1 + max((layer[s] for s, t, _ in pairs if t == key and s in layer), default=-1)
    places, x = {}, 0.0
    for column in range(max(layer.values()) + 1):
        reached = {}
        for key in (key for key in sizes if layer[key] == column):
            heights = [places[s][1] + descent for s, t, descent in pairs if t == key and s in places]
            reached[key] = sum(heights) / len(heights) if heights else 0.0
        width = max(sizes[key][0] for key in reached)
        total = sum(sizes[key][1] for key in reached) + row * (len(reached) - 1)
        y = sum(reached.values()) / len(reached) - total / 2
        for key in sorted(reached, key=reached.__getitem__):
            places[key] = x + width / 2, y + sizes[key][1] / 2
            y += sizes[key][1] + row
        x += width + gap
    top = min(y - sizes[key][1] / 2 for key, (_, y) in places.items())
    bottom = max(y + sizes[key][1] / 2 for key, (_, y) in places.items())
    size = x - gap, bottom - top
    return {key: (px - size[0] / 2, py - (top + bottom) / 2) for key, (px, py) in places.items()}, size


def _arcs(board: Any, perches: dict[str, Box]) -> Iterator[tuple[str, Edge, Arc]]:
    """Every mover bends to its left, so that it never lies on its transpose, and as far as it needs to pass others."""
    taken = set()
    for kind in ("forward", "backward"):
        for edge in getattr(board, kind):
            start, end = perches[edge.source], perches[edge.target]
            if start is end:
                side = -1 if kind == "forward" else 1
                y = start.y + side * (start.height / 2 + 2)
                steps = ((-10, 0), (-22, 30), (22, 30), (10, 0))
                yield kind, edge, tuple((start.x + dx, y + side * dy) for dx, dy in steps)
                continue
            others = [box for name, box in perches.items() if name not in edge[1:]]
            bends = [10, 30, 48, 70, 96, 126][edge[1:] in taken :]
            arcs = (_bent(start, end, bend) for bend in bends)
            arc = next((arc for arc in arcs if _is_free(arc, others)), _bent(start, end, bends[-1]))
            taken.add(edge[1:])
            yield kind, edge, _trimmed(arc, start, end)


def _bent(start: Box, end: Box, bend: float) -> Arc:
    """The arc between two centres whose middle lies `bend` to the left of the chord; it rises fast and runs flat."""
    dx, dy = end.x - start.x, end.y - start.y
    length = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    along, aside = min(1 / 3, 40 / length), 4 / 3 * bend / length
    first = start.x + along * dx + aside * dy, start.y + along * dy - aside * dx
    last = end.x - along * dx + aside * dy, end.y - along * dy - aside * dx
    return (start.x, start.y), first, last, (end.x, end.y)


def _is_free(arc: Arc, others: list[Box]) -> bool:
    xs, ys = zip(*arc, strict=True)
    near = [
        box
        for box in others
        if min(xs) < box.x + box.width and max(xs) > box.x - box.width and min(ys) < box.y + 40 and max(ys) > box.y - 40
    ]
    # A step of 20 points cannot leap over a box.
    steps = int(max(max(xs) - min(xs), max(ys) - min(ys)) / 20) + 2
    return not near or not any(_within_box(_at(arc, t / steps), box, 5) for t in range(1, steps) for box in near)


def _at(arc: Arc, t: float) -> Point:
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = arc
    a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
    return a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3


def _within_box(point: Point, box: Box, margin: float) -> bool:
    return abs(point[0] - box.x) < box.width / 2 + margin and abs(point[1] - box.y) < box.height / 2 + margin


def _trimmed(arc: Arc, start: Box, end: Box) -> Arc:
    """The part of an arc between two boxes: cut where it leaves the one, then where it enters the other."""
    for box, margin in ((start, 1), (end, 2)):
        inner, outer = 0.0, 0.5
        for _ in range(7):
            half = (inner + outer) / 2
            inner, outer = (half, outer) if _within_box(_at(arc, half), box, margin) else (inner, half)
        # The part after the cut, turned round, so that the second pass cuts the other end and turns it back.
        arc = _after(arc, outer)[::-1]
    return arc


def _after(arc: Arc, t: float) -> Arc:
    """The part of a Bézier arc from t to its end (de Casteljau)."""
    points, kept = list(arc), []
    while points:
        kept.append(points[-1])
        points = [(p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])) for p, q in zip(points, points[1:], strict=False)]
    return tuple(kept[::-1])


def label(name: str, group: str | None) -> str:
    return name.removeprefix(f"{group}.") if group else name
