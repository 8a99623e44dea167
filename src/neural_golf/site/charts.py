"""Charts that stand in a page as SVG: every seed of an arm of the handbook, and a record over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from markupsafe import Markup

__all__ = ["Curves", "history_chart", "seeds_chart"]

Curves = Mapping[str, Mapping[int, Sequence[tuple[int, float]]]]  # by arm and seed: (non-zero, accuracy)
WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 46
MARKS = 6  # styles of arms


def _frame(label: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _axis(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From a value to its place."""
    length = (high - low) or 1.0
    return lambda value: start + (value - low) / length * (end - start)


def seeds_chart(curves: Curves, label: str) -> Markup:
    """Accuracy against size, a line for each seed of each arm; both are logarithmic, accuracy in its errors.

    The first arm is the recipe that the others change. Arms differ in colour and in dashes.
    """
    points = [point for seeds in curves.values() for curve in seeds.values() for point in curve]
    if not points:
        return Markup("")
    sizes, errors = [math.log10(n) for n, _ in points], [math.log10(max(1 - a, 1e-4)) for _, a in points]
    x = _axis(min(sizes), max(sizes), LEFT, WIDTH - RIGHT)
    y = _axis(max(errors), min(errors), HEIGHT - BOTTOM, TOP)
    parts = []
    for n in (50, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 5000):
        if min(sizes) <= math.log10(n) <= max(sizes):
            at = x(math.log10(n))
            parts.append(f'<path class="grid" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
            parts.append(f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{n:,}</text>')
    for share in (0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995):
        if min(errors) <= math.log10(1 - share) <= max(errors):
            at = y(math.log10(1 - share))
            parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{100 * share:g} %</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">non-zero parameters, logarithmic</text>'
    )
    for number, seeds in enumerate(curves.values()):
        for curve in seeds.values():
            some = [(x(math.log10(n)), y(math.log10(max(1 - a, 1e-4)))) for n, a in sorted(curve)]
            line = "L".join(f"{a:.1f} {b:.1f}" for a, b in some)
            dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in some)
            parts.append(f'<path class="arm arm{number % MARKS}" d="M{line}"/>')
            parts.append(f'<path class="dots arm{number % MARKS}" d="{dots}"/>')
    return _frame(label, parts)


def history_chart(steps: Sequence[tuple[str, int]], label: str) -> Markup:
    """How a record fell: (day, what it was from then on), in the order of time, as a staircase."""
    from datetime import date

    if not steps:
        return Markup("")
    days = [date.fromisoformat(day).toordinal() for day, _ in steps]
    first, last = days[0], max(days[-1] + 1, days[0] + 1)
    top = max(value for _, value in steps) * 1.08
    x, y = _axis(first, last, LEFT, WIDTH - RIGHT), _axis(0, top, HEIGHT - BOTTOM, TOP)
    step = 10 ** math.floor(math.log10(top / 2))
    step *= next((n for n in (1, 2, 5) if top / (step * n) <= 6), 10)
    parts = []
    for k in range(int(top // step) + 1):
        at = y(k * step)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{k * step:,}</text>')
    path, shown = "", -100.0
    for day, (name, value) in zip(days, steps, strict=True):
        path += f"H{x(day):.1f}V{y(value):.1f}" if path else f"M{x(day):.1f} {y(value):.1f}"
        parts.append(f'<path class="dots arm1" d="M{x(day):.1f} {y(value):.1f}h0"/>')
        parts.append(f'<text x="{x(day) + 5:.1f}" y="{y(value) - 6:.1f}" class="head">{value:,}</text>')
        if x(day) - shown > 80:
            shown = x(day)
            parts.append(f'<text x="{x(day):.1f}" y="{HEIGHT - BOTTOM + 16}">{name}</text>')
    parts.append(f'<path class="arm arm1" d="{path}H{WIDTH - RIGHT}"/>')
    return _frame(label, parts)
