"""The networks as the site shows them: in numbers, in words, and as marks of the chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from neural_golf.config.sections import Record
from neural_golf.net.formed import form_numbers
from neural_golf.net.spec import Network
from neural_golf.results.result import Result, by_variant, representative
from neural_golf.results.sizes import Point
from neural_golf.site.entered import Entered

__all__ = ["Lit", "Mark", "chart_data", "marks", "numbers_of"]


def numbers_of(network: Network, weights: NDArray[np.float32]) -> list[tuple[str, str]]:
    """The non-zero parameters of each tensor that has any, and of the form, as text."""
    found = [(tensor.name, weights[tensor.slice]) for tensor in network.tensors]
    if network.form:
        found.append(("form", form_numbers(network.form)))
    texts = [(name, " ".join(short(value) for value in values[values != 0])) for name, values in found]
    return [(name, text) for name, text in texts if text]


def short(value: float) -> str:
    """A number in few characters: two digits and no leading zero.

    >>> short(-0.054), short(1.26), short(0.5)
    ('\u2212.054', '1.3', '.5')
    """
    text = f"{abs(value):.2g}"
    return ("\u2212" if value < 0 else "") + (text[1:] if text.startswith("0.") else text)


class Lit(TypedDict):
    """A layer as a page's script lights it. `name`: the output of the ONNX file that it reads."""

    name: str
    label: str
    title: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Mark:
    """One mark of the chart. `entry`: of its row and variant, the seed that was entered. `size`: what all
    seeds of its size say together, if it has one.
    """

    of: Result | Record
    entry: bool = False
    size: Point | None = None

    @property
    def ours(self) -> bool:
        return isinstance(self.of, Result)

    @property
    def hollow(self) -> bool:
        """Whether it is anything but an entry that no test image chose."""
        return not (isinstance(self.of, Result) and self.entry and self.of.honest)


def marks(results: Sequence[Result], public: Sequence[Record], points: Sequence[Point] = ()) -> list[Mark]:
    """The marks of the chart, the smallest network first."""
    entries = [representative(group) for group in by_variant(results).values()]
    sizes = {(point.row, point.size): point for point in points}
    found = [Mark(r, r in entries, sizes.get((r.row, r.size or 0))) for r in results]
    found += [Mark(other) for other in public]
    return sorted(found, key=lambda mark: (mark.of.nonzero, mark.of.name))


def chart_data(
    marks: Sequence[Mark], points: Sequence[Point], known: Mapping[str, Entered]
) -> dict[str, object]:
    """What the script draws the chart from. known: the networks that have a page, by their names."""
    shown = []
    for mark in marks:
        of = mark.of
        page = known.get(of.variant.name) if isinstance(of, Result) and mark.entry else None
        shown.append(
            {"name": of.name, "size": of.nonzero, "accuracy": of.accuracy, "ours": mark.ours,
             "hollow": mark.hollow, "text": _said(mark), "href": f"entry/{page.slug}.html" if page else ""}
        )  # fmt: skip
    sizes = [
        {
            "size": one.nonzero,
            "mean": one.test_mean,
            "low": one.test_low,
            "high": one.test_high,
            "held": one.holds,
        }
        for one in points
        if one.test_low is not None
    ]
    return {"marks": shown, "sizes": sizes, "unit": "non-zero parameters"}


CHOSEN = {
    "test": "its zeros were chosen on the test images themselves",
    "heldout": "held-out images chose it, and the test images chose nothing",
    "": "nothing about it was chosen on test images",
}


def _said(mark: Mark) -> str:
    """A mark in words."""
    of = mark.of
    if not isinstance(of, Result):
        source = "" if of.source in of.name else f" ({of.source})"
        right = f"{100 * of.accuracy:.2f}\u00a0% right"
        return f"{of.name}{source}: {of.nonzero:,} non-zero parameters, {right}, as its author states it."
    said = (
        f"{of.name}: {of.nonzero:,} non-zero of {of.parameters:,} parameters, {of.correct:,} of "
        f"{of.images:,} test images right ({100 * of.accuracy:.2f}\u00a0%); {CHOSEN[of.judge]}."
    )
    if of.bytes:
        said += f" Its .golf file has {of.bytes:,} bytes."
    if not of.entered:
        said += " It is a size on the way that is not an entry."
    elif not mark.entry:
        said += " It is another seed of an entered row."
    return f"{said} All seeds: {mark.size.words}" if mark.size else said
